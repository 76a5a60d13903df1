"""A real gRPC server on a real port that answers the query and run services from messages."""

# ruff: noqa: ARG002, N802 - the generated base class names methods and arguments

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from tests.tui import world

from ringwatch_proto.codec import incident_to_message
from ringwatch_proto.v1 import query_pb2, query_pb2_grpc, runs_pb2, runs_pb2_grpc, telemetry_pb2

NS = 1_000_000_000


def fleet_message() -> query_pb2.Fleet:
    """Return a fleet of one node, one job and one incident."""
    nan = float("nan")
    gpu = query_pb2.GpuSummary(
        id="SIM-1", name="gpu0", state="ok", utilization_percent=90, power_watts=nan, reading_age_s=0.5
    )
    return query_pb2.Fleet(
        collector="served",
        wall_ns=round(world.NOW_S) * NS,
        nodes=[
            query_pb2.NodeSummary(
                node="n10", state="ok", gpus=[gpu], last_seen_age_s=0.5, labels={"rack": "r1"}
            ),
            query_pb2.NodeSummary(node="n9", state="ok", gpus=[gpu], last_seen_age_s=0.5),
        ],
        jobs=[query_pb2.JobSummary(job="llm", state="running", world_size=2, ranks_reporting=2, step_s=0.5)],
        incidents=[incident_to_message(world.STRAGGLER)],
        health=query_pb2.Health(rules_active=13, input_completeness=1.0, nodes_known=2, nodes_reporting=2),
    )


class Query(query_pb2_grpc.QueryServicer):  # type: ignore[misc]
    """Answers from messages; remembers what was said about incidents."""

    def __init__(self) -> None:
        self.fleet = fleet_message()
        self.actions: list[query_pb2.IncidentAction] = []

    async def GetFleet(self, request: object, context: object) -> query_pb2.Fleet:
        """Return the fleet."""
        return self.fleet

    async def FollowFleet(
        self, request: query_pb2.FollowFleetRequest, context: object
    ) -> AsyncIterator[query_pb2.Fleet]:
        """Yield the fleet twice, then end the stream."""
        yield self.fleet
        await asyncio.sleep(0)
        yield self.fleet

    async def GetIncident(
        self, request: query_pb2.GetIncidentRequest, context: grpc.aio.ServicerContext
    ) -> query_pb2.Incident:
        """Return the one incident there is."""
        for each in self.fleet.incidents:
            if each.id == request.id:
                return each
        await context.abort(grpc.StatusCode.NOT_FOUND, f"no incident {request.id}")
        raise AssertionError

    async def GetJob(self, request: query_pb2.GetJobRequest, context: object) -> query_pb2.JobDetail:
        """Return a job with two ranks and three steps."""
        return query_pb2.JobDetail(
            summary=self.fleet.jobs[0],
            ranks=[query_pb2.RankRow(rank=0, node="n9"), query_pb2.RankRow(rank=1, node="n10")],
            steps=[1, 2, 3],
            step_s_median=[0.5, 0.5, 0.5],
            step_s_max=[0.6, 0.6, 0.6],
            wait_s=[0.1] * 6,
        )

    async def GetNode(self, request: query_pb2.GetNodeRequest, context: object) -> query_pb2.NodeDetail:
        """Return a node with a reading of a known and one of an unknown signal."""
        return query_pb2.NodeDetail(
            summary=self.fleet.nodes[0],
            series=[
                query_pb2.Series(table=telemetry_pb2.TABLE_GPU, device="SIM-1", signal=3, values=[1, 2]),
                query_pb2.Series(table=telemetry_pb2.TABLE_GPU, device="SIM-1", signal=999, values=[1]),
            ],
            events=[
                telemetry_pb2.Event(
                    id=1, wall_ns=NS, kind="gpu.xid", code=79, severity=telemetry_pb2.SEVERITY_CRITICAL
                )
            ],
        )

    async def ActOnIncident(self, request: query_pb2.IncidentAction, context: object) -> query_pb2.Incident:
        """Remember the action."""
        self.actions.append(request)
        self.fleet.incidents[0].state = "acknowledged"
        return self.fleet.incidents[0]


class Runs(runs_pb2_grpc.RunsServicer):  # type: ignore[misc]
    """Knows one runbook and one run."""

    async def ListRunbooks(self, request: object, context: object) -> runs_pb2.RunbookList:
        """Return one runbook."""
        step = runs_pb2.RunbookStep(id="a", kind="check", title="look")
        return runs_pb2.RunbookList(runbooks=[runs_pb2.Runbook(id="rb", title="a runbook", steps=[step])])

    async def GetRun(self, request: runs_pb2.GetRunRequest, context: object) -> runs_pb2.Run:
        """Return a run that waits."""
        step = runs_pb2.RunStep(id="a", kind="action", title="do", state="waiting", typed_target="n9")
        return runs_pb2.Run(id=request.id, runbook="rb", state="waiting", current="a", steps=[step])

    async def Answer(
        self, request: runs_pb2.AnswerRequest, context: grpc.aio.ServicerContext
    ) -> runs_pb2.Run:
        """Refuse."""
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"step {request.step} is no longer open")
        raise AssertionError


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[str, Query]]:
    """Serve on a free port; yield the address and the query service."""
    server = grpc.aio.server()
    query = Query()
    query_pb2_grpc.add_QueryServicer_to_server(query, server)
    runs_pb2_grpc.add_RunsServicer_to_server(Runs(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}", query
    finally:
        await server.stop(None)
