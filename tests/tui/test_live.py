"""The live back end, over a real socket."""

import math
import socket

import pytest
from tests.tui.server import serving

from ringwatch_proto.errors import UnreachableError
from ringwatch_tui.client.base import RequestRefused
from ringwatch_tui.client.live import LiveClient


async def test_a_fleet_comes_as_a_snapshot() -> None:
    """Absent stays NaN, nodes are in natural order, incidents are records."""
    async with serving() as (address, _):
        client = LiveClient(address)
        fleet = await client.fleet()
        await client.close()

    assert [node.name for node in fleet.nodes] == ["n9", "n10"]
    assert math.isnan(fleet.nodes[0].gpus[0].power_watts)
    assert fleet.nodes[0].gpus[0].rank == -1
    assert fleet.incidents[0].id == "I-142"
    assert fleet.health.rules_active == 13


async def test_an_incident_of_a_newer_collector_is_named_and_not_dropped() -> None:
    """What this version cannot show is said aloud."""
    async with serving() as (address, query):
        query.fleet.incidents[0].kind = "quantum.flip"
        client = LiveClient(address)
        fleet = await client.fleet()
        with pytest.raises(RequestRefused, match=r"quantum\.flip"):
            await client.incident("I-142")
        await client.close()

    assert fleet.incidents == ()
    assert "I-142" in fleet.unread[0]


async def test_a_stream_that_ends_is_a_lost_connection() -> None:
    """The session is told, and comes back by itself."""
    async with serving() as (address, _):
        client = LiveClient(address)
        stream = client.follow(0.1)
        seen = [(await anext(stream)).collector, (await anext(stream)).collector]
        with pytest.raises(UnreachableError):
            await anext(stream)
        await client.close()

    assert seen == ["served", "served"]


async def test_details_come_with_names_from_the_catalogue() -> None:
    """A signal that is not in the catalogue keeps its number."""
    async with serving() as (address, _):
        client = LiveClient(address)
        job, node = await client.job("llm", 3), await client.node("n9", 60)
        books, run = await client.runbooks(), await client.run("r-1")
        await client.close()

    assert len(job.wait_s) == len(job.ranks) * len(job.steps)
    assert [trend.signal for trend in node.trends] == ["gpu.utilization_percent", "signal.999"]
    assert node.events[0].code == 79
    assert books[0].id == "rb"
    assert run.open_step is not None
    assert run.open_step.typed_target == "n9"


async def test_an_action_goes_under_the_operators_name() -> None:
    """What is said arrives as it was said."""
    async with serving() as (address, query):
        client = LiveClient(address)
        answer = await client.act("I-142", "acknowledge", "ana", "mine")
        await client.close()

    assert answer.state.value == "acknowledged"
    assert [(each.author, each.text) for each in query.actions] == [("ana", "mine")]


async def test_no_is_told_in_the_collectors_words() -> None:
    """A refusal is not a lost connection."""
    async with serving() as (address, _):
        client = LiveClient(address)
        with pytest.raises(RequestRefused, match="no incident I-9"):
            await client.incident("I-9")
        with pytest.raises(RequestRefused, match="no longer open"):
            await client.answer("r-1", "a", "approve", "n9", "ana")
        await client.close()


async def test_nobody_there_is_said_with_the_address() -> None:
    """The operator sees which address does not answer."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        client = LiveClient(address)
        with pytest.raises(UnreachableError, match=address):
            await client.fleet()
        await client.close()
        await client.close()
