"""Messages of the query and run services to snapshots. Decides nothing and asks nobody.

An incident that this console is too old to understand is named in ``Fleet.unread``, not dropped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ringwatch_proto import signals
from ringwatch_proto.codec import from_ns, incident_from_message, subject_from_message
from ringwatch_proto.records import Incident
from ringwatch_proto.v1 import query_pb2, runs_pb2
from ringwatch_tui.state import model
from ringwatch_tui.state.text import natural

Look = Callable[[Sequence[query_pb2.GpuSummary]], model.Gpus]
_NS = 1_000_000_000


class KnownIncidents:
    """The incidents of the last picture: those that did not change are not read again."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[query_pb2.Incident, Incident]] = {}

    def read(self, messages: Sequence[query_pb2.Incident]) -> tuple[tuple[Incident, ...], tuple[str, ...]]:
        """Return the incidents, and a sentence for each that this version does not understand."""
        found: dict[str, tuple[query_pb2.Incident, Incident]] = {}
        unread: list[str] = []
        for each in messages:
            old = self._known.get(each.id)
            try:
                same = old is not None and old[0] == each
                found[each.id] = old if old is not None and same else (each, incident_from_message(each))
            except ValueError as error:
                unread.append(f"incident {each.id} cannot be shown by this version: {error}")
        self._known = found
        return tuple(incident for _, incident in found.values()), tuple(unread)


def fleet(
    message: query_pb2.Fleet, *, look: Look | None = None, known: KnownIncidents | None = None
) -> model.Fleet:
    """Return the snapshot of a fleet message.

    ``look`` makes the GPUs of their messages: by value unless another way is given, which then also
    leaves labels where they lie. ``known`` holds what was read of the picture before.
    """
    incidents, unread = (known or KnownIncidents()).read(message.incidents)
    return model.Fleet(
        collector=message.collector,
        wall_s=message.wall_ns / _NS,
        nodes=tuple(
            sorted((node(each, look) for each in message.nodes), key=lambda each: natural(each.name))
        ),
        jobs=tuple(sorted((job(each) for each in message.jobs), key=lambda each: natural(each.name))),
        incidents=incidents,
        health=health(message.health),
        runs=tuple(run_brief(each) for each in message.runs),
        unread=unread,
        open_left_out=message.open_left_out,
    )


def health(message: query_pb2.Health) -> model.Health:
    """Return the snapshot of a health message."""
    return model.Health(
        rules_active=message.rules_active,
        evaluated_age_s=message.evaluated_age_s,
        input_completeness=message.input_completeness,
        nodes_known=message.nodes_known,
        nodes_reporting=message.nodes_reporting,
        batches_taken=message.batches_taken,
        messages_refused=message.messages_refused,
        readings_dropped=message.readings_dropped,
        tick_ms=message.tick_ms,
        troubles=tuple(message.troubles),
        plaintext_off_loopback=message.plaintext_off_loopback,
    )


def node(message: query_pb2.NodeSummary, look: Look | None = None) -> model.Node:
    """Return the snapshot of a node summary."""
    return model.Node(
        name=message.node,
        state=message.state,
        note=message.note,
        last_seen_age_s=message.last_seen_age_s,
        labels=message.labels if look is not None else dict(message.labels),
        simulated=message.simulated,
        gpus=look(message.gpus) if look is not None else tuple(map(gpu, message.gpus)),
        job=message.job,
        clock_offset_s=message.clock_offset_s,
    )


def gpu(message: query_pb2.GpuSummary) -> model.Gpu:
    """Return the snapshot of a GPU summary; without a job its rank means nothing."""
    return model.Gpu(
        id=message.id,
        name=message.name or message.id,
        state=message.state,
        utilization_percent=message.utilization_percent,
        power_watts=message.power_watts,
        temperature_celsius=message.temperature_celsius,
        sm_clock_mhz=message.sm_clock_mhz,
        reading_age_s=message.reading_age_s,
        job=message.job,
        rank=message.rank if message.job else -1,
    )


def job(message: query_pb2.JobSummary) -> model.Job:
    """Return the snapshot of a job summary."""
    return model.Job(
        name=message.job,
        state=message.state,
        world_size=message.world_size,
        ranks_reporting=message.ranks_reporting,
        nodes=message.nodes,
        step=message.step,
        step_s=message.step_s,
        baseline_step_s=message.baseline_step_s,
        wait_percent=message.wait_percent,
        straggler=message.straggler,
        recent_step_s=tuple(message.recent_step_s),
        age_s=message.age_s,
        user=message.user,
    )


def run_brief(message: query_pb2.RunSummary) -> model.RunBrief:
    """Return the snapshot of a run summary."""
    return model.RunBrief(
        id=message.id,
        runbook=message.runbook,
        incident=message.incident,
        state=message.state,
        step=message.step,
        steps=message.steps,
        waiting_for=message.waiting_for,
    )


def job_detail(message: query_pb2.JobDetail) -> model.JobDetail:
    """Return the snapshot of a job's detail."""
    return model.JobDetail(
        summary=job(message.summary),
        ranks=tuple(_rank(each) for each in message.ranks),
        steps=tuple(message.steps),
        step_s_median=tuple(message.step_s_median),
        step_s_max=tuple(message.step_s_max),
        wait_s=tuple(message.wait_s),
        change_point_s=from_ns(message.change_point_ns),
        flows=tuple(_flow(each) for each in message.flows),
        incidents=tuple(message.incidents),
    )


