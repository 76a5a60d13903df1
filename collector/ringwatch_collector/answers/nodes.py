"""Answers about nodes and their GPUs. A stale reading is NaN, never the last good value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_collector.answers.node_bytes import (
    GPU_FLOATS,
    NodeText,
    node_bytes,
    packed_floats,
    state_field,
    text_of,
)
from ringwatch_collector.answers.standing import Standing, word_of, worst
from ringwatch_collector.fleet.nodes import Node
from ringwatch_collector.fleet.state import FleetState
from ringwatch_collector.view import FleetView, Seconds
from ringwatch_proto.signals import BY_NAME, GpuState, Table
from ringwatch_proto.v1 import query_pb2

_SHOWN: Final = {name: BY_NAME[f"gpu.{name}"].id for name in GPU_FLOATS if name != "reading_age_s"}
_STATE: Final = BY_NAME["gpu.state"].id
_READING_AGE: Final = BY_NAME["gpu.reading_age_s"].id
# NVML may lag behind the agent by this before its values stop standing for now.
_STALE_READING_S: Final = 5.0
_WORDS: Final = ("ok", "lost", "fault", "silent", "warn", "unknown", "slow", "drained")
_OK, _LOST, _FAULT, _SILENT, _WARN, _UNKNOWN = range(6)
_BAD: Final = (_LOST, _FAULT, _SILENT)
_CODES: Final[dict[int, int]] = {
    GpuState.OK: _OK,
    GpuState.LOST: _LOST,
    GpuState.NEEDS_RESET: _FAULT,
    GpuState.NOT_ANSWERING: _SILENT,
    GpuState.FAILING: _WARN,
}
_STATE_FIELDS: Final = tuple(state_field(word) for word in _WORDS)

Codes = NDArray[np.int64]


class NodeTexts:
    """What stands still of each node's summary, kept from one answer to the next."""

    def __init__(self) -> None:
        self._texts: dict[int, NodeText] = {}
        self._key: tuple[tuple[int, int], ...] = ()
        self._version = 0
        self._ranks: dict[tuple[int, str], tuple[str, int]] = {}
        self._job_of_node: dict[int, str] = {}

    def follow(self, fleet: FleetState, view: FleetView) -> None:
        """Look at the jobs again when ranks came, went or moved."""
        key = tuple((job.number, job.layout) for job in fleet.jobs)
        if key != self._key:
            self._key = key
            self._version += 1
            self._ranks = _ranks_by_gpu(view)
            self._job_of_node = _jobs_by_node(view)

    def of(self, node: Node) -> NodeText:
        """Return what stands still of a node's summary."""
        known = self._texts.get(node.index)
        if known is not None and known.hello is node.hello and known.version == self._version:
            return known
        binding = node.bindings.get(Table.GPU)
        devices = binding.devices if binding is not None else ()
        ranks = tuple(self._ranks.get((node.index, device), ("", -1)) for device in devices)
        job = self._job_of_node.get(node.index, "")
        text = text_of(node.name, node.hello, devices=devices, ranks=ranks, job=job, version=self._version)
        self._texts[node.index] = text
        return text


