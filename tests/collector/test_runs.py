"""Runs hosted by a real collector: over gRPC, down the node's stream, through disk, audit and kill -9."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from tests.collector.rig import GPU_SIGNALS, Client, Rig, batch, event, hello, running
from tests.collector.test_crash import process
from tests.runbooks.rig import small_library

from ringwatch_collector.access.callers import Caller, Role, set_caller
from ringwatch_collector.app import Collector
from ringwatch_collector.runs import person_of
from ringwatch_proto.signals import GpuState
from ringwatch_proto.v1 import query_pb2, query_pb2_grpc, runs_pb2, runs_pb2_grpc
from ringwatch_proto.v1 import telemetry_pb2 as wire
from ringwatch_runbooks import cli
from ringwatch_runbooks.base import Person
from ringwatch_runbooks.model import Trigger

LOST = event(1, kind="gpu.lost", text="the GPU is lost")
GPU = "GPU-aaaabbbb"
GIVE_BACK = """\
schema: runbook/v1
id: give-back
revision: 1
title: {en: Give the clocks back, zh: 解除锁频}
first_rule: {en: Look first, zh: 先看}
severity: warning
triggers: [{kind: gpu.fault, causes: ["*"]}]
never: [act before you look]
sources: ["https://example.org"]
steps:
  - {id: act, kind: action, title: Give them back, uses: give_back_clocks, then: over, on_fail: over}
  - {id: over, kind: end, outcome: mitigated, note: The clocks are given back}
"""
GIVE_BACK_CLOCKS = """\
schema: runbook-actions/v1
actions:
  give_back_clocks:
    title: {en: Give the clocks back, zh: 解除锁频}
    effect: takes back locked clocks
    risk: R1
    approval: operator
    recheck: open
    target: "{node}"
    verb: gpu.reset_clocks
    arguments: {gpu: "{gpu}"}
    timeout_s: 60
    dry_run: the node is asked
    undo: lock them again
"""
SMALL = """\
  - {id: act, kind: action, title: Take back the clocks, uses: reset_clocks, then: over, on_fail: lost}
  - {id: over, kind: end, outcome: mitigated, note: The clocks are given back}
  - {id: lost, kind: end, outcome: handed_over, note: It did not work}"""


def lost_hello() -> wire.Hello:
    """Return a Hello of a node with one GPU whose id is one that verbs take."""
    greeting = hello(gpus=1)
    greeting.tables[0].devices[0].id = GPU
    return greeting


def state_block(state: GpuState) -> wire.Block:
    """Return a block of one GPU of which nothing but the state is read."""
    values = np.full((1, len(GPU_SIGNALS)), np.nan, "<f4")
    values[0, :2] = (0.0, state)
    return wire.Block(table=wire.TABLE_GPU, rows=1, columns=len(GPU_SIGNALS), values=values.tobytes())


def lost_batch(sequence: int = 1) -> wire.Batch:
    """Return a batch in which a GPU is lost, by its state and by an event."""
    block = state_block(GpuState.LOST)
    lost = wire.Event()
    lost.CopyFrom(LOST)
    lost.device = GPU
    lost.severity = wire.SEVERITY_CRITICAL
    return batch(sequence, blocks=[block], events=[lost])


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Run a collector."""
    async with running(tmp_path) as made:
        yield made


def runs_of(rig: Rig) -> Any:
    """Return the Runs service as a client sees it."""
    return runs_pb2_grpc.RunsStub(rig.channel)


async def incident_of(query: Any) -> query_pb2.Incident:
    """Wait for the first incident."""
    for _ in range(400):
        found = (await query.ListIncidents(query_pb2.ListIncidentsRequest())).incidents
        if found:
            first: query_pb2.Incident = found[0]
            return first
        await asyncio.sleep(0.05)
    raise AssertionError("no incident was opened")


async def lose_a_gpu(rig: Rig) -> tuple[Client, query_pb2.Incident]:
    """Return the agent of a node that lost its GPU, and the incident about it."""
    agent = await rig.agent(lost_hello())
    await agent.send(lost_batch())
    return agent, await incident_of(rig.query)


async def until_waiting(runs: Any, run: str, patience_s: float = 30.0) -> runs_pb2.Run:
    """Wait until a run waits for a person or is over."""
    for _ in range(round(patience_s / 0.05)):
        found: runs_pb2.Run = await runs.GetRun(runs_pb2.GetRunRequest(id=run))
        if found.state != "running":
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{run} is still running")


