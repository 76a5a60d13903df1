"""Expected against seen, on small cases of the form that the bench reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ringwatch_drills.bench.kernel_lines import lines_of, main, score, told
from ringwatch_proto import events

XID = "[  12.5] NVRM: Xid (PCI:0000:41:00): 79, GPU has fallen off the bus."


def _case(folder: Path, log: str, *, xids: str = "[]", negative: str = "false", fault: str = "x.y") -> Path:
    folder.mkdir(parents=True)
    (folder / "evidence.log").write_text(log)
    (folder / "case.yaml").write_text(
        f"evidence: [evidence.log]\nnegative: {negative}\n"
        f"expected: {{xids: {xids}, sxids: [], fault_class: {fault}}}\n"
    )
    return folder


def test_the_codes_that_are_seen_must_be_the_expected_ones(tmp_path: Path) -> None:
    """One too few and one too many are both wrong."""
    rows = [
        score(_case(tmp_path / f"c{number}", XID, xids=xids))
        for number, xids in enumerate(("[79]", "[79, 48]"))
    ]
    assert [row.right for row in rows if row] == [True, False]


def test_a_case_without_a_fault_may_raise_nothing(tmp_path: Path) -> None:
    """Whatever its text is."""
    quiet = score(_case(tmp_path / "quiet", "all is well\n", negative="true"))
    loud = score(_case(tmp_path / "loud", XID, negative="true"))
    assert quiet is not None
    assert loud is not None
    assert (quiet.right, loud.right) == (True, False)


def test_what_holds_no_kernel_line_is_left_out(tmp_path: Path) -> None:
    """A table of another tool is not for this source."""
    assert score(_case(tmp_path / "smi", "GPU 0: NVIDIA H100\n")) is None


def test_lines_go_through_the_source_that_an_agent_runs() -> None:
    """With the address that an earlier line gave, and the form of /dev/kmsg taken off."""
    lines = (
        "NVRM: The NVIDIA GPU 0000:b3:00.0",
        "NVRM: fallen off the bus and is not responding to commands.",
    )
    (event,) = told("\n".join(f"4,{number},100,-;{line}" for number, line in enumerate(lines)))
    assert (event.kind, event.device) == (events.GPU_LOST, "0000:b3:00.0")


def test_examples_of_a_catalogue_are_read_as_shapes(tmp_path: Path) -> None:
    """Its own shape, another, or nothing."""
    catalogue = tmp_path / "shapes.yaml"
    catalogue.write_text(
        json.dumps({"patterns": [{"id": "nvrm_xid", "examples": [{"line": XID}, {"line": "eth0: link up"}]}]})
    )
    assert [row.seen for row in lines_of(catalogue)] == ["nvrm_xid", ""]


def test_the_exit_code_tells_whether_all_were_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 when all are, 1 when not, 2 without a case."""
    assert main(["--cases", str(tmp_path)]) == 2
    _case(tmp_path / "one", XID, xids="[79]")
    assert main(["--cases", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["right"] == 1
    _case(tmp_path / "two", XID, xids="[48]")
    assert main(["--cases", str(tmp_path)]) == 1
    assert "WRONG" in capsys.readouterr().out
