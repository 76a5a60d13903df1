"""Verbs down the stream that a node opened: closed list, approval, time-outs, answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.collector.rig import Rig, hello, running

from ringwatch_proto.errors import UnreachableError, VerbRefused
from ringwatch_proto.v1 import telemetry_pb2 as wire

PID = {"pid": "4711"}


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Run a collector."""
    async with running(tmp_path) as made:
        yield made


async def test_a_verb_reaches_the_node_and_its_result_comes_back(rig: Rig) -> None:
    """The request names who asked, who approved, and for which incident."""
    agent = await rig.agent()
    call = asyncio.create_task(
        rig.collector.broker.call(
            "n1", "process.continue", PID, requested_by="ada", approved_by="bob", incident="I-1"
        )
    )
    await agent.receive()
    (request,) = agent.requests
    assert (request.verb, dict(request.arguments), request.approved_by) == ("process.continue", PID, "bob")
    await agent.send(
        wire.VerbResult(id=request.id, status=wire.VERB_STATUS_DONE, text="ok", facts={"a": "1"})
    )
    outcome = await call
    assert (outcome.status, outcome.text, outcome.facts) == ("done", "ok", {"a": "1"})


@pytest.mark.parametrize(
    ("verb", "arguments", "approved_by"),
    [
        ("rm -rf /", {}, "bob"),
        ("process.inspect", {"pid": "1; reboot"}, "bob"),
        ("process.inspect", {}, "bob"),
        ("process.continue", PID, ""),
    ],
)
async def test_what_is_not_on_the_list_or_not_approved_is_never_sent(
    rig: Rig, verb: str, arguments: dict[str, str], approved_by: str
) -> None:
    """The node never hears of it."""
    agent = await rig.agent()
    with pytest.raises(VerbRefused):
        await rig.collector.broker.call("n1", verb, arguments, requested_by="ada", approved_by=approved_by)
    assert not agent.requests


async def test_a_dry_run_and_a_reading_verb_need_no_approval(rig: Rig) -> None:
    """They change nothing."""
    agent = await rig.agent()
    broker = rig.collector.broker
    calls = [
        asyncio.create_task(broker.call("n1", "node.inspect", {}, requested_by="ada")),
        asyncio.create_task(broker.call("n1", "process.continue", PID, requested_by="ada", dry_run=True)),
    ]
    for _ in calls:
        await agent.receive()
    for request in agent.requests:
        await agent.send(wire.VerbResult(id=request.id, status=wire.VERB_STATUS_REFUSED, text="policy"))
    assert [outcome.status for outcome in await asyncio.gather(*calls)] == ["refused", "refused"]


async def test_a_node_that_is_not_connected_is_unreachable(rig: Rig) -> None:
    """Nobody dials a node."""
    with pytest.raises(UnreachableError, match="n9 is not connected"):
        await rig.collector.broker.call("n9", "node.inspect", {}, requested_by="ada")


async def test_a_node_that_does_not_answer_times_out(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came of the verb is then not known, and said to be so."""
    monkeypatch.setattr("ringwatch_collector.broker._GRACE_S", 0.0)
    await rig.agent()
    outcome = await rig.collector.broker.call("n1", "node.inspect", {}, requested_by="ada", timeout_s=0.1)
    assert outcome.status == "timed_out"


async def test_a_result_from_another_node_is_not_believed(rig: Rig) -> None:
    """A node answers for itself."""
    agent, other = await rig.agent(), await rig.agent(hello("n2"))
    call = asyncio.create_task(rig.collector.broker.call("n1", "node.inspect", {}, requested_by="ada"))
    await agent.receive()
    number = agent.requests[0].id
    await other.send(wire.VerbResult(id=number, status=wire.VERB_STATUS_DONE, text="forged"))
    await other.send(wire.VerbResult(id="again", status=wire.VERB_STATUS_DONE))
    await agent.send(wire.VerbResult(id=number, status=wire.VERB_STATUS_FAILED, text="honest"))
    assert (await call).text == "honest"
