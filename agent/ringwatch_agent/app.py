"""Builds an agent from its settings and runs it. The only module of the agent that constructs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from ringwatch_agent.channel import Tls
from ringwatch_agent.config import AgentConfig
from ringwatch_agent.encode import Encoder, NodeIdentity
from ringwatch_agent.exporter import AgentNumbers, Exporter
from ringwatch_agent.heap import give_back_now_and_then
from ringwatch_agent.inspector import Inspector
from ringwatch_agent.journal import Journal
from ringwatch_agent.metrics_page import MetricsPage
from ringwatch_agent.persister import Persister
from ringwatch_agent.policy import load_policy
from ringwatch_agent.sampler import Instant, Sampler
from ringwatch_agent.sources.all import ALL, SourceContext
from ringwatch_agent.sources.base import EventRecord, Reading, Source
from ringwatch_agent.sources.nvml import NvmlSource
from ringwatch_agent.spool import Spool
from ringwatch_agent.spool_health import SpoolHealth
from ringwatch_agent.uplink import Uplink
from ringwatch_agent.verbs import NodeFacts, Verbs
from ringwatch_agent.xid_join import XidJoin
from ringwatch_proto import __version__, events
from ringwatch_proto.errors import VerbError
from ringwatch_proto.records import Severity

if TYPE_CHECKING:
    from ringwatch_agent.enrollment import Enrollment

_log = logging.getLogger(__name__)
_DRAIN_S: Final = 0.4
_STOP_SOURCES_S: Final = 0.8
_PERSIST_S: Final = 0.5


class Agent:
    """One node's agent: sampler, encoder, spool and uplink, wired."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        limit_bytes = int(config.spool_mib * (1 << 20))
        journal = Journal(config.state_dir / "spool", limit_bytes=2 * limit_bytes)
        self._spool = Spool(limit_bytes=limit_bytes, kept=journal.load())
        self._sampler = Sampler(self._deliver, interval_s=config.interval_s, deadline_s=config.deadline_s)
        self._persister = Persister(self._spool, journal)
        self._spool_health = SpoolHealth(self._spool, self._persister)
        sources = _build(config, self._sampler)
        nvml = sources.get("nvml")
        if isinstance(nvml, NvmlSource):
            self._xids, self._inspector = XidJoin(nvml.spare), Inspector(self._sampler, nvml.facts)
        else:
            self._xids, self._inspector = XidJoin(), Inspector(self._sampler)
        verbs = Verbs(load_policy(config.policy), _node_facts(config, sources, self._inspector))
        self._encoder = Encoder(_identity(config, verbs.allowed), last_schema_id=self._spool.last_schema_id)
        self._exporter = Exporter(
            config.node, self._numbers, interval_s=config.interval_s, dcgm_names=config.dcgm_names
        )
        self._page = MetricsPage(self._exporter.page)
        self._enrollment = enrollment_of(config)
        self._uplink = Uplink(
            config.collector,
            self._spool,
            verbs,
            tls=_tls(config),
            allow_plaintext=config.insecure_plaintext,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set; then send what is left, for a moment, and end."""
        if self._config.metrics != "off":
            await self._page.start(self._config.metrics)
        self._sampler.announce(_started())
        work = (self._sampler.run(), self._report(), self._persister.run(), give_back_now_and_then())
        tasks: list[asyncio.Task[None]] = [asyncio.create_task(each) for each in work]
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        failed = [task for task in tasks if task.done()]
        stopping.cancel()
        await self._sampler.stop(within_s=_STOP_SOURCES_S)
        await self._uplink.drain(_DRAIN_S)
        await self._uplink.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._persister.finish(_PERSIST_S)
        self._page.stop()
        for task in failed:
            task.result()

    async def _report(self) -> None:
        """Keep a stream up; a node that joins has a certificate first, and renews it meanwhile."""
        if self._enrollment is None:
            await self._uplink.run()
            return
        await self._enrollment.join()
        renewing = asyncio.create_task(self._enrollment.run())
        try:
            await self._uplink.run()
        finally:
            renewing.cancel()

    def _deliver(self, read: list[Reading], now: Instant) -> None:
        self._sampler.report("spool", self._spool_health.trouble(now.monotonic_ns / 1e9))
        readings = self._xids.join(read, now.monotonic_ns / 1e9)
        encoded = self._encoder.encode(readings, wall_ns=now.wall_ns, monotonic_ns=now.monotonic_ns)
        self._spool.append(encoded.hello, encoded.batch)
        self._exporter.take(readings, now)
        self._inspector.take(readings)

    def _numbers(self) -> AgentNumbers:
        return AgentNumbers(
            uplink_connected=self._uplink.state.connected,
            spool_batches=len(self._spool),
            spool_bytes=self._spool.bytes,
            spool_limit_bytes=self._spool.limit_bytes,
            spool_on_disk=not self._persister.trouble,
            beats_missed=self._sampler.beats_missed,
            deliveries_failed=self._sampler.deliveries_failed,
            dropped=dict(self._spool.dropped_total),
        )


def sources_to_look_at(config: AgentConfig) -> list[Source]:
    """Build the sources that a look from outside a running agent may open."""
    built: dict[str, Source] = {}
    context = SourceContext(config=config, wake=lambda: None, built=built)
    for entry in ALL:
        if not entry.exclusive and entry.name not in config.sources_off:
            built[entry.name] = entry.build(context)
    return list(built.values())


def _node_facts(config: AgentConfig, sources: Mapping[str, Source], inspector: Inspector) -> NodeFacts:
    nvml, steps = sources.get("nvml"), sources.get("steps")
    return NodeFacts(
        inspect_gpu=inspector.gpu,
        inspect_node=inspector.node,
        reset_clocks=nvml.reset_clocks if isinstance(nvml, NvmlSource) else _no_gpus,
        training_pids=getattr(steps, "pids", dict),
        proc=config.proc,
    )


def _no_gpus(gpu: str) -> None:
    raise VerbError(f"{gpu}: this agent does not read GPUs")


def _build(config: AgentConfig, sampler: Sampler) -> dict[str, Source]:
    built: dict[str, Source] = {}
    for entry in ALL:
        if entry.name not in config.sources_off:
            wake = partial(sampler.wake, entry.name)
            context = SourceContext(config=config, wake=wake, built=built, keeps_state=True)
            built[entry.name] = entry.build(context)
            sampler.add(built[entry.name])
    return built


def _identity(config: AgentConfig, verbs: tuple[str, ...]) -> NodeIdentity:
    return NodeIdentity(
        node=config.node,
        boot_id=config.boot_id,
        agent_version=__version__,
        labels=config.labels,
        verbs=verbs,
    )


def enrollment_of(config: AgentConfig) -> Enrollment | None:
    """Return what gets this node its certificate, None where it has to have one."""
    tls = _tls(config)
    if tls is None or config.join_token_file is None or not tls.joins:
        return None
    from ringwatch_agent.enrollment import Enrollment, Joining

    return Enrollment(
        Joining(
            node=config.node,
            collector=config.collector,
            join=config.join,
            token_file=config.join_token_file,
            tls=tls,
        )
    )


def _tls(config: AgentConfig) -> Tls | None:
    if config.join and config.tls_ca:
        own = config.state_dir / "tls" / "node.pem"
        return Tls(ca=config.tls_ca, certificate=own, key=own, joins=True)
    if config.tls_ca and config.tls_certificate and config.tls_key:
        return Tls(ca=config.tls_ca, certificate=config.tls_certificate, key=config.tls_key)
    return None


def _started() -> EventRecord:
    return EventRecord(
        wall_ns=Instant.now().wall_ns,
        kind=events.AGENT_STARTED,
        severity=Severity.INFO,
        source="agent",
        text=f"ringwatch agent {__version__} started",
    )
