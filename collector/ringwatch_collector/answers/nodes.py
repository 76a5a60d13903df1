"""Answers about nodes and their GPUs. A stale reading is NaN, never the last good value."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import numpy as np

from ringwatch_collector.answers.standing import Standing, word_of, worst
from ringwatch_collector.fleet.nodes import Node
from ringwatch_collector.fleet.state import FleetState
from ringwatch_collector.view import FleetView, Seconds
from ringwatch_proto.signals import BY_NAME, GpuState, Table
from ringwatch_proto.v1 import query_pb2

_SHOWN: Final = {
    "utilization_percent": BY_NAME["gpu.utilization_percent"].id,
    "power_watts": BY_NAME["gpu.power_watts"].id,
    "temperature_celsius": BY_NAME["gpu.temperature_celsius"].id,
    "sm_clock_mhz": BY_NAME["gpu.sm_clock_mhz"].id,
}
_STATE: Final = BY_NAME["gpu.state"].id
_READING_AGE: Final = BY_NAME["gpu.reading_age_s"].id
# NVML may lag behind the agent by this before its values stop standing for now.
_STALE_READING_S: Final = 5.0
_GPU_WORDS: Final[dict[int, str]] = {
    GpuState.OK: "ok",
    GpuState.LOST: "lost",
    GpuState.NEEDS_RESET: "fault",
    GpuState.NOT_ANSWERING: "silent",
    GpuState.FAILING: "warn",
}


class NodeAnswers:
    """Summaries of every node at one instant."""

    def __init__(self, fleet: FleetState, view: FleetView, standing: Standing, silent_s: float) -> None:
        self._fleet = fleet
        self._view = view
        self._standing = standing
        self._silent_s = silent_s
        self._age_s: Seconds = view.now_s - view.nodes.last_batch_s
        self._ranks = _ranks_by_gpu(view)
        self._job_of_node = _jobs_by_node(view)
        self._gpus = self._gpu_summaries()

    def all(self) -> list[query_pb2.NodeSummary]:
        """Return every node, in the order in which they were first seen."""
        return [self.summary(node) for node in self._fleet.nodes.all()]

    def is_silent(self, index: int) -> bool:
        """Return whether nothing has come from the node for too long."""
        return bool(self._age_s[index] > self._silent_s)

    def summary(self, node: Node) -> query_pb2.NodeSummary:
        """Return one node."""
        index = node.index
        state, note = self._state(node)
        age_s = float(self._age_s[index])
        hello = node.hello
        return query_pb2.NodeSummary(
            node=node.name,
            state=state,
            note=note,
            last_seen_age_s=max(0.0, age_s) if np.isfinite(age_s) else float("nan"),
            labels=dict(hello.labels) if hello is not None else {},
            simulated=bool(self._view.nodes.simulated[index]),
            gpus=self._gpus.get(index, []),
            job=self._job_of_node.get(index, ""),
            clock_offset_s=float(self._view.nodes.clock_offset_s[index]),
        )

    def _state(self, node: Node) -> tuple[str, str]:
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
        words += ["fault" for gpu in self._gpus.get(index, []) if gpu.state in ("lost", "fault", "silent")]
        first = max(incidents, key=lambda incident: incident.severity, default=None)
        return worst(words), first.summary if first is not None else ""

    def _gpu_summaries(self) -> dict[int, list[query_pb2.GpuSummary]]:
        table = self._view.gpu
        rows_age = table.age_s(self._view.now_s)
        ages = rows_age + np.nan_to_num(table.latest(_READING_AGE))
        stale = (rows_age > self._silent_s) | (ages > _STALE_READING_S)
        values = {name: np.where(stale, np.nan, table.latest(signal)) for name, signal in _SHOWN.items()}
        states = np.where(rows_age > self._silent_s, np.nan, table.latest(_STATE))
        found: dict[int, list[query_pb2.GpuSummary]] = defaultdict(list)
        names = {index: self._device_names(index) for index in np.unique(table.node_of).tolist()}
        for row, (index, device) in enumerate(zip(table.node_of.tolist(), table.devices, strict=True)):
            job, rank = self._ranks.get((index, device), ("", -1))
            found[index].append(
                query_pb2.GpuSummary(
                    id=device,
                    name=names[index].get(device, device),
                    state=self._gpu_state(index, device, float(states[row]), bool(stale[row])),
                    reading_age_s=float(ages[row]),
                    job=job,
                    rank=rank,
                    **{name: float(column[row]) for name, column in values.items()},
                )
            )
        return found

    def _device_names(self, index: int) -> dict[str, str]:
        hello = self._fleet.nodes.at(index).hello
        tables = hello.tables if hello is not None else ()
        return {
            device.id: device.name or device.id
            for table in tables
            if int(table.table) == Table.GPU
            for device in table.devices
        }

    def _gpu_state(self, index: int, device: str, state: float, stale: bool) -> str:
        if self._view.nodes.drained[index]:
            return "drained"
        words = [word_of(each) for each in self._standing.of_device(self._view.nodes.names[index], device)]
        if np.isfinite(state):
            words.append(_GPU_WORDS.get(int(state), "unknown"))
        elif not words:
            return "silent" if self.is_silent(index) else "unknown"
        word = worst(words)
        return "silent" if word == "ok" and stale else word


def _ranks_by_gpu(view: FleetView) -> dict[tuple[int, str], tuple[str, int]]:
    return {
        (node, gpu): (job.job, rank)
        for job in view.jobs
        for node, gpu, rank in zip(job.node_of.tolist(), job.gpu_of, job.ranks.tolist(), strict=True)
        if gpu
    }


def _jobs_by_node(view: FleetView) -> dict[int, str]:
    return {node: job.job for job in view.jobs for node in np.unique(job.node_of).tolist()}
