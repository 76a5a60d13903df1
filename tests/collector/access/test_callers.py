"""Who a call comes from: the guard asks, the one table answers, the servicer is told."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from tests.collector.rig import running

from ringwatch_collector.access.callers import STRANGER, Caller, Role, author_of, caller_of, set_caller
from ringwatch_collector.access.methods import LEAST_ROLE
from ringwatch_proto.v1 import enroll_pb2, query_pb2, recording_pb2, runs_pb2, telemetry_pb2


def test_roles_of_people_include_those_below_and_agents_stand_beside_them() -> None:
    """No person reports for a node and no node does what people do, whatever the order of numbers."""
    assert Role.ADMIN.covers(Role.VIEWER)
    assert Role.APPROVER.covers(Role.APPROVER)
    assert not Role.OPERATOR.covers(Role.APPROVER)
    assert not Role.ADMIN.covers(Role.AGENT)
    assert not Role.AGENT.covers(Role.VIEWER)
    assert Role.AGENT.covers(Role.AGENT)


def test_every_method_of_every_service_is_in_the_table_and_nothing_else() -> None:
    """A new method is open to nobody until somebody decides who may call it."""
    methods = {
        f"/{service.full_name}/{method.name}"
        for file in (telemetry_pb2, query_pb2, runs_pb2, enroll_pb2, recording_pb2)
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert set(LEAST_ROLE) == methods


async def test_a_proven_name_stands_above_a_claimed_one() -> None:
    """Outside of a guarded call nobody is more than a stranger with a look."""
    assert caller_of(None) is STRANGER
    assert author_of(None, "ada") == "ada"
    set_caller(Caller(name="grace", role=Role.OPERATOR, authenticated=True))
    assert author_of(None, "ada") == "grace"


async def test_on_plaintext_without_tokens_a_claimed_role_bounds_what_a_caller_may_do(tmp_path: Path) -> None:
    """A console that says viewer is held to it; one that says nothing may do what it always could."""
    async with running(tmp_path) as rig:
        act = query_pb2.IncidentAction(incident="I-1", action="note", author="ada", text="seen")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await rig.query.ActOnIncident(act, metadata=(("ringwatch-role", "viewer"),))
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert "ActOnIncident needs operator" in (refused.value.details() or "")
        with pytest.raises(grpc.aio.AioRpcError) as missing:
            await rig.query.ActOnIncident(act)
        assert missing.value.code() is grpc.StatusCode.NOT_FOUND
        assert rig.collector.counters.refused["role"] == 1


async def test_a_role_that_does_not_exist_and_a_token_that_nobody_made_are_refused(tmp_path: Path) -> None:
    """Open to everybody is not open to nonsense."""
    async with running(tmp_path) as rig:
        for headers, code in (
            ((("ringwatch-role", "root"),), grpc.StatusCode.INVALID_ARGUMENT),
            ((("authorization", "Bearer guess"),), grpc.StatusCode.UNAUTHENTICATED),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await rig.query.GetFleet(query_pb2.GetFleetRequest(), metadata=headers)
            assert refused.value.code() is code


async def test_streams_and_followers_pass_the_guard(tmp_path: Path) -> None:
    """Streams that read by themselves and answers that come one after the other work behind it."""
    async with running(tmp_path) as rig:
        await rig.agent()
        follow = rig.query.FollowFleet(query_pb2.FollowFleetRequest())
        assert (await follow.read()).collector == "test"
        follow.cancel()
