"""What came since the last look, gathered so that numpy writes it in one pass. It writes nothing itself.

A numpy call costs about a microsecond however little it moves: thirty of them a batch are most of a
collector. Batches therefore wait, taken apart but not copied, until somebody looks at the fleet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ringwatch_collector.fleet.table import Binding, Shape
from ringwatch_collector.view import Flags, Ints, Seconds

# A batch that waits takes a few kilobytes: what waits is written once it is this much.
MOST_WAITING_BYTES: Final = 64 << 20


@dataclass(slots=True)
class Blocks:
    """Blocks of one shape: where each goes, when it was read, and its bytes."""

    firsts: list[int] = field(default_factory=list)
    at_s: list[float] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Packed:
    """Packed records of one kind: which batch of the wave, and the bytes."""

    batches: list[int] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)

    def put(self, batch: int, data: bytes) -> None:
        """Add the records of one batch."""
        self.batches.append(batch)
        self.data.append(data)

    def batch_of_each(self, record_bytes: int) -> Ints:
        """(records,) which batch of the wave each record came with."""
        counts = np.array([len(data) for data in self.data], np.int64) // record_bytes
        return np.repeat(np.array(self.batches, np.int64), counts)


@dataclass(slots=True)
class Wave:
    """At most one batch of each node, so that no write of a wave depends on the order within it."""

    nodes: list[int] = field(default_factory=list)
    at_s: list[float] = field(default_factory=list)
    correction_s: list[float] = field(default_factory=list)
    live: list[bool] = field(default_factory=list)
    blocks: dict[Shape, Blocks] = field(default_factory=dict)
    steps: Packed = field(default_factory=Packed)
    collectives: Packed = field(default_factory=Packed)
    rank_states: Packed = field(default_factory=Packed)
    flows: Packed = field(default_factory=Packed)

    def begin(self, node: int, at_s: float, correction_s: float, *, live: bool) -> int:
        """Add a batch and return its number within the wave."""
        self.nodes.append(node)
        self.at_s.append(at_s)
        self.correction_s.append(correction_s)
        self.live.append(live)
        return len(self.nodes) - 1

    def put_block(self, binding: Binding, at_s: float, values: bytes) -> None:
        """Add one block."""
        blocks = self.blocks.get(binding.shape)
        if blocks is None:
            blocks = self.blocks[binding.shape] = Blocks()
        blocks.firsts.append(binding.first)
        blocks.at_s.append(at_s)
        blocks.values.append(values)

    def columns(self) -> tuple[Ints, Seconds, Seconds, Flags]:
        """Return (node, time, clock correction, liveness) of each batch."""
        return (
            np.array(self.nodes, np.int64),
            np.array(self.at_s),
            np.array(self.correction_s),
            np.array(self.live, np.bool_),
        )


class Waves:
    """The waves that wait, first the one with each node's oldest batch."""

    def __init__(self) -> None:
        self._waves: list[Wave] = []
        self._depth: dict[int, int] = {}

    def of(self, node: int) -> Wave:
        """Return the wave for the next batch of a node."""
        depth = self._depth.get(node, 0)
        self._depth[node] = depth + 1
        if depth == len(self._waves):
            self._waves.append(Wave())
        return self._waves[depth]

    def holds(self, node: int) -> bool:
        """Return whether a batch of the node waits."""
        return node in self._depth

    def take(self) -> Iterator[Wave]:
        """Hand out what waits, oldest batches first, and begin anew."""
        waves, self._waves, self._depth = self._waves, [], {}
        return iter(waves)
