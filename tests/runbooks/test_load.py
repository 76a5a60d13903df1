"""Tests of reading runbooks: what is wrong is told with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runbooks.rig import packaged_library

from ringwatch_proto.errors import RunbookError
from ringwatch_runbooks.load import ACTIONS_FILE, actions_of, load_library, packaged, runbook_of

GOOD = """\
schema: runbook/v1
id: small
revision: 1
title: {en: A small runbook, zh: 小手册}
first_rule: {en: Look first, zh: 先看}
severity: warning
triggers: [{kind: straggler.compute}]
never: [act before you look]
sources: ["https://example.org"]
steps:
  - id: look
    kind: ask
    title: Is it slow?
    question: Is it slow?
    options: [{answer: "yes", goto: over}, {answer: "no", goto: over}]
  - id: over
    kind: end
    outcome: handed_over
    note: Others have it
"""


def test_a_good_file_is_read() -> None:
    """Every part of the file arrives in the model."""
    book = runbook_of(GOOD, "small.yaml")

    assert (book.id, book.revision, book.title.zh) == ("small", 1, "小手册")
    assert [step.id for step in book.steps] == ["look", "over"]
    assert book.lines["over"] == 16
    assert book.digest


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("revision: 1", "revision: one", 3, "integer"),
        ("revision: 1", "revision: 1\nrevision: 2", 4, "twice"),
        ("severity: warning", "severity: loud", 6, "loud"),
        ("severity: warning", "severity: warning\ncolour: red", 7, "colour"),
        ("    kind: ask", "    kind: ask\n    on: node", 13, "no text"),
        ("    kind: ask", "    kind: ask\n    run: reboot", 13, "run"),
        ("    kind: ask", "    kind: shell", 12, "shell"),
        ("    question: Is it slow?\n", "", 11, "question"),
        ('"yes"', "yes", 15, "True"),
        ("id: over\n    kind: end", "id: look\n    kind: end", 16, "second step"),
        ("outcome: handed_over", "outcome: fixed", 18, "fixed"),
        ("zh: 小手册", "de: klein", 4, "de"),
        ("schema: runbook/v1", "schema: runbook/v2", 1, "runbook/v1"),
        ("steps:", "steps: &a", 0, ""),
        ("title: {en: A small runbook", "title: {en: !!python/name:os.system x", 4, "not YAML"),
        ("severity: warning", "severity: [", 8, "not YAML"),
        ('["https://example.org"]', "[file:///etc/passwd]", 9, "https"),
    ],
)
def test_a_wrong_file_is_told_with_file_and_line(old: str, new: str, line: int, words: str) -> None:
    """Whoever wrote it has to find the place."""
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    if not line:  # an anchor without an alias is harmless
        assert runbook_of(text, "small.yaml").id == "small"
        return

    with pytest.raises(RunbookError) as error:
        runbook_of(text, "small.yaml")

    assert str(error.value).startswith(f"small.yaml:{line}: "), error.value
    assert words in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "just text", "a: &x [*x]", "{" * 5000, "a: b\n---\nc: d", "\x00"])
def test_what_is_no_runbook_is_refused(text: str) -> None:
    """Whatever lies in the folder, the others are still read."""
    with pytest.raises(RunbookError, match=r"^odd\.yaml:\d+: "):
        runbook_of(text, "odd.yaml")


@given(st.binary(max_size=400), st.integers(0, len(GOOD)))
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_read_or_refused(noise: bytes, at: int) -> None:
    """Nothing but a RunbookError comes out of a file."""
    text = GOOD[:at] + noise.decode("latin-1") + GOOD[at:]

    assert _told(text) in ("", "odd.yaml")


@given(st.integers(0, 4000), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_a_cut_library_file_is_read_or_refused(at: int, length: int) -> None:
    """A file that was saved in the middle of an edit."""
    text = (packaged() / "hang.yaml").read_text(encoding="utf-8")

    assert _told(text[:at] + text[at + length :]) in ("", "odd.yaml")


def _told(text: str) -> str:
    """Return the file that a refusal names, empty when the text is a runbook."""
    try:
        runbook_of(text, "odd.yaml")
    except RunbookError as error:
        return str(error).partition(":")[0]
    return ""


def test_an_action_is_a_verb_or_a_call_and_not_both() -> None:
    """Either an agent does it or an adapter."""
    text = (packaged() / ACTIONS_FILE).read_text(encoding="utf-8")
    both = text.replace(
        "    verb: gpu.reset_clocks\n", "    verb: gpu.reset_clocks\n    call: scheduler.drain\n"
    )

    with pytest.raises(RunbookError, match=r"^actions\.yaml:\d+: actions\.reset_gpu_clocks"):
        actions_of(both, "actions.yaml")


def test_a_wrong_file_leaves_the_others_readable(tmp_path: Path) -> None:
    """An operator's typing mistake must not take the library away at night."""
    (tmp_path / "small.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "wrong.yaml").write_text("id: [", encoding="utf-8")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")

    library = load_library([tmp_path])

    assert "small" in library.runbooks
    assert set(packaged_library().runbooks) < set(library.runbooks)
    assert [trouble.rpartition("/")[2].split(":")[0] for trouble in library.troubles] == [
        "bytes.yaml",
        "wrong.yaml",
    ]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A wrong setting is not silent."""
    assert "no such folder" in load_library([tmp_path / "nothing"]).troubles[0]


def test_an_operators_file_replaces_one_of_the_library(tmp_path: Path) -> None:
    """A site knows its own machines better."""
    (tmp_path / "mine.yaml").write_text(GOOD.replace("id: small", "id: thermal"), encoding="utf-8")

    assert load_library([tmp_path]).runbooks["thermal"].title.en == "A small runbook"
