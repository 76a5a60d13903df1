"""Tests of an operator's overrides: they change what they say, and a wrong one loses nothing else."""

import json
from pathlib import Path

import pytest

from ringwatch_knowledge import cli, data_files, lint, overrides
from ringwatch_knowledge.overrides import Shape


@pytest.fixture
def xid() -> Shape:
    """Return the layout of the Xid catalogue."""
    shape = overrides.shape_of("xid")
    assert shape is not None
    return shape


def _rows(shape: Shape, folder: Path) -> dict[str, dict[str, object]]:
    document = overrides.laid_over(shape, data_files.product(shape.file), folder)
    return {shape.key_of(row): row for row in document[shape.rows]}


def _write(folder: Path, *rows: dict[str, object]) -> None:
    (folder / "xid.json").write_text(json.dumps({"xids": list(rows)}), encoding="utf-8")


def test_a_field_is_overridden_and_the_rest_of_the_row_stays(xid: Shape, tmp_path: Path) -> None:
    """The product's words are kept beside the operator's."""
    product = {xid.key_of(row): row for row in data_files.product("xid.json")["xids"]}
    _write(tmp_path, {"code": 63, "first_action": "reset_gpu", "changed_by": "ann", "because": "vendor"})

    row = _rows(xid, tmp_path)["63"]

    assert row == product["63"] | {"first_action": "reset_gpu"}
    (applied,) = overrides.applied("xid")
    assert (applied.by, applied.reason, applied.product["first_action"]) == ("ann", "vendor", "none")


def test_a_new_row_needs_every_field(xid: Shape, tmp_path: Path) -> None:
    """Half a meaning is none; a whole one is taken."""
    whole = data_files.product("xid.json")["xids"][0] | {"code": 990}
    _write(tmp_path, {"code": 991, "title": "new"}, whole)

    rows = _rows(xid, tmp_path)

    assert "991" not in rows
    assert rows["990"] == whole
    assert any("'991'" in text and "needs 'meaning'" in text for text in overrides.troubles())


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"code": 79, "first_action": "dance"}, "first_action='dance' is none of"),
        ({"code": 79, "severity": "3"}, "severity is a str, not a int"),
        ({"code": 79, "colour": "red"}, "no field 'colour'"),
        ({"title": "no key"}, "a row without 'code'"),
    ],
)
def test_a_wrong_row_is_left_out_alone(xid: Shape, tmp_path: Path, row: dict[str, object], said: str) -> None:
    """The row beside it counts, and the trouble says file, key and what is wrong."""
    _write(tmp_path, row, {"code": 63, "title": "ours"})

    rows = _rows(xid, tmp_path)

    assert rows["63"]["title"] == "ours"
    assert rows["79"] == next(each for each in data_files.product("xid.json")["xids"] if each["code"] == 79)
    assert any(str(tmp_path / "xid.json") in text and said in text for text in overrides.troubles())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"xids": 3}', b"\xff\xfe\x00"])
def test_a_torn_file_leaves_the_products_data(xid: Shape, tmp_path: Path, content: bytes) -> None:
    """A node never loses its knowledge to a broken file."""
    (tmp_path / "xid.json").write_bytes(content)

    rows = _rows(xid, tmp_path)

    assert len(rows) == len(data_files.product("xid.json")["xids"])
    assert any(str(tmp_path / "xid.json") in text for text in overrides.troubles())


def test_an_expression_that_can_take_for_ever_is_refused(tmp_path: Path) -> None:
    """It would meet every line of every log."""
    shape = overrides.shape_of("line_signs")
    assert shape is not None
    row = {"id": "gpu_lost_nvml", "regex": "(a+)+b"}
    (tmp_path / "line_signs.json").write_text(json.dumps({"signs": [row]}), encoding="utf-8")

    said = list(lint.folder(tmp_path))

    assert any("can take for ever" in text for text in said)


def test_the_command_writes_shows_and_takes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An operator edits without code, and sees what the product says."""
    at = ["--folder", str(tmp_path)]

    assert cli.main([*at, "override", "xid", "63", "first_action=reset_gpu", "--reason", "vendor asks"]) == 0
    assert "first_action: reset_gpu   (the product says none;" in capsys.readouterr().out
    assert cli.main([*at, "lint"]) == 0
    assert cli.main([*at, "override", "xid", "63", "first_action=dance", "--reason", "x"]) == 3
    assert "is none of" in capsys.readouterr().err
    assert cli.main([*at, "override", "xid", "63", "--remove"]) == 0
    assert "first_action: none\n" in capsys.readouterr().out
    assert json.loads((tmp_path / "xid.json").read_text(encoding="utf-8")) == {"xids": []}


def test_a_reason_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An override that nobody can explain is the next operator's trouble."""
    assert cli.main(["--folder", str(tmp_path), "override", "xid", "63", "first_action=reset_gpu"]) == 3
    assert "--reason" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_lint_names_an_override_without_a_reason_and_a_stray_file(tmp_path: Path) -> None:
    """Files that nothing reads are told."""
    _write(tmp_path, {"code": 63, "title": "ours"})
    (tmp_path / "xids.json").write_text("{}", encoding="utf-8")

    said = list(lint.folder(tmp_path))

    assert any("xids.json: no catalogue" in text for text in said)
    assert any("63: say who changes it" in text for text in said)


def test_every_catalogue_can_be_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Each name that list prints can be shown."""
    assert cli.main(["list"]) == 0
    for line in capsys.readouterr().out.splitlines():
        assert cli.main(["show", line.split()[0], "--json"]) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[0])
    assert cli.main(["show", "xid", "99999"]) == 1
