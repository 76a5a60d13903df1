"""The scorer tells right from wrong; known cases keep their answers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from ringwatch_drills.bench import cases

EXPECTED = {
    "component_class": "gpu", "component_accept": [], "fault_class": "gpu.off_bus", "fault_accept": [],
    "action_class": "reboot_node", "action_accept": [], "root_or_effect": "root", "root_line": "fallen off the bus",  # noqa: E501
}  # fmt: skip


def _case(folder: Path, **changes: object) -> Path:
    folder.mkdir()
    (folder / "evidence.log").write_text(
        "[1.0] NVRM: Xid (PCI:0000:0a:00): 79, pid=1, name=a, GPU has fallen off the bus.\n"
    )
    document = {"evidence": ["evidence.log"], "diagnosis_basis": "stated", "expected": EXPECTED | changes}
    (folder / "case.yaml").write_text(yaml.safe_dump(document))
    return folder


def test_right_answer_scores_on_every_question(tmp_path: Path) -> None:
    """All five questions are right."""
    assert all(cases.score(_case(tmp_path / "a")).right.values())


@pytest.mark.parametrize(
    ("key", "value", "question"),
    [
        ("component_class", "nvlink", "component"),
        ("fault_class", "gpu.missing", "fault"),
        ("action_class", "watch", "action"),
        ("root_line", "no such words", "root_line"),
        ("root_or_effect", "effect", "root_or_effect"),
    ],
)
def test_wrong_expectation_is_a_miss(tmp_path: Path, key: str, value: str, question: str) -> None:
    """Each question can be missed by itself."""
    right = cases.score(_case(tmp_path / "a", **{key: value})).right
    assert [name for name, each in right.items() if not each] == [question]


def _known_cases() -> Path | None:
    told = os.environ.get("RINGWATCH_CASES")
    folder = Path(told) if told else Path(__file__).parents[3] / "shared" / "cases"
    return folder if folder.is_dir() else None


def test_known_cases_accuse_no_healthy_machine() -> None:
    """A wrong blame costs more than a late one."""
    folder = _known_cases()
    if folder is None:
        pytest.skip("no folder of cases: set RINGWATCH_CASES to one")
    scores = [cases.score(each.parent) for each in sorted(folder.glob("*/case.yaml"))]
    assert [each.case for each in scores if each.accused] == []
    shares = cases.summary([each for each in scores if each.established])
    assert shares["component"] >= 0.95
    assert shares["fault"] >= 0.9
    assert shares["action"] >= 0.9
