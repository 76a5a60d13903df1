"""Simulated jobs and fleets as detectors see them. Shares no constant with the detectors.

A step of a rank is: wait for data, then for each collective its own work and the collective, which ends
for the whole group at ``max(start) + transfer``. Noise is heavy-tailed (Student's t with 3 degrees).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringwatch_collector.view import (
    CollectiveSlot,
    FleetView,
    FlowView,
    JobView,
    NodesView,
    RankStates,
    SeenEvent,
)
from ringwatch_proto.layout import Collective, Phase
from ringwatch_proto.signals import BY_NAME

NOW = 1_700_000_000.0
Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Op:
    """One collective of a step: who takes part in which group, and how long it takes when all are there."""

    name: str
    groups: Sequence[Sequence[int]]
    transfer_s: float
    share: float
    kind: Collective = Collective.ALL_REDUCE
    bytes: int = 2_000_000


@dataclass(kw_only=True)
class JobSpec:
    """What a simulated job does and what is wrong with it; ``slow`` and others are (steps, ranks) factors."""

    ranks: int = 4
    per_node: int = 1
    steps: int = 250
    work_s: float | Array = 0.060
    data_s: float = 0.004
    noise: float = 0.05
    ops: Sequence[Op] = ()
    slow: Callable[[Array], Array] | None = None
    extra_data_s: Callable[[Array], Array] | None = None
    pause_s: Callable[[Array], Array] | None = None
    transfer: Callable[[Array], Array] | None = None
    group_transfer: Mapping[str, Callable[[Array], Array]] = field(default_factory=dict)
    work_amount: Array | None = None
    tagged: bool = False
    reference: bool = True
    name: str = "llm"
    gpus: bool = False
    seed: int = 0

    def operations(self) -> Sequence[Op]:
        """Return the collectives: two gradient buckets of the whole job when none are given."""
        world = [range(self.ranks)]
        return self.ops or (
            Op(name="world", groups=world, transfer_s=0.015, share=0.6),
            Op(name="world", groups=world, transfer_s=0.012, share=0.4),
        )


def heavy(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> Array:
    """Return positive factors with heavy tails around 1."""
    return np.exp(np.clip(scale * rng.standard_t(3, shape), -1.5, 2.5))


def columns(spec: JobSpec, factor: Callable[[Array], Array] | None, default: float) -> Array:
    """Return (steps, ranks) of a trouble."""
    base = np.full((spec.steps, spec.ranks), default)
    return base if factor is None else factor(base)


def job(spec: JobSpec, now_s: float = NOW, **overrides: Any) -> JobView:
    """Run the job's steps so that the last one ends just before ``now_s``."""
    rng = np.random.default_rng(spec.seed)
    shape = (spec.steps, spec.ranks)
    work = np.broadcast_to(np.asarray(spec.work_s), shape) * heavy(rng, shape, spec.noise)
    work = work * columns(spec, spec.slow, 1.0)
    if spec.work_amount is not None:
        work = work * spec.work_amount
    data = spec.data_s * heavy(rng, shape, spec.noise) + columns(spec, spec.extra_data_s, 0.0)
    pause = columns(spec, spec.pause_s, 0.0)
    slots, groups = _slots(spec)
    starts = np.full((spec.steps, len(slots), spec.ranks), np.nan)
    lasts = starts.copy()
    step_s, ended = np.empty(shape), np.empty(shape)
    transfer = columns(spec, spec.transfer, 1.0)[:, 0]
    begin = np.zeros(spec.ranks)
    for step in range(spec.steps):
        at = begin + data[step]
        for number, (op, group) in enumerate(groups):
            members = np.asarray(group)
            at[members] += work[step, members] * op.share
            extra = spec.group_transfer.get(slots[number].communicator)
            factor = transfer[step] * (extra(np.ones(spec.steps))[step] if extra else 1.0)
            end = at[members].max() + op.transfer_s * factor * float(heavy(rng, (1,), spec.noise)[0])
            starts[step, number, members] = at[members] - begin[members]
            leave = np.full(members.size, end) + rng.uniform(0, 2e-4, members.size)
            lasts[step, number, members] = leave - at[members]
            at[members] = leave
        at = at + pause[step] + 0.001
        step_s[step], ended[step], begin = at - begin, at, at
    shift = now_s - 0.2 - ended.max()
    ranks = np.arange(spec.ranks)
    return _with_reference(
        JobView(
            job=spec.name,
            ranks=ranks,
            node_of=ranks // spec.per_node,
            gpu_of=[
                gpu_id(r // spec.per_node, r % spec.per_node) if spec.gpus else "" for r in range(spec.ranks)
            ],
            pid=1000 + ranks,
            started_s=now_s - 600.0,
            steps=np.arange(spec.steps) + 100,
            ended_s=ended + shift,
            step_s=step_s.astype(np.float32),
            data_s=data.astype(np.float32),
            compute_s=work.astype(np.float32),
            pause_s=(pause + 0.001).astype(np.float32),
            flags=((pause > 0) & spec.tagged).astype(np.int64),
            slots=slots,
            collective_start_s=starts.astype(np.float32),
            collective_s=lasts.astype(np.float32),
            states=states(spec.ranks, now_s),
            reference_steps=0,
            reference_step_s=float("nan"),
            reference_compute_s=np.full(spec.ranks, np.nan, np.float32),
            reference_data_s=np.full(spec.ranks, np.nan, np.float32),
            reference_transfer_s=np.full(len(slots), np.nan, np.float32),
            reference_wait_s=np.full((len(slots), spec.ranks), np.nan, np.float32),
            work=None if spec.work_amount is None else (1e6 * spec.work_amount).astype(np.float32),
        ),
        spec,
        overrides,
    )


def _slots(spec: JobSpec) -> tuple[list[CollectiveSlot], list[tuple[Op, Sequence[int]]]]:
    slots: list[CollectiveSlot] = []
    groups: list[tuple[Op, Sequence[int]]] = []
    seen: dict[str, int] = {}
    for op in spec.operations():
        for number, group in enumerate(op.groups):
            name = f"{op.name}{number}" if len(op.groups) > 1 else op.name
            members = np.isin(np.arange(spec.ranks), np.asarray(group))
            slots.append(
                CollectiveSlot(
                    communicator=name, slot=seen.get(name, 0), kind=op.kind, bytes=op.bytes, members=members
                )
            )
            groups.append((op, group))
            seen[name] = seen.get(name, 0) + 1
    return slots, groups


def _with_reference(view: JobView, spec: JobSpec, overrides: Mapping[str, Any]) -> JobView:
    """Learn the reference from a run of the same job with nothing wrong."""
    if spec.reference:
        healthy = replace(
            spec, slow=None, extra_data_s=None, pause_s=None, transfer=None, group_transfer={},
            reference=False, steps=80, seed=spec.seed + 7919,
            work_amount=None,
        )  # fmt: skip
        seen = job(healthy)
        least = np.nanmin(np.where(np.isnan(seen.collective_s), np.inf, seen.collective_s), axis=2)
        view = replace(
            view,
            reference_steps=80,
            reference_step_s=float(np.median(seen.step_s)),
            reference_compute_s=np.median(seen.compute_s, axis=0),
            reference_data_s=np.median(seen.data_s, axis=0),
            reference_transfer_s=np.median(least, axis=0),
            reference_wait_s=np.median(seen.collective_s - least[:, :, None], axis=0),
        )
    return replace(view, **overrides)


def states(ranks: int, now_s: float = NOW, **changed: Any) -> RankStates:
    """Return the states of ranks that run: each array field can be replaced."""
    received = now_s - np.linspace(0.1, 0.9, ranks)
    plain: dict[str, Any] = {
        "received_s": received,
        "phase": np.full(ranks, int(Phase.COMPUTE)),
        "process_state": np.full(ranks, ord("R")),
        "alive": np.ones(ranks, np.bool_),
        "step": np.full(ranks, 350),
        "launched": np.full(ranks, 700),
        "completed": np.full(ranks, 700),
        "inflight_kind": np.zeros(ranks, np.int64),
        "inflight_communicator": np.zeros(ranks, np.int64),
        "inflight_slot": np.zeros(ranks, np.int64),
        "phase_age_s": np.full(ranks, 0.01, np.float32),
        "beat_age_s": np.full(ranks, 0.01, np.float32),
        "cpu_cores": np.ones(ranks, np.float32),
        "throttled_share": np.zeros(ranks, np.float32),
        "stopped_share": np.zeros(ranks, np.float32),
        "runqueue_share": np.full(ranks, 0.02, np.float32),
    }
    return RankStates(**(plain | changed))


def stalled(
    ranks: int, missing: Sequence[int], since_s: float, now_s: float = NOW, **changed: Any
) -> RankStates:
    """Return the states of a job in which all but ``missing`` wait in an all-reduce since ``since_s``."""
    waits = ~np.isin(np.arange(ranks), list(missing))
    received = now_s - np.linspace(0.1, 0.9, ranks)
    age = (since_s - (now_s - received)).astype(np.float32)
    plain: dict[str, Any] = {
        "received_s": received,
        "phase": np.where(waits, int(Phase.COLLECTIVE), int(Phase.COMPUTE)),
        "launched": np.where(waits, 701, 700),
        "completed": np.full(ranks, 700),
        "inflight_kind": np.where(waits, int(Collective.ALL_REDUCE), 0),
        "phase_age_s": age,
        "beat_age_s": age,
    }
    return states(ranks, now_s, **(plain | changed))


class Table:
    """A device table: one value a row for all of the window, or (T, rows)."""

    def __init__(self, devices: Sequence[str], node_of: Sequence[int], values: Mapping[str, Any]) -> None:
        self.devices = list(devices)
        self.node_of = np.asarray(node_of, np.int64)
        self._values = {BY_NAME[name].id: np.asarray(value, np.float32) for name, value in values.items()}
        self.age = 0.5

    def latest(self, signal: int) -> NDArray[np.float32]:
        value = self._values.get(signal)
        if value is None:
            return np.full(len(self.devices), np.nan, np.float32)
        return value if value.ndim == 1 else value[-1]

    def age_s(self, now_s: float) -> Array:
        del now_s
        return np.full(len(self.devices), self.age)

    def window(self, signal: int, seconds: float) -> tuple[Array, NDArray[np.float32]]:
        count = int(seconds)
        times = NOW - np.arange(count)[::-1].astype(np.float64)
        value = self._values.get(signal)
        if value is None:
            return times, np.full((count, len(self.devices)), np.nan, np.float32)
        if value.ndim == 1:
            return times, np.tile(value, (count, 1))
        return times[-value.shape[0] :], value[-count:]


def gpu_id(node: int, gpu: int) -> str:
    """Return the id of a GPU."""
    return f"GPU-{node:04x}{gpu:04x}"


def gpus(nodes: int, per_node: int, changed: Mapping[str, Mapping[int, float]] | None = None) -> Table:
    """Return a healthy GPU table; ``changed`` is signal -> row -> value."""
    count = nodes * per_node
    values = {
        "gpu.state": np.zeros(count),
        "gpu.sm_clock_mhz": np.full(count, 1980.0),
        "gpu.temperature_celsius": np.full(count, 62.0),
        "gpu.slowdown_temperature_celsius": np.full(count, 89.0),
        "gpu.clock_event_reasons": np.full(count, 4.0),
        "gpu.pcie_link_width": np.full(count, 16.0),
        "gpu.pcie_link_generation": np.full(count, 5.0),
    }
    for signal, rows in (changed or {}).items():
        for row, value in rows.items():
            values[signal][row] = value
    devices = [gpu_id(node, gpu) for node in range(nodes) for gpu in range(per_node)]
    return Table(devices, np.repeat(np.arange(nodes), per_node).tolist(), values)


EMPTY = Table((), (), {})


def flows(
    job_name: str, ring: Sequence[int], delivery: Sequence[float], now_s: float = NOW, **changed: Any
) -> FlowView:
    """Return the flows of a ring over nodes: each node sends to the next; one with bytes left is busy."""
    count = len(ring)
    left = np.asarray(changed.get("unsent_bytes", np.zeros(count))) > 0
    plain: dict[str, Any] = {
        "node_of": np.asarray(ring),
        "peer_of": np.roll(np.asarray(ring), -1),
        "job": [job_name] * count,
        "received_s": np.full(count, now_s - 0.4),
        "delivery_bits_per_s": np.asarray(delivery, np.float32),
        "busy_share": np.where(left, 0.9, 0.4).astype(np.float32),
        "unsent_bytes": np.zeros(count, np.float32),
        "rtt_s": np.full(count, 1e-4, np.float32),
        "retransmits_per_s": np.zeros(count, np.float32),
        "tx_bytes_per_s": np.full(count, 2e7, np.float32),
        "reference_delivery_bits_per_s": np.full(count, 3e10, np.float32),
    }
    return FlowView(**(plain | changed))


def no_flows() -> FlowView:
    """Return no flow at all, as with RDMA."""
    return flows("", [], [])


def event(kind: str, node: str, ago_s: float = 1.0, **changed: Any) -> SeenEvent:
    """Return an event that happened ``ago_s`` before now and came at once."""
    plain: dict[str, Any] = {
        "node": node, "at_s": NOW - ago_s, "received_s": NOW - ago_s + 0.2, "kind": kind, "severity": 3,
        "source": "test", "device": "", "code": 0, "text": kind, "fields": {}, "backfill": False,
    }  # fmt: skip
    return SeenEvent(**(plain | changed))


def nodes(count: int, now_s: float = NOW, **changed: Any) -> NodesView:
    """Return nodes n000, n001, ... that all report."""
    plain: dict[str, Any] = {
        "names": [f"n{at:03d}" for at in range(count)],
        "connected": np.ones(count, np.bool_),
        "last_batch_s": now_s - np.linspace(0.1, 0.9, count),
        "first_seen_s": np.full(count, now_s - 3600.0),
        "clock_offset_s": np.zeros(count),
        "simulated": np.zeros(count, np.bool_),
        "drained": np.zeros(count, np.bool_),
    }
    return NodesView(**(plain | changed))


def fleet(*jobs: JobView, count: int | None = None, **changed: Any) -> FleetView:
    """Return a fleet that runs these jobs."""
    largest = max((int(job.node_of.max()) + 1 for job in jobs), default=4)
    plain: dict[str, Any] = {
        "now_s": NOW, "started_s": NOW - 3000.0, "nodes": nodes(count or largest), "gpu": EMPTY,
        "port": EMPTY, "host": EMPTY, "source": EMPTY, "jobs": jobs, "flows": no_flows(), "events": (),
    }  # fmt: skip
    return FleetView(**(plain | changed))


def from_step(step: int, rank: int, factor: float, otherwise: float = 1.0) -> Callable[[Array], Array]:
    """Return a trouble of one rank from one step on."""

    def trouble(base: Array) -> Array:
        changed = np.full_like(base, otherwise)
        changed[step:, rank] = factor
        return changed

    return trouble


def all_from(step: int, factor: float, otherwise: float = 1.0) -> Callable[[Array], Array]:
    """Return a trouble of every rank from one step on."""

    def trouble(base: Array) -> Array:
        changed = np.full_like(base, otherwise)
        changed[step:] = factor
        return changed

    return trouble