class NodeAnswers:
    """Summaries of nodes at one instant."""

    def __init__(
        self,
        fleet: FleetState,
        view: FleetView,
        standing: Standing,
        silent_s: float,
        texts: NodeTexts | None = None,
    ) -> None:
        self._fleet = fleet
        self._view = view
        self._standing = standing
        self._silent_s = silent_s
        self._age_s: Seconds = view.now_s - view.nodes.last_batch_s
        self._texts = texts or NodeTexts()
        self._texts.follow(fleet, view)

    def is_silent(self, index: int) -> bool:
        """Return whether nothing has come from the node for too long."""
        return bool(self._age_s[index] > self._silent_s)

    def summary(self, node: Node) -> query_pb2.NodeSummary:
        """Return one node."""
        (summary,) = query_pb2.Fleet.FromString(self.packed([node])).nodes
        return summary

    def packed(self, nodes: Sequence[Node]) -> bytes:
        """Return nodes in their order, as the bytes of ``Fleet.nodes``."""
        bindings = [node.bindings.get(Table.GPU) for node in nodes]
        places = [(each.first, each.rows) if each is not None else (0, 0) for each in bindings]
        first = min((at for at, rows in places if rows), default=0)
        last = max((at + rows for at, rows in places if rows), default=0)
        codes, floats = self._gpus(slice(first, last))
        found = []
        for node, (at, rows) in zip(nodes, places, strict=True):
            here = codes[at - first : at - first + rows].tolist() if rows else []
            here = self._with_incidents(node, here)
            fields = [_STATE_FIELDS[code] for code in here]
            found.append(
                node_bytes(self._texts.of(node), self._moving(node, here), fields, floats, at - first)
            )
        return b"".join(found)

    def _gpus(self, rows: slice) -> tuple[Codes, bytes]:
        """Return the state and the packed readings of some rows of the table, incidents left out."""
        table = self._fleet.tables[Table.GPU]
        rows_age = np.maximum(self._view.now_s - table.at_s(rows), 0.0)
        ages = rows_age + np.nan_to_num(table.now(_READING_AGE, rows))
        silent = rows_age > self._silent_s
        stale = silent | (ages > _STALE_READING_S)
        shown = [np.where(stale, np.nan, table.now(signal, rows)) for signal in _SHOWN.values()]
        said = np.where(silent, np.nan, table.now(_STATE, rows))
        codes = np.full(said.size, _UNKNOWN, np.int64)
        for state, code in _CODES.items():
            codes[said == state] = code
        codes[(codes == _OK) & stale] = _SILENT
        nodes = table.node_of(rows)
        codes[np.isnan(said) & (nodes >= 0) & (self._age_s[nodes] > self._silent_s)] = _SILENT
        return codes, packed_floats([*shown, ages])

    def _with_incidents(self, node: Node, codes: list[int]) -> list[int]:
        """Return the states with what incidents say of the node's GPUs."""
        if self._view.nodes.drained[node.index]:
            return [_WORDS.index("drained")] * len(codes)
        if not self._standing.of_node(node.name):
            return codes
        devices = node.bindings[Table.GPU].devices if codes else ()
        return [self._worse(node, device, code) for device, code in zip(devices, codes, strict=True)]

    def _worse(self, node: Node, device: str, code: int) -> int:
        words = [word_of(each) for each in self._standing.of_device(node.name, device)]
        return _WORDS.index(worst([*words, _WORDS[code]])) if words else code

    def _moving(self, node: Node, codes: Sequence[int]) -> bytes:
        index = node.index
        state, note = self._state(node, codes)
        age_s = float(self._age_s[index])
        return query_pb2.NodeSummary(
            state=state,
            note=note,
            last_seen_age_s=max(0.0, age_s) if np.isfinite(age_s) else float("nan"),
            clock_offset_s=float(self._view.nodes.clock_offset_s[index]),
        ).SerializeToString()

    def _state(self, node: Node, codes: Sequence[int]) -> tuple[str, str]:
        view, index = self._view, node.index
        if view.nodes.drained[index]:
            return "drained", "taken out of service by its label"
        if node.hello is None and view.now_s - view.started_s < self._silent_s:
            return "unknown", "not heard since the collector started"
        if self.is_silent(index):
            heard = np.isfinite(self._age_s[index])
            return "silent", f"no reading for {self._age_s[index]:.0f} s" if heard else "never heard"
        incidents = self._standing.of_node(node.name)
        words = [word_of(incident) for incident in incidents]
        words = ["fault" if word == "lost" else word for word in words]
        words += ["fault" for code in codes if code in _BAD]
        first = max(incidents, key=lambda incident: incident.severity, default=None)
        return worst(words), first.summary if first is not None else ""


def _ranks_by_gpu(view: FleetView) -> dict[tuple[int, str], tuple[str, int]]:
    return {
        (node, gpu): (job.job, rank)
        for job in view.jobs
        for node, gpu, rank in zip(job.node_of.tolist(), job.gpu_of, job.ranks.tolist(), strict=True)
        if gpu
    }


def _jobs_by_node(view: FleetView) -> dict[int, str]:
    return {node: job.job for job in view.jobs for node in np.unique(job.node_of).tolist()}