async def answer_verbs(agent: Client, status: wire.VerbStatus, text: str) -> wire.VerbRequest:
    """Answer the next verb that the collector asks for."""
    while not agent.requests:
        assert await agent.receive() is not None
    request = agent.requests.pop(0)
    await agent.send(wire.VerbResult(id=request.id, status=status, text=text))
    return request


def use_small(collector: Collector) -> None:
    """Give the collector one small runbook for lost GPUs, with an action that a node carries out."""
    library = small_library(SMALL)
    book = replace(library.runbooks["small"], triggers=(Trigger(kind="gpu.off_bus"),))
    collector.runs.world.library = replace(library, runbooks={"small": book})


async def test_an_incident_names_its_runbooks_and_a_run_reads_the_node(rig: Rig) -> None:
    """The first check asks the node down its own stream, with a verb that only reads."""
    agent, incident = await lose_a_gpu(rig)
    assert list(incident.runbooks) == ["gpu-off-the-bus"]
    runs = runs_of(rig)

    run = await runs.StartRun(
        runs_pb2.StartRunRequest(incident=incident.id, runbook="gpu-off-the-bus", author="ana")
    )
    request = await answer_verbs(agent, wire.VERB_STATUS_DONE, "0 of 1 GPUs answer")
    assert (request.verb, request.requested_by, request.approved_by) == ("node.inspect", "ana", "")
    run = await until_waiting(runs, run.id)

    steps = {step.id: step for step in run.steps}
    assert (run.current, steps["seen"].state) == ("seen", "waiting")
    assert list(steps["seen"].options) == ["take the node out", "it was repaired"]
    assert list(steps["state"].output) == ["0 of 1 GPUs answer"]
    assert "gpu.state" in steps["state"].why
    fleet = await rig.query.GetFleet(query_pb2.GetFleetRequest())
    assert [(each.id, each.waiting_for) for each in fleet.runs] == [(run.id, "answer")]
    assert (await rig.query.GetIncident(query_pb2.GetIncidentRequest(id=incident.id))).run == run.id


async def test_an_approved_verb_reaches_the_node_and_the_audit_log(rig: Rig) -> None:
    """Who asked, who approved, what came of it; the chain is intact."""
    agent, incident = await lose_a_gpu(rig)
    use_small(rig.collector)
    runs = runs_of(rig)
    agent_up = batch(2, blocks=[])
    await agent.send(agent_up)
    run = await runs.StartRun(runs_pb2.StartRunRequest(incident=incident.id, runbook="small", author="ana"))
    assert (run.state, run.steps[0].typed_target, run.steps[0].risk) == ("waiting", "n1", "R1")

    def said(action: str, text: str) -> runs_pb2.AnswerRequest:
        return runs_pb2.AnswerRequest(run=run.id, step="act", action=action, text=text, author="bo")

    asked = asyncio.ensure_future(runs.Answer(said("dry_run", "")))
    request = await answer_verbs(agent, wire.VERB_STATUS_DONE, "would take back the clocks")
    assert request.dry_run
    dry = await asked
    assert dry.steps[0].output[-1] == "done: would take back the clocks"
    await runs.Answer(said("approve", "n1"))
    request = await answer_verbs(agent, wire.VERB_STATUS_DONE, "taken back")
    assert (request.verb, dict(request.arguments)) == ("gpu.reset_clocks", {"gpu": GPU})
    assert (request.requested_by, request.approved_by, request.incident) == ("ana", "bo", incident.id)
    run = await until_waiting(runs, run.id)

    assert run.state == "mitigated"
    log = await rig.query.ListAudit(query_pb2.ListAuditRequest())
    assert log.chain_intact
    assert [(each.actor, each.result) for each in log.records if each.action == "action.reset_clocks"] == [
        ("bo", "asked for"),
        ("bo", "done: taken back"),
    ]


@pytest.mark.parametrize(
    ("action", "text", "code"),
    [
        ("approve", "n2", grpc.StatusCode.FAILED_PRECONDITION),
        ("approve", "", grpc.StatusCode.FAILED_PRECONDITION),
        ("sing", "", grpc.StatusCode.FAILED_PRECONDITION),
        ("skip", "", grpc.StatusCode.FAILED_PRECONDITION),
    ],
)
async def test_an_answer_that_does_not_fit_is_refused_with_a_sentence(
    rig: Rig, action: str, text: str, code: grpc.StatusCode
) -> None:
    """The node hears nothing of it."""
    agent, incident = await lose_a_gpu(rig)
    use_small(rig.collector)
    runs = runs_of(rig)
    run = await runs.StartRun(runs_pb2.StartRunRequest(incident=incident.id, runbook="small", author="ana"))

    with pytest.raises(grpc.aio.AioRpcError) as error:
        await runs.Answer(
            runs_pb2.AnswerRequest(run=run.id, step="act", action=action, text=text, author="ana")
        )

    assert error.value.code() is code
    assert error.value.details()
    assert agent.requests == []


