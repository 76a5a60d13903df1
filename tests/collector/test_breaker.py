"""The circuit breaker over the wire, with proven names: anyone on call opens it, an admin closes it."""

from __future__ import annotations

from pathlib import Path

from tests.collector.access.rig import fort, refused

from ringwatch_proto.v1 import query_pb2, runs_pb2


async def test_an_operator_opens_the_breaker_and_only_an_admin_closes_it(tmp_path: Path) -> None:
    """The names in the log are those of the tokens, whatever the caller claims."""
    async with fort(tmp_path) as running:
        runs = running.runs()
        freeze = runs_pb2.SetBreakerRequest(open=True, why="forty nodes at once", author="mallory")
        thaw = runs_pb2.SetBreakerRequest(open=False, why="one switch, mended", author="mallory")

        opened = await runs.SetBreaker(freeze, metadata=running.headers("operator"))
        assert (opened.breaker_open, opened.breaker_by) == (True, "operator")
        fleet = await running.query().GetFleet(
            query_pb2.GetFleetRequest(), metadata=running.headers("viewer")
        )
        assert any("circuit breaker is open: forty nodes" in each for each in fleet.health.troubles)

        for role in ("operator", "approver"):
            answer = await refused(runs.SetBreaker(thaw, metadata=running.headers(role)))
            assert "takes the role admin" in (answer.details() or "")
        await refused(runs.SetBreaker(freeze, metadata=running.headers("viewer")))
        closed = await runs.SetBreaker(thaw, metadata=running.headers("admin"))

        assert (closed.breaker_open, closed.breaker_by) == (False, "admin")
        log = await running.query().ListAudit(
            query_pb2.ListAuditRequest(), metadata=running.headers("viewer")
        )
        told = [(each.action, each.actor) for each in log.records if each.action.startswith("breaker.")]
        assert told == [("breaker.open", "operator"), ("breaker.close", "admin")]
        assert log.chain_intact
