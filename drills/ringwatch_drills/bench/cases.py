"""``ringwatch bench cases``: diagnose, scored on a folder of cases with known answers.

A case is a folder with ``case.yaml``: the names of its evidence files and, under ``expected``, the
answer in fixed words (component, fault and action class, each with a list of others that are also
right, the line that is the root, and whether the loudest message is root or effect).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import yaml

from ringwatch_agent.evidence import app as evidence
from ringwatch_agent.evidence import files
from ringwatch_collector.diagnosis import app as diagnosis
from ringwatch_collector.diagnosis.conclusion import Answer, Conclusion

_NONE: Final = {
    "healthy": "none.healthy",
    "benign": "none.benign",
    "cannot_tell": "unknown.needs_more_evidence",
}
# Lies beside the evidence and says what was injected: never shown to what is scored.
_GROUND_TRUTH: Final = frozenset({"fault_injection.log"})
QUESTIONS: Final = ("component", "fault", "action", "root_line", "root_or_effect")


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How one case was answered: each question right or wrong, and what was said."""

    case: str
    established: bool
    negative: bool
    tuning: bool
    right: dict[str, bool]
    accused: bool
    said: str
    wanted: str


def told(answer: Answer) -> tuple[str, str]:
    """Return fault and action class of an answer, for no fault as well."""
    if answer.conclusions:
        return answer.conclusions[0].fault_class, answer.conclusions[0].first_step
    fault = _NONE[answer.verdict]
    return fault, "more_evidence" if fault.startswith("unknown") else "none"


def _in(value: str, expected: dict[str, Any], key: str) -> bool:
    return value in [expected[f"{key}_class"], *(expected.get(f"{key}_accept") or [])]


def _quotes(answer: Answer, root_line: str) -> bool:
    if not root_line:
        return True
    top: Conclusion | None = answer.conclusions[0] if answer.conclusions else None
    return top is not None and any(root_line in each.text for each in top.evidence)


def _role_agrees(answer: Answer, expected: str) -> bool:
    if not answer.conclusions:
        return expected == "none"
    top = answer.conclusions[0]
    if expected == "root":
        return top.role == "root"
    if expected == "effect":
        return top.role == "effect" or bool(top.explains)
    return expected == "mixed"


def is_tuning(case: str) -> bool:
    """Say in which half of the cases this one lies: a hash decides, nobody."""
    return sha256(case.encode()).digest()[0] % 2 == 0


def _answer(shown: Iterable[Path]) -> Answer:
    reading = evidence.Reading()
    seen = list(evidence.observations(files.opened(shown, reading.refuse), reading))
    return diagnosis.diagnose(seen, recognised_log=reading.logs > 0)


def score(folder: Path) -> Score:
    """Diagnose one case and compare."""
    case = yaml.safe_load((folder / "case.yaml").read_text(encoding="utf-8"))
    expected = case["expected"]
    shown = [folder / name for name in case["evidence"] if name not in _GROUND_TRUTH]
    answer = _answer(shown)
    fault, action = told(answer)
    return Score(
        case=folder.name,
        established="inferred" not in case.get("diagnosis_basis", "inferred"),
        negative=bool(case.get("negative")),
        tuning=is_tuning(folder.name),
        right={
            "component": _in(fault.partition(".")[0], expected, "component"),
            "fault": _in(fault, expected, "fault"),
            "action": _in(action, expected, "action"),
            "root_line": _quotes(answer, expected.get("root_line") or ""),
            "root_or_effect": _role_agrees(answer, expected["root_or_effect"]),
        },
        accused=bool(case.get("negative")) and bool(answer.conclusions),
        said=f"{fault} -> {action}",
        wanted=f"{expected['fault_class']} -> {expected['action_class']} ({expected['root_or_effect']})",
    )


def summary(scores: Sequence[Score]) -> dict[str, float]:
    """Return the share of right answers to each question, and how many healthy cases were accused."""
    count = len(scores)
    shares = {
        name: round(sum(each.right[name] for each in scores) / count, 3) if count else 0.0
        for name in QUESTIONS
    }
    return {
        "n": count,
        **shares,
        "right": sum(all(each.right.values()) for each in scores),
        "negatives": sum(each.negative for each in scores),
        "negatives_accused": sum(each.accused for each in scores),
    }


def main(argv: Sequence[str]) -> int:
    """Score every case of a folder and print the misses and the shares."""
    parser = argparse.ArgumentParser(prog="ringwatch bench cases", description=__doc__)
    parser.add_argument("--cases", type=Path, required=True, help="folder of cases")
    parser.add_argument("--half", choices=("tuning", "held-out"), help="only this half")
    parser.add_argument("--json", action="store_true", help="one object with all shares as the last line")
    options = parser.parse_args(argv)
    folders = sorted(each.parent for each in options.cases.glob("*/case.yaml"))
    if options.half:
        folders = [each for each in folders if is_tuning(each.name) == (options.half == "tuning")]
    scores = [score(each) for each in folders]
    for each in scores:
        wrong = [name for name, right in each.right.items() if not right]
        if wrong:
            sys.stdout.write(
                f"miss {each.case}: {', '.join(wrong)}; said {each.said}; wanted {each.wanted}" + "\n"
            )
    groups = {
        "established": [each for each in scores if each.established],
        "tuning": [each for each in scores if each.tuning],
        "held_out": [each for each in scores if not each.tuning],
        "all": scores,
    }
    sys.stdout.write(json.dumps({name: summary(rows) for name, rows in groups.items()}) + "\n")
    return 0 if scores else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
