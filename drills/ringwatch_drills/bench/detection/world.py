"""What troubles reach for: the job, its devices, its processes and what it sends. Troubles nobody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ringwatch_drills.bench.detection.devices import Devices
from ringwatch_drills.bench.detection.feed import Feed, Processes
from ringwatch_drills.bench.detection.physics import Job
from ringwatch_drills.bench.detection.scenario import Scenario


@dataclass(slots=True, kw_only=True)
class World:
    """What troubles reach for. ``later`` holds what happens after the trouble itself."""

    scenario: Scenario
    job: Job
    devices: Devices
    feed: Feed
    processes: Processes
    dice: np.random.Generator
    later: list[tuple[float, Callable[[float], None]]] = field(default_factory=list)

    def node(self, rank: int) -> int:
        """Return the node of a rank."""
        return int(self.job.node_of[rank])

    def on_node(self, rank: int) -> slice:
        """Return the ranks of the rank's node."""
        per_node = self.scenario.shape.per_node
        first = self.node(rank) * per_node
        return slice(first, min(first + per_node, self.scenario.shape.ranks))

    def after(self, at_s: float, delay_s: float, send: Callable[[float], None]) -> None:
        """Do something at a later time."""
        self.later.append((at_s + delay_s, send))

    def stop_rank(self, rank: int, at_s: float) -> None:
        """Let a rank never come to its next collective."""
        starts = self.job.now.starts_s[:, rank]
        coming = np.flatnonzero(starts > at_s)
        self.job.conditions.held[rank] = True
        if coming.size:
            self.job.hold_now(rank, int(coming[0]))