def _rank(message: query_pb2.RankRow) -> model.Rank:
    return model.Rank(
        rank=message.rank,
        node=message.node,
        gpu=message.gpu,
        pid=message.pid,
        state=message.state,
        step=message.step,
        step_s=message.step_s,
        data_s=message.data_s,
        compute_s=message.compute_s,
        wait_s=message.wait_s,
        late_s=message.late_s,
        compute_ratio=message.compute_ratio,
        beat_age_s=message.beat_age_s,
    )


def _flow(message: query_pb2.FlowRow) -> model.Flow:
    return model.Flow(
        node=message.node,
        peer=message.peer,
        delivery_mbit_s=message.delivery_mbit_s,
        busy_share=message.busy_share,
        unsent_kib=message.unsent_kib,
        rtt_ms=message.rtt_ms,
        retransmits_per_s=message.retransmits_per_s,
    )


def node_detail(message: query_pb2.NodeDetail) -> model.NodeDetail:
    """Return the snapshot of a node's detail."""
    return model.NodeDetail(
        summary=node(message.summary),
        readings=tuple(_reading(each) for each in message.readings),
        trends=tuple(_trend(each) for each in message.series),
        events=tuple(
            model.NodeEvent(
                at_s=each.wall_ns / _NS,
                kind=each.kind,
                severity=int(each.severity),
                source=each.source,
                device=each.device,
                code=each.code,
                text=each.text,
                backfill=each.backfill,
            )
            for each in message.events
        ),
        sources=tuple(
            model.SourceStatus(
                name=each.name,
                up=each.up,
                age_s=each.age_s,
                duration_ms=each.duration_ms,
                reason=each.reason,
            )
            for each in message.sources
        ),
        verbs=tuple(message.verbs),
        agent_version=message.agent_version,
        incidents=tuple(message.incidents),
    )


def _signal(id: int) -> tuple[str, str]:
    known = signals.BY_ID.get(id)
    return (known.name, known.unit) if known is not None else (f"signal.{id}", "")


def _reading(message: query_pb2.Reading) -> model.Reading:
    name, unit = _signal(message.signal)
    return model.Reading(
        signal=name, unit=unit, device=message.device, value=message.value, age_s=message.age_s
    )


def _trend(message: query_pb2.Series) -> model.Trend:
    name, unit = _signal(message.signal)
    return model.Trend(
        signal=name,
        unit=unit,
        device=message.device,
        values=tuple(message.values),
        peers=tuple(message.peers),
    )


def runbook(message: runs_pb2.Runbook) -> model.Runbook:
    """Return the snapshot of a runbook."""
    return model.Runbook(
        id=message.id,
        revision=message.revision,
        title=message.title,
        title_zh=message.title_zh,
        first_rule=message.first_rule,
        never=tuple(message.never),
        severity=message.severity,
        steps=tuple(
            model.RunbookStep(
                id=each.id,
                kind=each.kind,
                title=each.title,
                expect=each.expect,
                command=each.command,
                risk=each.risk,
                approval=each.approval,
                question=each.question,
                options=tuple(each.options),
            )
            for each in message.steps
        ),
        triggers=tuple(message.triggers),
    )


def audit(message: query_pb2.AuditList) -> model.AuditLog:
    """Return the snapshot of an audit log."""
    return model.AuditLog(
        records=tuple(
            model.AuditRecord(
                sequence=each.sequence,
                at_s=each.wall_ns / _NS,
                actor=each.actor,
                action=each.action,
                target=each.target,
                incident=each.incident,
                reason=each.reason,
                result=each.result,
            )
            for each in message.records
        ),
        intact=message.chain_intact,
    )


def run(message: runs_pb2.Run) -> model.Run:
    """Return the snapshot of a run."""
    return model.Run(
        id=message.id,
        runbook=message.runbook,
        revision=message.revision,
        title=message.title,
        incident=message.incident,
        state=message.state,
        started_by=message.started_by,
        started_s=from_ns(message.started_ns),
        ended_s=from_ns(message.ended_ns),
        current=message.current,
        steps=tuple(run_step(each) for each in message.steps),
        never=tuple(message.never),
        first_rule=message.first_rule,
        target=subject_from_message(message.target),
        result=message.result,
        path=tuple(message.path),
    )


def run_step(message: runs_pb2.RunStep) -> model.RunStep:
    """Return the snapshot of one step of a run."""
    return model.RunStep(
        id=message.id,
        kind=message.kind,
        title=message.title,
        state=message.state,
        outcome=message.outcome,
        why=message.why,
        expect=message.expect,
        command=message.command,
        effect=message.effect,
        undo=message.undo,
        risk=message.risk,
        approval=message.approval,
        question=message.question,
        options=tuple(message.options),
        facts=tuple(_fact(each) for each in message.facts),
        output=tuple(message.output),
        started_s=from_ns(message.started_ns),
        ended_s=from_ns(message.ended_ns),
        by=message.by,
        typed_target=message.typed_target,
        deadline_s=message.deadline_s,
        healthy_s=message.healthy_s,
        healthy_needed_s=message.healthy_needed_s,
        undone=message.undone,
        undo_target=message.undo_target,
    )


def _fact(message: runs_pb2.Fact) -> model.Fact:
    return model.Fact(
        name=message.name,
        value=message.value,
        unit=message.unit,
        age_s=message.age_s if message.age_s >= 0 else math.nan,
        holds=message.holds,
        note=message.note,
    )
