"""The nodes of the fleet: who they are, when they were heard, what their Hello bound. Judges nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ringwatch_collector.fleet.clocks import NodeClock
from ringwatch_collector.fleet.table import Binding
from ringwatch_collector.view import Flags, Ints, NodesView, Seconds
from ringwatch_proto.signals import Table
from ringwatch_proto.v1 import telemetry_pb2 as wire

_DRAINED_LABEL = "drained"
_RACK_LABEL = "rack"


@dataclass(slots=True, kw_only=True)
class Node:
    """One node. ``hello`` is None for a node that an earlier collector knew and that is silent since."""

    index: int
    name: str
    clock: NodeClock
    hello: wire.Hello | None = None
    bindings: dict[Table, Binding] = field(default_factory=dict)
    # rank_row -> index into jobs_here, -1 for none; and -> rank.
    jobs_here: list[str] = field(default_factory=list)
    job_of_row: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    rank_of_row: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    communicators: dict[int, tuple[str, str, tuple[int, ...]]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)


class Nodes:
    """All nodes, in the order in which they were first seen; an index is never used again."""

    def __init__(self) -> None:
        self._by_name: dict[str, Node] = {}
        self._nodes: list[Node] = []
        self._names: list[str] = []
        self._racks: list[str] = []
        self.connected: Flags = np.zeros(64, np.bool_)
        self.last_batch_s: Seconds = np.full(64, -np.inf)
        self.first_seen_s: Seconds = np.zeros(64)
        self.clock_offset_s: Seconds = np.zeros(64)
        self.simulated: Flags = np.zeros(64, np.bool_)
        self.drained: Flags = np.zeros(64, np.bool_)

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, name: str) -> Node | None:
        """Return the node of that name."""
        return self._by_name.get(name)

    def at(self, index: int) -> Node:
        """Return the node of that index."""
        return self._nodes[index]

    def all(self) -> list[Node]:
        """Return every node in index order."""
        return self._nodes

    def add(self, name: str, now_s: float) -> Node:
        """Return the node of that name, known from now on."""
        node = self._by_name.get(name)
        if node is None:
            node = Node(index=len(self._nodes), name=name, clock=NodeClock())
            self._nodes.append(node)
            self._names.append(name)
            self._racks.append("")
            self._by_name[name] = node
            if node.index >= self.connected.size:
                self._grow()
            self.first_seen_s[node.index] = now_s
        return node

    def _grow(self) -> None:
        size = self.connected.size
        self.connected = np.concatenate([self.connected, np.zeros(size, np.bool_)])
        self.last_batch_s = np.concatenate([self.last_batch_s, np.full(size, -np.inf)])
        self.first_seen_s = np.concatenate([self.first_seen_s, np.zeros(size)])
        self.clock_offset_s = np.concatenate([self.clock_offset_s, np.zeros(size)])
        self.simulated = np.concatenate([self.simulated, np.zeros(size, np.bool_)])
        self.drained = np.concatenate([self.drained, np.zeros(size, np.bool_)])

    def hello(self, node: Node, hello: wire.Hello) -> None:
        """Take over what a node says about itself."""
        node.hello = hello
        self.simulated[node.index] = hello.simulated
        self._racks[node.index] = hello.labels.get(_RACK_LABEL, "")
        self.drained[node.index] = hello.labels.get(_DRAINED_LABEL, "") in ("1", "true", "yes")

    def forget(self, node: Node) -> None:
        """Expect nothing of a node any more, as if it had never been heard."""
        node.hello = None
        self.connected[node.index] = False
        self.last_batch_s[node.index] = -np.inf
        self.first_seen_s[node.index] = 0.0

    def labels_of(self, name: str) -> Mapping[str, str]:
        """Return what a node says of where it stands, nothing for one that was not heard."""
        node = self._by_name.get(name)
        return node.hello.labels if node is not None and node.hello is not None else {}

    def view(self) -> NodesView:
        """Return what detectors see."""
        count = len(self._nodes)
        return NodesView(
            names=self._names,
            connected=self.connected[:count],
            last_batch_s=self.last_batch_s[:count],
            first_seen_s=self.first_seen_s[:count],
            clock_offset_s=self.clock_offset_s[:count],
            simulated=self.simulated[:count],
            drained=self.drained[:count],
            racks=self._racks,
        )
