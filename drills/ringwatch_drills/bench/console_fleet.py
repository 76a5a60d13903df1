"""A fleet of any size as the query service answers it, for measuring consoles. It simulates only sizes."""

# ruff: noqa: N802, ARG002  (gRPC names methods and arguments)

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

from ringwatch_proto.codec import incident_to_message
from ringwatch_proto.records import (
    Finding,
    Incident,
    IncidentKind,
    IncidentState,
    Severity,
    Subject,
    Verdict,
    Why,
)
from ringwatch_proto.v1 import query_pb2, query_pb2_grpc, runs_pb2, runs_pb2_grpc

GPUS_A_NODE: Final = 8
_NODES_A_JOB: Final = 128


class Fleet:
    """The message of a fleet. ``busy`` moves every reading from one look to the next."""

    def __init__(self, gpus: int, incidents: int) -> None:
        self.busy = True
        self._look = 0
        nodes = -(-gpus // GPUS_A_NODE)
        now_s = time.time()
        self._message = query_pb2.Fleet(
            collector="bench",
            nodes=[_node(number) for number in range(nodes)],
            jobs=[
                query_pb2.JobSummary(
                    job=f"job-{number}", state="running", world_size=1024, ranks_reporting=1024, step_s=0.5
                )
                for number in range(-(-nodes // _NODES_A_JOB))
            ],
            incidents=[incident_to_message(_incident(number, now_s)) for number in range(incidents)],
            health=query_pb2.Health(
                rules_active=17,
                evaluated_age_s=0.3,
                input_completeness=1.0,
                nodes_known=nodes,
                nodes_reporting=nodes,
            ),
        )

    def look(self) -> query_pb2.Fleet:
        """Return the fleet as it is now."""
        self._message.wall_ns = time.time_ns()
        if self.busy:
            self._look += 1
            for place, node in enumerate(self._message.nodes):
                for slot, gpu in enumerate(node.gpus):
                    gpu.utilization_percent = 60.0 + (place + 7 * slot + 13 * self._look) % 40
        return self._message


def _node(number: int) -> query_pb2.NodeSummary:
    return query_pb2.NodeSummary(
        node=f"n{number:05d}",
        state="ok",
        last_seen_age_s=0.4,
        job=f"job-{number // _NODES_A_JOB}",
        labels={"rack": f"r{number // 16}"},
        gpus=[
            query_pb2.GpuSummary(
                id=f"GPU-{number:05d}-{slot}",
                name=f"gpu{slot}",
                state="ok",
                utilization_percent=90.0,
                power_watts=600.0,
                temperature_celsius=60.0,
                sm_clock_mhz=1755.0,
                reading_age_s=0.4,
                job=f"job-{number // _NODES_A_JOB}",
                rank=number % _NODES_A_JOB * GPUS_A_NODE + slot,
            )
            for slot in range(GPUS_A_NODE)
        ],
    )


def _incident(number: int, now_s: float) -> Incident:
    culprit = Subject(kind="device", node=f"n{number:05d}", device=f"GPU-{number:05d}-0")
    finding = Finding(
        kind=IncidentKind.GPU_FAULT,
        detector="bench",
        culprit=culprit,
        cause="xid_48",
        verdict=Verdict.HARDWARE,
        severity=Severity.CRITICAL,
        confidence=0.9,
        onset_s=now_s - 60,
        summary=f"double-bit error on gpu0 of n{number:05d}",
        why=Why(rule="bench", source="", inputs={}, thresholds={}),
    )
    return Incident(
        id=f"I-{number + 1}",
        state=IncidentState.NEW,
        severity=finding.severity,
        kind=finding.kind,
        culprit=culprit,
        cause=finding.cause,
        verdict=finding.verdict,
        summary=finding.summary,
        confidence=0.9,
        onset_s=finding.onset_s,
        opened_s=now_s - 50,
        updated_s=now_s - 50,
        findings=(finding,),
    )


class QueryBench(query_pb2_grpc.QueryServicer):  # type: ignore[misc]  # the generated base has no types
    """Answers from the fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def GetFleet(self, request: object, context: object) -> query_pb2.Fleet:
        """Return the fleet now."""
        return self._fleet.look()

    async def FollowFleet(
        self, request: query_pb2.FollowFleetRequest, context: object
    ) -> AsyncIterator[query_pb2.Fleet]:
        """Yield the fleet once a second."""
        while True:
            yield self._fleet.look()
            await asyncio.sleep(1.0)


class RunsBench(runs_pb2_grpc.RunsServicer):  # type: ignore[misc]  # the generated base has no types
    """Knows no runbook."""

    async def ListRunbooks(self, request: object, context: object) -> runs_pb2.RunbookList:
        """Return none."""
        return runs_pb2.RunbookList()