@pytest.mark.parametrize(
    ("incident", "runbook", "author", "code"),
    [
        ("I-99", "gpu-off-the-bus", "ana", grpc.StatusCode.NOT_FOUND),
        ("I-1", "nothing", "ana", grpc.StatusCode.NOT_FOUND),
        ("I-1", "hang", "ana", grpc.StatusCode.FAILED_PRECONDITION),
        ("I-1", "gpu-off-the-bus", "\x1b", grpc.StatusCode.OK),
        ("I-1", "gpu-off-the-bus", "  ", grpc.StatusCode.FAILED_PRECONDITION),
    ],
)
async def test_a_start_that_does_not_fit_is_refused(
    rig: Rig, incident: str, runbook: str, author: str, code: grpc.StatusCode
) -> None:
    """A name with control characters is cleaned and not trusted."""
    await lose_a_gpu(rig)
    request = runs_pb2.StartRunRequest(incident=incident, runbook=runbook, author=author)

    if code is grpc.StatusCode.OK:
        assert (await runs_of(rig).StartRun(request)).started_by.isprintable()
        return
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await runs_of(rig).StartRun(request)
    assert error.value.code() is code


@pytest.mark.parametrize(
    ("caller", "person"),
    [
        (Caller(name="", role=Role.VIEWER), Person(name="ana")),
        (
            Caller(name="bo", role=Role.OPERATOR, authenticated=True),
            Person(name="bo", proven=True, approves=False, rules=False),
        ),
        (
            Caller(name="bo", role=Role.APPROVER, authenticated=True),
            Person(name="bo", proven=True, approves=True, rules=False),
        ),
        (Caller(name="bo", role=Role.ADMIN, authenticated=True), Person(name="bo", proven=True)),
    ],
)
def test_a_proven_name_stands_above_a_claimed_one(caller: Caller, person: Person) -> None:
    """And its role says what it may do."""
    nobody: Any = None

    async def served() -> Person:
        set_caller(caller)
        return person_of(nobody, "ana")

    # A call is a task of its own: what it sets is gone with it.
    assert asyncio.run(served()) == person


