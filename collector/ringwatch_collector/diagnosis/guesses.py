"""Guesses from the words of lines whose shape nobody knows. Told only for want of anything better."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ringwatch_collector.diagnosis.conclusion import Conclusion
from ringwatch_collector.diagnosis.scene import Scene, quoted
from ringwatch_knowledge import line_signs
from ringwatch_knowledge.observation import Observation

# Words that take the alarm out of a line: a level below warning, nothing counted, an end that was good.
_QUIET: Final = re.compile(
    r"(?<!=)\bINFO\b|\bI\d{4} \d\d:\d\d:\d\d|\bDEBUG\b|\bTRACE\b|\[info\]"
    r"|\blevel=(?:info|debug)\b|(?:^|\s)Normal\s|: I \w+/"
    r"|\b[Nn]o \w{0,20} ?errors?\b|\b0 (?:\w+ ){0,2}errors?\b"
    r"|[Ee]rrors?['\"]?\s*[:=]\s*(?:0\b|[Nn]one|null|N/A)"
    r"|[Rr]ecovered|[Ss]ucce(?:ss|eded)|[Dd]eprecat|FutureWarning|UserWarning"
)
_HARMLESS: Final = frozenset(sign.id for sign in line_signs.signs() if sign.role == "benign")
# Seen anywhere, the first explains the others.
_EXPLAINS_AWAY: Final[dict[str, frozenset[str]]] = {
    "fm_no_switch": frozenset({"fm_not_running", "fm_query", "hint_fabric", "alarm"}),
    "rdma_lock_memory": frozenset({"efa_missing", "hint_rdma"}),
}
_MOST_QUOTED: Final = 4


def explained_away(scene: Scene, seen: Observation) -> bool:
    """Say whether another line shows that this one is no fault."""
    return any(seen.name in names and scene.signs(known) for known, names in _EXPLAINS_AWAY.items())


def judge(scene: Scene) -> Iterator[Conclusion]:
    """Yield the part of the system that most lines of unknown shape complain of."""
    for sign in line_signs.signs():
        if sign.role == "hint":
            seen = [
                each
                for each in scene.signs(sign.id)
                if _alarming(scene, each) and not explained_away(scene, each)
            ]
            if seen:
                yield Conclusion(
                    fault_class=sign.fault_class, evidence=quoted(seen, _MOST_QUOTED), role="mixed",
                    action=sign.action, confidence=0.3, guessed=True,
                    note="a guess from the words of these lines: no known message has this shape",
                    settle=("the documentation of the program that prints them",),
                )  # fmt: skip


def unread(scene: Scene) -> tuple[Observation, ...]:
    """Return lines with words of alarm that no shape explains."""
    lines = [each for each in scene.signs("alarm") if not explained_away(scene, each)]
    return quoted([each for each in lines if _alarming(scene, each)], _MOST_QUOTED)


def _alarming(scene: Scene, seen: Observation) -> bool:
    return not (scene.on_line(seen) & _HARMLESS or _QUIET.search(seen.text))
