"""Scores published rules on runs that ours were scored on. Slow ranks only: they say nothing of the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ringwatch_drills.bench.detection.baselines import BASELINES, Seen
from ringwatch_drills.bench.detection.run import Ran
from ringwatch_drills.bench.detection.scenario import GUILTY, SLOW, Trouble

# What a rule over own work of ranks can see at all.
BY_RANK: Final = frozenset(SLOW - {"slow_link", "nvlink_slow"})


@dataclass(slots=True)
class Tally:
    """What one rule got right and wrong so far."""

    faults: int = 0
    named: int = 0
    top1: int = 0
    right: int = 0
    wrong: int = 0
    delays: list[float] = field(default_factory=list)
    clean_accused: int = 0
    clean_rank_days: float = 0.0

    def summary(self) -> dict[str, float | None]:
        """Return the figures."""
        pages = self.right + self.wrong
        return {
            "precision": self.right / pages if pages else None,
            "recall": self.named / self.faults if self.faults else None,
            "top1": self.top1 / self.faults if self.faults else None,
            "delay_steps_p50": float(np.median(self.delays)) if self.delays else None,
            "false_pages_per_1000_rank_days": 1000.0 * self.clean_accused / self.clean_rank_days
            if self.clean_rank_days
            else None,
        }


class Comparison:
    """All published rules, tallied over runs."""

    def __init__(self) -> None:
        self.tallies = {name: Tally() for name in BASELINES}

    def add(self, suite: str, ran: Ran) -> None:
        """Let every rule judge a run of slow ranks, or one in which nobody is guilty."""
        guilty = [(n, t) for n, t in enumerate(ran.scenario.troubles) if t.kind in GUILTY]
        if any(trouble.kind not in BY_RANK for _, trouble in guilty) or len(ran.series.own_s) < 12:
            return
        seen = _seen(ran)
        for name, rule in BASELINES.items():
            self._count(self.tallies[name], rule(seen), ran, guilty, suite)

    def _count(
        self, tally: Tally, accused: dict[int, int], ran: Ran, guilty: list[tuple[int, Trouble]], suite: str
    ) -> None:
        if suite == "clean":
            tally.clean_accused += len(accused)
            tally.clean_rank_days += ran.scenario.shape.ranks * ran.scenario.lasts_s / 86400.0
        ended, per_node = np.asarray(ran.steps_ended_s), ran.scenario.shape.per_node
        allowed: set[int] = set()
        for number, trouble in guilty:
            mine = _blamed(trouble, per_node, ran.scenario.shape.ranks)
            allowed |= mine
            after = {r: at for r, at in accused.items() if ended[at] > ran.onset_s[number]}
            hits = [at for rank, at in after.items() if rank in mine]
            tally.faults += 1
            tally.named += bool(hits)
            if hits:
                tally.top1 += min(after.values()) == min(hits) and sum(
                    at == min(hits) for at in after.values()
                ) <= len(mine)
                tally.delays.append(float(np.count_nonzero(ended[: min(hits) + 1] > ran.onset_s[number])))
        tally.right += sum(rank in allowed for rank in accused)
        tally.wrong += sum(rank not in allowed for rank in accused)


def _blamed(trouble: Trouble, per_node: int, ranks: int) -> set[int]:
    if trouble.kind != "node_slow":
        return {trouble.rank}
    first = trouble.rank // per_node * per_node
    return set(range(first, min(first + per_node, ranks)))


def _seen(ran: Ran) -> Seen:
    shape = ran.scenario.shape
    return Seen(
        own_s=np.asarray(ran.series.own_s, np.float64),
        wait_s=np.asarray(ran.series.wait_s, np.float64),
        step_s=np.asarray(ran.series.step_s),
        ended_s=np.asarray(ran.steps_ended_s),
        stage_of=np.arange(shape.ranks) // (shape.data * shape.tensor),
        node_of=np.arange(shape.ranks) // shape.per_node,
    )


def summaries(comparison: Comparison) -> dict[str, dict[str, float | None]]:
    """Return the figures of every rule."""
    return {name: tally.summary() for name, tally in comparison.tallies.items()}
