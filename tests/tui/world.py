"""A small fleet with one of everything, frozen at one instant, for the console's tests."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ringwatch_proto.records import (
    Bearing,
    Evidence,
    Finding,
    Incident,
    IncidentKind,
    IncidentState,
    Note,
    RuledOut,
    Severity,
    Subject,
    Verdict,
    Why,
)
from ringwatch_tui.client.fake import FakeClient
from ringwatch_tui.state import model

NOW_S = 1_764_079_351.0  # 2025-11-25 14:02:31 UTC
NAN = math.nan


def _gpu(node: int, slot: int) -> model.Gpu:
    load = 88 + (node * 7 + slot * 3) % 11
    return model.Gpu(
        id=f"SIM-{node:03d}-{slot}",
        name=f"gpu{slot}",
        state="ok",
        utilization_percent=load,
        power_watts=520 + load,
        temperature_celsius=54 + (node + slot) % 9,
        sm_clock_mhz=1755,
        reading_age_s=0.4,
        job="llm-70b" if node < 32 else "moe-8x22",
        rank=node % 32 * 8 + slot,
    )


def altered(gpu: model.GpuReading, **changes: Any) -> model.Gpu:
    """Return a GPU with other values."""
    assert isinstance(gpu, model.Gpu)
    return replace(gpu, **changes)


def _nodes() -> tuple[model.Node, ...]:
    nodes = [
        model.Node(
            name=f"n{index:03d}",
            state="ok",
            last_seen_age_s=0.6,
            labels={"rack": f"r{index // 16}"},
            simulated=True,
            gpus=tuple(_gpu(index, slot) for slot in range(8)),
            job="llm-70b" if index < 32 else "moe-8x22",
            clock_offset_s=0.0,
        )
        for index in range(64)
    ]
    slow = nodes[11]
    nodes[11] = replace(
        slow,
        state="slow",
        note="compute late 1.21 s a step",
        gpus=tuple(
            altered(gpu, state="slow", sm_clock_mhz=1095, power_watts=402) if gpu.name == "gpu3" else gpu
            for gpu in slow.gpus
        ),
    )
    bus = nodes[40]
    nodes[40] = replace(
        bus,
        state="fault",
        note="GPU fell off the bus",
        gpus=tuple(
            altered(
                gpu,
                state="lost",
                utilization_percent=NAN,
                power_watts=NAN,
                temperature_celsius=NAN,
                sm_clock_mhz=NAN,
            )
            if gpu.name == "gpu6"
            else gpu
            for gpu in bus.gpus
        ),
    )
    hot = nodes[22]
    nodes[22] = replace(
        hot,
        state="warn",
        note="thermal slowdown",
        gpus=(altered(hot.gpus[0], state="warn", temperature_celsius=89), *hot.gpus[1:]),
    )
    nodes[60] = replace(nodes[60], state="silent", note="agent silent", last_seen_age_s=192.0)
    nodes[51] = replace(nodes[51], state="drained", note="RMA-331")
    return tuple(nodes)


JOBS = (
    model.Job(
        name="llm-70b",
        state="degraded",
        world_size=256,
        ranks_reporting=256,
        nodes=32,
        step=48_211,
        step_s=4.12,
        baseline_step_s=2.90,
        wait_percent=31,
        straggler="rank 91 (n011 gpu3)",
        recent_step_s=(
            2.9,
            2.91,
            2.9,
            2.92,
            2.9,
            2.9,
            2.91,
            2.9,
            2.9,
            4.1,
            4.12,
            4.11,
            4.12,
            4.13,
            4.12,
            4.12,
        ),
        age_s=6 * 86400 + 4 * 3600,
        user="ana",
    ),
    model.Job(
        name="moe-8x22",
        state="stalled",
        world_size=256,
        ranks_reporting=255,
        nodes=32,
        step=9_120,
        step_s=NAN,
        baseline_step_s=1.31,
        wait_percent=100,
        straggler="rank 70 (n040 gpu6)",
        recent_step_s=(1.3, 1.31, 1.3, 1.3, 1.32, 1.3),
        age_s=86400 + 20 * 3600,
        user="joe",
    ),
)

STRAGGLER = Incident(
    id="I-142",
    state=IncidentState.NEW,
    severity=Severity.CRITICAL,
    kind=IncidentKind.STRAGGLER_COMPUTE,
    culprit=Subject(kind="rank", node="n011", device="SIM-011-3", job="llm-70b", rank=91),
    cause="power_brake",
    verdict=Verdict.HARDWARE,
    summary="rank 91 computes 1.21 s longer than its peers: SM clock held down by the power brake",
    confidence=0.93,
    onset_s=NOW_S - 231,
    opened_s=NOW_S - 203,
    updated_s=NOW_S - 2,
    gpu_hours_lost=14.4,
    findings=(
        Finding(
            kind=IncidentKind.STRAGGLER_COMPUTE,
            detector="straggler",
            culprit=Subject(kind="rank", node="n011", device="SIM-011-3", job="llm-70b", rank=91),
            cause="power_brake",
            verdict=Verdict.HARDWARE,
            severity=Severity.CRITICAL,
            confidence=0.93,
            onset_s=NOW_S - 231,
            summary="rank 91 computes 1.21 s longer than its peers",
            evidence=(
                Evidence(
                    at_s=NOW_S - 231,
                    bearing=Bearing.CHANGE,
                    text="step time 2.90 -> 4.12 s",
                    source="training hook",
                ),
                Evidence(
                    at_s=NOW_S - 230,
                    bearing=Bearing.SUPPORTS,
                    text="SM clock 1,095 MHz, peers 1,755 MHz; reason: power brake",
                    source="NVML",
                    node="n011",
                ),
                Evidence(
                    at_s=NOW_S - 182,
                    bearing=Bearing.RULES_OUT,
                    text="transfer once all have arrived 0.21 s, as before",
                    source="training hook",
                ),
                Evidence(
                    at_s=NOW_S - 33,
                    bearing=Bearing.SUPPORTS,
                    text="rank 91 last in 98 % of 61 steps",
                    source="training hook",
                    node="n011",
                    order_uncertain=True,
                ),
            ),
            ruled_out=(
                RuledOut(cause="network", reason="transfer 0.21 s, base 0.20 s"),
                RuledOut(cause="data", reason="loader wait 0 ms on rank 91"),
                RuledOut(cause="thermal", reason="58 C, slows at 87 C"),
            ),
            unsure=("why the power brake is on: no reading from the power supplies",),
            why=Why(
                rule="compute ratio over peers, sustained",
                source="Falcon (NSDI 2025)",
                inputs={"compute_ratio": 1.86, "steps": 61.0, "late_share": 0.98},
                thresholds={"compute_ratio": 1.1, "steps": 8.0},
            ),
            gpus_held=256,
            victims=(Subject(kind="job", job="llm-70b"),),
        ),
    ),
    notes=(Note(at_s=NOW_S - 100, author="kim", text="seen on the board, looking"),),
    runbooks=("compute-straggler", "power-thermal"),
)
OFF_BUS = replace(
    STRAGGLER,
    id="I-141",
    state=IncidentState.ACKNOWLEDGED,
    kind=IncidentKind.GPU_OFF_BUS,
    culprit=Subject(kind="gpu", node="n040", device="SIM-040-6", job="moe-8x22"),
    cause="off_bus",
    summary="GPU fell off the bus (Xid 79), rank 70 hangs",
    confidence=0.99,
    opened_s=NOW_S - 262,
    owner="ana",
    findings=(replace(STRAGGLER.findings[0], latched=True, kind=IncidentKind.GPU_OFF_BUS),),
    runbooks=("gpu-off-bus",),
    notes=(),
)
HOT = replace(
    STRAGGLER,
    id="I-139",
    severity=Severity.WARNING,
    kind=IncidentKind.GPU_THERMAL,
    culprit=Subject(kind="gpu", node="n022", device="SIM-022-0"),
    cause="thermal_slowdown",
    summary="thermal slowdown for 6 min",
    confidence=0.88,
    opened_s=NOW_S - 1290,
    findings=(),
    runbooks=(),
    notes=(),
)
QUIET = replace(
    HOT,
    id="I-131",
    state=IncidentState.SILENCED,
    kind=IncidentKind.AGENT_SILENT,
    culprit=Subject(kind="node", node="n060"),
    cause="agent_silent",
    summary="agent silent",
    opened_s=NOW_S - 43_320,
    owner="kim",
    active=False,
    quiet_s=40,
)
CLOSED = replace(
    HOT,
    id="I-130",
    state=IncidentState.RESOLVED,
    summary="data loader stalled on rank 3",
    opened_s=NOW_S - 9_000,
    closed_s=NOW_S - 1_900,
)

BOOK = model.Runbook(
    id="compute-straggler",
    revision=3,
    title="One rank computes longer than its peers",
    first_rule="Do not restart the job before you know which device is slow.",
    never=("reset a GPU that still holds a rank",),
    severity="CRIT",
    steps=(
        model.RunbookStep(id="confirm", kind="check", title="Confirm that the rank is late"),
        model.RunbookStep(
            id="known", kind="ask", title="Is it expected?", question="Is it expected?", options=("yes", "no")
        ),
        model.RunbookStep(
            id="unlock", kind="action", title="Take back locked clocks", approval="operator", risk="R1"
        ),
        model.RunbookStep(id="verify", kind="verify", title="Watch it stay healthy"),
        model.RunbookStep(id="close", kind="end", title="Close the incident"),
    ),
)

RUN = model.Run(
    id="r-17",
    runbook="compute-straggler",
    revision=3,
    title="One rank computes longer than its peers",
    incident="I-142",
    state="waiting",
    started_by="ana",
    started_s=NOW_S - 60,
    current="unlock",
    first_rule=BOOK.first_rule,
    never=BOOK.never,
    target=Subject(kind="gpu", node="n011", device="SIM-011-3"),
    path=("confirm", "known", "unlock"),
    steps=(
        model.RunStep(
            id="confirm",
            kind="check",
            title="Confirm that the rank is late",
            state="done",
            outcome="late",
            started_s=NOW_S - 60,
            ended_s=NOW_S - 58,
            facts=(model.Fact(name="rank.compute_ratio", value="1.86", age_s=0.5, holds=True),),
            output=("rank 91 last in 61 of 62 steps",),
        ),
        model.RunStep(
            id="known",
            kind="ask",
            title="Is it expected?",
            state="done",
            outcome="no",
            by="ana",
            started_s=NOW_S - 58,
            ended_s=NOW_S - 41,
            question="Is it expected?",
            options=("yes", "no"),
        ),
        model.RunStep(
            id="unlock",
            kind="action",
            title="Take back locked clocks",
            state="waiting",
            why="The SM clock is held below its peers' while the GPU is cool: a lock, not heat.",
            expect="SM clock above 1,700 MHz within 10 s",
            command="gpu.reset_clocks gpu=SIM-011-3 on n011",
            effect="the clock of one GPU goes up; the job goes on",
            undo="lock the clocks again with nvidia-smi -lgc",
            risk="R1",
            approval="operator",
            facts=(
                model.Fact(name="gpu.sm_clock_mhz", value="1,095", unit="MHz", age_s=0.4, holds=True),
                model.Fact(name="gpu.temperature_celsius", value="58", unit="C", age_s=0.4, holds=True),
                model.Fact(
                    name="owner told", value="no answer", age_s=60.0, holds=False, note="asked a minute ago"
                ),
            ),
            started_s=NOW_S - 41,
            typed_target="SIM-011-3",
        ),
        model.RunStep(
            id="verify",
            kind="verify",
            title="Watch it stay healthy",
            state="pending",
            healthy_s=0,
            healthy_needed_s=60,
        ),
        model.RunStep(id="close", kind="end", title="Close the incident", state="pending"),
    ),
)


def fleet() -> model.Fleet:
    """Return the fleet with two jobs, five open incidents and one that was closed."""
    return model.Fleet(
        collector="test",
        wall_s=NOW_S,
        nodes=_nodes(),
        jobs=JOBS,
        incidents=(STRAGGLER, OFF_BUS, HOT, QUIET, CLOSED),
        health=model.Health(
            rules_active=17,
            evaluated_age_s=0.3,
            input_completeness=0.987,
            nodes_known=64,
            nodes_reporting=63,
            batches_taken=120_000,
            tick_ms=4.2,
        ),
    )


def quiet_fleet() -> model.Fleet:
    """Return a fleet in which nothing is wrong."""
    nodes = tuple(
        replace(
            node, state="ok", note="", last_seen_age_s=0.5, gpus=tuple(_gpu(index, slot) for slot in range(8))
        )
        for index, node in enumerate(_nodes())
    )
    jobs = tuple(replace(job, state="running", straggler="", step_s=job.baseline_step_s) for job in JOBS)
    whole = fleet()
    return replace(
        whole, nodes=nodes, jobs=jobs, incidents=(CLOSED,), health=replace(whole.health, nodes_reporting=64)
    )


def job_detail() -> model.JobDetail:
    """Return the slow job: sixteen ranks, of which the fourth is late from the middle on."""
    steps = tuple(range(48_150, 48_210))
    late_from = 30
    ranks = tuple(
        model.Rank(
            rank=88 + index,
            node=f"n{11 + index // 8:03d}",
            gpu=f"gpu{index % 8}",
            pid=4000 + index,
            state="running",
            step=48_210,
            step_s=4.12,
            data_s=0.004,
            compute_s=2.6 if index == 3 else 1.4,
            wait_s=0.01 if index == 3 else 1.21,
            late_s=1.21 if index == 3 else 0.0,
            compute_ratio=1.86 if index == 3 else 1.0,
            beat_age_s=0.6,
        )
        for index in range(16)
    )
    wait = tuple(
        (0.01 if index == 3 else 1.21) if column >= late_from else 0.02
        for index in range(16)
        for column in range(len(steps))
    )
    slow = tuple(4.12 if column >= late_from else 2.9 for column in range(len(steps)))
    return model.JobDetail(
        summary=JOBS[0],
        ranks=ranks,
        steps=steps,
        step_s_median=slow,
        step_s_max=tuple(value + 0.02 for value in slow),
        wait_s=wait,
        change_point_s=NOW_S - 231,
        flows=(
            model.Flow(
                node="n011",
                peer="n012",
                delivery_mbit_s=92_000,
                busy_share=0.2,
                unsent_kib=0,
                rtt_ms=0.1,
                retransmits_per_s=0,
            ),
            model.Flow(
                node="n012",
                peer="n013",
                delivery_mbit_s=91_500,
                busy_share=0.2,
                unsent_kib=4,
                rtt_ms=0.1,
                retransmits_per_s=0,
            ),
        ),
        incidents=("I-142",),
    )


def node_detail(name: str = "n011") -> model.NodeDetail:
    """Return one node with trends, events and a source that fails."""
    node = next(each for each in fleet().nodes if each.name == name)
    return model.NodeDetail(
        summary=node,
        readings=tuple(
            model.Reading(signal=signal, unit=unit, device="SIM-011-3", value=value, age_s=age_s)
            for signal, unit, value, age_s in (
                ("gpu.sm_clock_mhz", "MHz", 1095.0, 0.4),
                ("gpu.power_watts", "W", 402.0, 0.4),
                ("gpu.temperature_celsius", "C", 61.0, 0.4),
                ("gpu.ecc_dbe_volatile_per_s", "/s", 0.0, 28.0),
                ("gpu.nvlink_links_up", "", 17.0, 42.0),
            )
        ),
        trends=(
            model.Trend(
                signal="gpu.sm_clock_mhz",
                unit="MHz",
                device="gpu3",
                values=(1755.0,) * 30 + (1095.0,) * 30,
                peers=(1755.0,) * 60,
            ),
            model.Trend(
                signal="gpu.power_watts", unit="W", device="gpu3", values=(610.0,) * 30 + (402.0,) * 30
            ),
        ),
        events=(
            model.NodeEvent(
                at_s=NOW_S - 230,
                kind="gpu.xid",
                severity=3,
                source="kernel",
                device="gpu3",
                code=79,
                text="GPU has fallen off the bus",
            ),
            model.NodeEvent(
                at_s=NOW_S - 9_000,
                kind="agent.started",
                severity=1,
                source="agent",
                device="",
                code=0,
                text="agent started",
                backfill=True,
            ),
        ),
        sources=(
            model.SourceStatus(name="nvml", up=True, age_s=0.4, duration_ms=12.5),
            model.SourceStatus(name="ports", up=True, age_s=0.4, duration_ms=0.8),
            model.SourceStatus(
                name="kmsg", up=False, age_s=90.0, duration_ms=0.0, reason="/dev/kmsg: permission denied"
            ),
        ),
        verbs=("gpu.inspect", "gpu.reset_clocks"),
        agent_version="0.1.0",
        incidents=("I-142",),
    )


def client() -> FakeClient:
    """Return a back end over the fleet, with a job, a node, a runbook and its walk."""
    fake = FakeClient(fleet())
    fake.jobs["llm-70b"] = job_detail()
    fake.nodes["n011"] = node_detail()
    fake.books = (BOOK,)
    fake.walks["compute-straggler"] = RUN
    fake.walks[RUN.id] = RUN
    return fake