async def test_runbooks_are_listed_for_an_incident_and_shown(rig: Rig) -> None:
    """The console shows rules before it starts."""
    _, incident = await lose_a_gpu(rig)
    runs = runs_of(rig)

    listed = await runs.ListRunbooks(runs_pb2.ListRunbooksRequest(incident=incident.id))
    everything = await runs.ListRunbooks(runs_pb2.ListRunbooksRequest())
    one = await runs.GetRunbook(runs_pb2.GetRunbookRequest(id="thermal"))

    assert [book.id for book in listed.runbooks] == ["gpu-off-the-bus"]
    assert len(everything.runbooks) == len(rig.collector.runs.world.library.runbooks)
    assert one.first_rule
    assert one.first_rule_zh
    assert one.never
    approvals = {step.id: step.approval for step in one.steps if step.kind == "action"}
    assert approvals["reset_clocks"] == "operator"
    for missing in (
        runs.GetRunbook(runs_pb2.GetRunbookRequest(id="x")),
        runs.GetRun(runs_pb2.GetRunRequest()),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await missing
        assert error.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_run_outlives_kill_9(tmp_path: Path) -> None:
    """The collector is killed while a run waits; the next one goes on with it."""
    with process(tmp_path) as (killed, address):
        async with grpc.aio.insecure_channel(address) as channel:
            client = Client(channel)
            await client.greet(lost_hello())
            await client.send(lost_batch())
            incident = await incident_of(query_pb2_grpc.QueryStub(channel))
            runs: Any = runs_pb2_grpc.RunsStub(channel)
            request = runs_pb2.StartRunRequest(incident=incident.id, runbook="gpu-off-the-bus", author="ana")
            run = await runs.StartRun(request)
            await answer_verbs(client, wire.VERB_STATUS_REFUSED, "not allowed here")
            before = await until_waiting(runs, run.id)
        killed.kill()
        killed.wait()
    with process(tmp_path) as (_, address):
        async with grpc.aio.insecure_channel(address) as channel:
            runs = runs_pb2_grpc.RunsStub(channel)
            after = await runs.GetRun(runs_pb2.GetRunRequest(id=run.id))
            assert (after.state, after.current, after.path) == (before.state, before.current, before.path)
            answer = runs_pb2.AnswerRequest(
                run=run.id, step=after.current, action="answer", text="take the node out", author="bo"
            )
            gone_on = await runs.Answer(answer)

    assert gone_on.current == "drain"


async def test_an_action_that_kill_9_cut_off_asks_and_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verb is on its way to the node when the collector dies: nobody knows, and nobody guesses."""
    library = tmp_path / "library"
    library.mkdir()
    (library / "give-back.yaml").write_text(GIVE_BACK, encoding="utf-8")
    (library / "actions.yaml").write_text(GIVE_BACK_CLOCKS, encoding="utf-8")
    monkeypatch.setenv("RINGWATCH_COLLECTOR_RUNBOOKS__LIBRARY", str(library))
    with process(tmp_path) as (killed, address):
        async with grpc.aio.insecure_channel(address) as channel:
            client = Client(channel)
            await client.greet(lost_hello())
            await client.send(batch(1, blocks=[state_block(GpuState.NEEDS_RESET)]))
            incident = await incident_of(query_pb2_grpc.QueryStub(channel))
            runs: Any = runs_pb2_grpc.RunsStub(channel)
            request = runs_pb2.StartRunRequest(incident=incident.id, runbook="give-back", author="ana")
            run = await runs.StartRun(request)
            await client.send(batch(2, blocks=[state_block(GpuState.NEEDS_RESET)]))
            answer = runs_pb2.AnswerRequest(run=run.id, step="act", action="approve", text="n1", author="ana")
            await runs.Answer(answer)
            while not client.requests:
                assert await client.receive() is not None
        killed.kill()
        killed.wait()
    with process(tmp_path) as (_, address):
        async with grpc.aio.insecure_channel(address) as channel:
            client = Client(channel)
            await client.greet(lost_hello())
            runs = runs_pb2_grpc.RunsStub(channel)
            after = await runs.GetRun(runs_pb2.GetRunRequest(id=run.id))
            step = next(each for each in after.steps if each.id == "act")
            assert (after.state, after.current, list(step.options)) == ("waiting", "act", ["done", "failed"])
            assert "whether it happened is not known" in step.why
            answer = runs_pb2.AnswerRequest(run=run.id, step="act", action="answer", text="done", author="bo")
            over = await runs.Answer(answer)

            assert (over.state, over.path[-1]) == ("mitigated", "over")
            assert client.requests == []


async def test_the_commands_walk_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the console does can be done from a script."""
    with process(tmp_path) as (_, address):
        async with grpc.aio.insecure_channel(address) as channel:
            client = Client(channel)
            await client.greet(lost_hello())
            await client.send(lost_batch())
            incident = await incident_of(query_pb2_grpc.QueryStub(channel))

            async def do(*arguments: str) -> tuple[int, str]:
                code = await asyncio.to_thread(cli.main, [*arguments, "--collector", address, "--as", "ana"])
                return code, capsys.readouterr().out

            code, out = await do("start", incident.id, "gpu-off-the-bus", "--json")
            assert (code, json.loads(out)["id"]) == (0, "R-1")
            await answer_verbs(client, wire.VERB_STATUS_REFUSED, "not allowed here")
            await until_waiting(runs_pb2_grpc.RunsStub(channel), "R-1")
            code, out = await do("run", "R-1")
            assert code == 0
            assert "option: take the node out" in out
            planned = asyncio.ensure_future(do("plan", incident.id, "gpu-off-the-bus"))
            assert (await answer_verbs(client, wire.VERB_STATUS_DONE, "would load it")).dry_run
            code, out = await planned
            assert code == 0
            assert "done: would load it" in out
            assert "plan of gpu-off-the-bus" in out
            assert "scontrol show node n1; squeue --nodelist=n1" in out
            code, out = await do("run", incident.id, "--json")
            assert (code, json.loads(out)["id"]) == (0, "R-1")
            assert (await do("answer", "R-1", "seen", "answer", "dance"))[0] == 1
            assert (await do("breaker", "close", "--why", "nothing is wrong"))[0] == 1
            code, out = await do("breaker", "open", "--why", "too many at once")
            assert (code, out.splitlines()[:2]) == (
                0, ["mode ask", "circuit breaker OPEN, by ana: too many at once"],
            )  # fmt: skip
            assert (await do("breaker", "close", "--why", "one cause, found"))[0] == 0
            assert (await do("run", "R-7"))[0] == 1
            code, out = await do("answer", "R-1", "seen", "answer", "take the node out")
            assert code == 0
            assert "scontrol update nodename=n1 state=drain reason=I-1" in out
            assert "type to approve: n1" in out
