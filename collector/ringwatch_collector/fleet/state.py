"""The state of the whole fleet: takes Hellos and batches that were checked, gives views. Judges nothing.

Everything here runs on the collector's event loop; nothing here waits.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from ringwatch_collector.fleet.flows import Flows
from ringwatch_collector.fleet.job import JobPolicy
from ringwatch_collector.fleet.jobs import Jobs, NodeJobs
from ringwatch_collector.fleet.learned import (
    FLOWS,
    JOB,
    LearnedJob,
    Recall,
    flows_content,
    learned_job,
    read_flows,
    read_job,
    recall_flows,
)
from ringwatch_collector.fleet.nodes import Node, Nodes
from ringwatch_collector.fleet.owners import Owners
from ringwatch_collector.fleet.recent_events import RecentEvents
from ringwatch_collector.fleet.references import Reference
from ringwatch_collector.fleet.table import DeviceTable
from ringwatch_collector.fleet.waves import MOST_WAITING_BYTES, Waves
from ringwatch_collector.view import FleetView, SeenEvent
from ringwatch_proto.signals import Table
from ringwatch_proto.v1 import telemetry_pb2 as wire

_NS = 1_000_000_000
# A batch older than this is history that a spool kept: it moves no window and proves no restart.
_LIVE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPolicy:
    """Bounds of the fleet's memory."""

    history_s: int = 300
    tables_bytes: int = 1024 << 20
    # Steps of all jobs together; one job's share is in its policy.
    jobs_bytes: int = 1280 << 20
    keep_ended_job_s: float = 600.0
    most_jobs: int = 4096
    most_flows: int = 65536
    job: JobPolicy = field(default_factory=JobPolicy)


# Share of the memory budget that each table may take.
_SHARES = {Table.GPU: 0.6, Table.PORT: 0.25, Table.HOST: 0.1, Table.SOURCE: 0.05}


