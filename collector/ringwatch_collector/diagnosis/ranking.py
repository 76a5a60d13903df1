"""Puts conclusions in order: what explains most first, what it explains under it. Finds nothing itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ringwatch_collector.diagnosis import guesses
from ringwatch_collector.diagnosis.conclusion import EFFECT, ROOT, Answer, Conclusion
from ringwatch_collector.diagnosis.scene import Scene
from ringwatch_knowledge.observation import Observation

_WEAK: Final = 85
# Kinds of reading that say "all is well" when nothing in them is wrong.
_TELLING: Final = frozenset(
    {
        "gpu",
        "port",
        "nvlink",
        "netdev",
        "nic",
        "profile",
        "negotiate",
        "step",
        "ras",
        "metric",
        "pcie",
        "busbw",
        "topology",
        "k8s",
        "rank",
        "familiar",
    }
)


def rank(scene: Scene, found: Iterable[Conclusion], recognised_log: bool) -> Answer:
    """Return the answer that the conclusions make together."""
    conclusions = _once(found)
    benign = tuple(each for each in conclusions if each.fault_class.startswith("none."))
    faults = _better_than_guesses([each for each in conclusions if not each.fault_class.startswith("none.")])
    faults.sort(key=lambda each: (_tier(each), each.urgency, each.first_s, -each.confidence))
    if faults:
        return Answer(verdict="fault", conclusions=tuple(_explained(faults)), benign=benign)
    unread = guesses.unread(scene)
    verdict = _nothing_wrong(scene, benign, recognised_log)
    if unread and verdict == "benign" and not benign:
        verdict = "cannot_tell"
    return Answer(verdict=verdict, conclusions=(), benign=benign, unread=unread)


def _better_than_guesses(faults: list[Conclusion]) -> list[Conclusion]:
    known = [each for each in faults if not each.guessed]
    return known or faults


def _tier(each: Conclusion) -> int:
    if each.urgency >= _WEAK:
        return 2
    return 1 if each.role == EFFECT else 0


def _once(found: Iterable[Conclusion]) -> list[Conclusion]:
    """Keep one conclusion of a fault: judges of different kinds of evidence may come to the same."""
    kept: dict[tuple[str, str], Conclusion] = {}
    for each in found:
        key = (each.fault_class, each.where if each.fault_class.startswith("none.") else "")
        had = kept.get(key)
        if had is None:
            kept[key] = each
            continue
        first, other = (had, each) if had.confidence >= each.confidence else (each, had)
        if {had.role, each.role} == {ROOT, EFFECT}:
            root, effect = (had, each) if had.role == ROOT else (each, had)
            kept[key] = replace(root, explains=(*root.explains, *effect.evidence))
            continue
        wheres = dict.fromkeys(part for part in (first.where, other.where) if part)
        kept[key] = replace(first, evidence=_joined(first, other), where=", ".join(wheres))
    return list(kept.values())


def _joined(first: Conclusion, other: Conclusion) -> tuple[Observation, ...]:
    lines = {(each.file, each.line, each.text): each for each in (*first.evidence, *other.evidence)}
    return tuple(lines.values())[:12]


def _explained(faults: list[Conclusion]) -> list[Conclusion]:
    """Call what follows from the first fault its effect."""
    top = faults[0]
    if top.role == EFFECT:
        return faults
    effects = [row for each in faults[1:] if each.role == EFFECT for row in each.evidence]
    return [replace(top, explains=(*top.explains, *effects)), *faults[1:]]


def _nothing_wrong(scene: Scene, benign: tuple[Conclusion, ...], recognised_log: bool) -> str:
    readings = sum(len(scene.of(kind)) for kind in _TELLING & scene.kinds())
    if benign and readings < 4 * sum(len(each.evidence) for each in benign):
        return "benign"
    if readings:
        return "healthy"
    return "benign" if recognised_log or scene.kinds() else "cannot_tell"
