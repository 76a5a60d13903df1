"""Runs every judge over what was read. Composes; judges nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from ringwatch_collector.diagnosis import (
    board,
    codes,
    guesses,
    link_lines,
    messages,
    netdevs,
    ports,
    ranking,
    ranks,
    readings,
    steps,
)
from ringwatch_collector.diagnosis.conclusion import Answer, Conclusion
from ringwatch_collector.diagnosis.scene import Scene
from ringwatch_knowledge.observation import Observation

JUDGES: Final[tuple[Callable[[Scene], Iterator[Conclusion]], ...]] = (
    codes.judge,
    messages.judge,
    readings.judge,
    board.judge,
    ports.judge,
    netdevs.judge,
    link_lines.judge,
    ranks.judge,
    steps.judge,
    guesses.judge,
)


def diagnose(observations: Iterable[Observation], *, recognised_log: bool = False) -> Answer:
    """Return what the observations show; ``recognised_log`` says that they stem from a log with times."""
    scene = Scene(observations)
    found = [each for judge in JUDGES for each in judge(scene)]
    return ranking.rank(scene, found, recognised_log)