class FleetState:
    """Columns of everything that the nodes report."""

    def __init__(self, policy: FleetPolicy, dropped: Counter[str], started_s: float) -> None:
        self._dropped = dropped
        self._policy = policy
        self.started_s = started_s
        self.nodes = Nodes()
        self.tables = {
            table: DeviceTable(
                table, history_s=policy.history_s, budget_bytes=int(policy.tables_bytes * share)
            )
            for table, share in _SHARES.items()
        }
        self.jobs = Jobs(
            policy.job,
            dropped,
            keep_ended_s=policy.keep_ended_job_s,
            most=policy.most_jobs,
            budget_bytes=policy.jobs_bytes,
        )
        self.flows = Flows(dropped, most=policy.most_flows)
        self.events = RecentEvents(dropped)
        self.owners = Owners()
        self._meanings: dict[int, NodeJobs] = {}
        self._waves = Waves()
        self._waiting_bytes = 0
        # Events about ranks: they count after what their batch says of the ranks.
        self._departures: list[tuple[wire.Event, float, int]] = []
        self._learned_s = started_s
        self.recall = Recall({}, started_s)
        # The reference of each job as it was handed out last.
        self._written: dict[str, Reference] = {}
        # Clear while somebody looks at a view across more than one turn of the loop.
        self._idle = asyncio.Event()
        self._idle.set()

    def remember(self, node: str, first_seen_s: float, last_batch_s: float) -> None:
        """Know a node again that reported to an earlier collector, so that its silence is seen."""
        index = self.nodes.add(node, first_seen_s).index
        self.nodes.last_batch_s[index] = last_batch_s

    def hello(self, hello: wire.Hello, now_s: float) -> Node:
        """Bind what a node says it will send; not before ``idle``, for it moves what is looked at."""
        node = self.nodes.add(hello.node, now_s)
        if self._waves.holds(node.index):
            # What waits was written under the Hello before. Others' batches need not be written for it:
            # a fleet that comes back says a Hello after the other between its batches.
            self.settle()
        named: set[Table] = set()
        for schema in hello.tables:
            table = Table(schema.table)
            named.add(table)
            devices = [device.id for device in schema.devices]
            node.bindings[table] = self.tables[table].bind(
                node.index, devices, schema.signals, node.bindings.get(table)
            )
        for table in [table for table in node.bindings if table not in named]:
            self.tables[table].release(node.bindings.pop(table))
        old = self._meanings.get(node.index, NodeJobs())
        self._meanings[node.index] = self.jobs.hello(node.index, hello, old, now_s)
        self.flows.hello(node.index, hello.addresses)
        self.owners.hello(node.name, hello.owners)
        self.nodes.hello(node, hello)
        return node

    def leave(self, name: str, now_s: float) -> None:
        """Let go of a node that another collector watches from now on: it is not missed here."""
        node = self.nodes.get(name)
        if node is not None:
            self.hello(wire.Hello(node=name), now_s)
            self.nodes.forget(node)

    def connected(self, node: str, connected: bool) -> None:
        """Say whether a node's stream is up."""
        known = self.nodes.get(node)
        if known is not None:
            self.nodes.connected[known.index] = connected

    def batch(self, node: Node, batch: wire.Batch, spool: str, received_s: float) -> list[SeenEvent]:
        """Take one batch in, to be written at the next look, and return its events, one for one."""
        index, clock = node.index, node.clock
        wall_s = batch.wall_ns / _NS
        clock.take(received_s, wall_s, batch.monotonic_ns / _NS)
        at_s = min(wall_s + clock.correction_s, received_s)
        self._gather(node, batch, at_s, received_s)
        self.nodes.last_batch_s[index] = received_s
        for item in batch.dropped:
            node.dropped[item.kind] = node.dropped.get(item.kind, 0) + item.count
        if not batch.events:
            return []
        events = self.seen(node, batch, received_s)
        for raw, event in zip(batch.events, events, strict=True):
            if self.events.add(spool, raw.id, event):
                self._departures.append((raw, event.at_s, index))
        return events

    def _gather(self, node: Node, batch: wire.Batch, at_s: float, received_s: float) -> None:
        wave = self._waves.of(node.index)
        number = wave.begin(node.index, at_s, node.clock.correction_s, live=received_s - at_s < _LIVE_S)
        bindings, waiting = node.bindings, 0
        for block in batch.blocks:
            values = block.values
            waiting += len(values)
            wave.put_block(bindings[block.table], at_s, values)  # type: ignore[index]  # the enums are ints
        if packed := batch.rank_states:
            wave.rank_states.put(number, packed)
        if packed := batch.steps:
            wave.steps.put(number, packed)
        if packed := batch.collectives:
            waiting += len(packed)
            wave.collectives.put(number, packed)
        if packed := batch.flows:
            wave.flows.put(number, packed)
        self._waiting_bytes += waiting
        if self._waiting_bytes > MOST_WAITING_BYTES:
            self.settle()

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Keep what a view shows as it is until the end of the block; batches wait, Hellos have to."""
        self._idle.clear()
        try:
            yield
        finally:
            self._idle.set()

    async def idle(self) -> None:
        """Wait until nobody looks: what a Hello changes must not move under a detector."""
        while not self._idle.is_set():
            await self._idle.wait()

    def settle(self) -> None:
        """Write what waits, unless somebody looks at the fleet just now."""
        if not self._idle.is_set():
            return
        self._waiting_bytes = 0
        for wave in self._waves.take():
            for shape, blocks in wave.blocks.items():
                self._dropped["impossible_reading"] += shape.table.write_blocks(
                    shape, blocks.firsts, blocks.at_s, blocks.values
                )
            self.nodes.clock_offset_s[wave.nodes] = -np.array(wave.correction_s)
            self.jobs.put(wave)
            self.flows.put(wave, self.jobs.name_of)
        departures, self._departures = self._departures, []
        for raw, at_s, index in departures:
            self.jobs.note_event(raw, at_s, index)

    def seen(self, node: Node, batch: wire.Batch, received_s: float) -> list[SeenEvent]:
        """Return the events of a batch as detectors see them, one for one, and change nothing."""
        correction_s = node.clock.correction_s
        return [
            SeenEvent(
                node=node.name,
                at_s=min(event.wall_ns / _NS + correction_s, received_s),
                received_s=received_s,
                kind=event.kind,
                severity=event.severity,
                source=event.source,
                device=event.device,
                code=event.code,
                text=event.text,
                fields=dict(event.fields),
                backfill=event.backfill,
            )
            for event in batch.events
        ]

    def remember_learned(self, contents: Mapping[str, bytes], now_s: float) -> None:
        """Have jobs and flows go on with what an earlier collector had learned of them."""
        jobs: dict[str, LearnedJob] = {}
        for subject, content in contents.items():
            try:
                if subject.startswith(JOB):
                    jobs[subject.removeprefix(JOB)] = read_job(content)
                elif subject == FLOWS:
                    recall_flows(
                        self.flows, read_flows(content), lambda name: self.nodes.add(name, now_s).index
                    )
            except ValueError:
                self._dropped["learned_not_readable"] += 1
        self.recall = Recall(jobs, now_s)

    def learned(self) -> list[tuple[str, Callable[[], bytes]]]:
        """Return what was learned since the last call: each subject, and what makes its bytes elsewhere."""
        found: list[tuple[str, Callable[[], bytes]]] = []
        for job in self.jobs:
            if job.reference.steps and self._written.get(job.name) is not job.reference:
                self._written[job.name] = job.reference
                found.append((JOB + job.name, learned_job(job, self._name_of).content))
        rows = [(self._name_of(node), peer, value) for node, peer, value in self.flows.learned()]
        if rows:
            found.append((FLOWS, lambda: flows_content(rows)))
        return found

    def _name_of(self, node: int) -> str:
        return self.nodes.at(node).name

    def learn(self, now_s: float, jobs_under_incident: Iterable[str]) -> None:
        """Let references follow healthy steps and flows, and forget what ended long ago."""
        if now_s - self._learned_s < 1.0:
            return
        self._learned_s = now_s
        self.settle()
        self.recall.give(self.jobs, self._name_of, now_s)
        ill = frozenset(jobs_under_incident)
        self.jobs.learn(now_s, ill | self.recall.awaited)
        self.flows.learn(now_s, ill)
        self.flows.forget(now_s, self._policy.keep_ended_job_s)
        self.events.forget(now_s)

    def view(self, now_s: float) -> FleetView:
        """Return the fleet as detectors see it now."""
        self.settle()
        return FleetView(
            now_s=now_s,
            started_s=self.started_s,
            nodes=self.nodes.view(),
            gpu=self.tables[Table.GPU].view(now_s),
            port=self.tables[Table.PORT].view(now_s),
            host=self.tables[Table.HOST].view(now_s),
            source=self.tables[Table.SOURCE].view(now_s),
            jobs=[job.view() for job in self.jobs],
            flows=self.flows.view(now_s),
            events=self.events.view(),
            owners=self.owners.view(),
        )
