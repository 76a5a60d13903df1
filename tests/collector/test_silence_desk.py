"""Silences over the wire, through a restart, and what the audit log and the outbox say of them."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from tests.collector.rig import Rig, batch, event, eventually, running

from ringwatch_proto.v1 import query_pb2
from ringwatch_proto.v1 import telemetry_pb2 as wire

NODE = query_pb2.Matcher(field="node", pattern="n1")


def put(pattern: str = "n1") -> query_pb2.PutSilenceRequest:
    """Ask for an hour of silence."""
    matcher = query_pb2.Matcher(field="node", pattern=pattern)
    return query_pb2.PutSilenceRequest(matchers=[matcher], author="kim", reason="new fans", duration_s=3600)


async def _broken_gpu(rig: Rig) -> None:
    agent = await rig.agent()
    line = event(1, kind="gpu.xid", text="GPU has fallen off the bus.")
    line.code, line.severity, line.device = 79, wire.SEVERITY_CRITICAL, "GPU-n1-0"
    await agent.send(batch(1, blocks=[], events=[line]))
    await agent.until_acknowledged(1)


async def test_a_silence_holds_through_a_restart_and_lets_go_when_it_is_ended(tmp_path: Path) -> None:
    """Maintenance outlives the collector."""
    async with running(tmp_path) as rig:
        assert (await rig.query.PutSilence(put())).id == "S-1"
    async with running(tmp_path) as rig:
        await _broken_gpu(rig)
        await eventually(lambda: [each.silenced_by for each in rig.collector.book.all()] == ["S-1"])
        (listed,) = (await rig.query.ListSilences(query_pb2.ListSilencesRequest())).silences
        assert (listed.author, listed.reason, list(listed.incidents)) == ("kim", "new fans", ["I-1"])
        await rig.query.EndSilence(query_pb2.EndSilenceRequest(id="S-1", author="kim", reason="done"))
        await eventually(lambda: [each.state for each in rig.collector.book.all()] == ["new"])
        assert not (await rig.query.ListSilences(query_pb2.ListSilencesRequest())).silences
        audit = await rig.query.ListAudit(query_pb2.ListAuditRequest())
    assert [record.action for record in audit.records] == ["silence.put", "silence.end"]
    assert audit.records[0].target == "S-1 node=n1"


async def test_an_acknowledgement_and_a_persons_silence_survive_a_restart(tmp_path: Path) -> None:
    """With their ends."""
    async with running(tmp_path) as rig:
        await _broken_gpu(rig)
        await eventually(lambda: len(rig.collector.book.all()) == 1)
        await rig.query.ActOnIncident(
            query_pb2.IncidentAction(incident="I-1", action="acknowledge", author="kim")
        )
        before = rig.collector.book.get("I-1")
    async with running(tmp_path) as rig:
        after = rig.collector.book.get("I-1")
        assert (after.state, after.acknowledged_until_s) == ("acknowledged", before.acknowledged_until_s)
        await rig.query.ActOnIncident(
            query_pb2.IncidentAction(incident="I-1", action="silence", author="kim", silence_s=600)
        )
        before = rig.collector.book.get("I-1")
    async with running(tmp_path) as rig:
        after = rig.collector.book.get("I-1")
        assert (after.state, after.silenced_until_s) == ("silenced", before.silenced_until_s)


@pytest.mark.parametrize(
    ("method", "request_", "code"),
    [
        ("PutSilence", put("*"), grpc.StatusCode.INVALID_ARGUMENT),
        ("EndSilence", query_pb2.EndSilenceRequest(id="S-7", author="kim"), grpc.StatusCode.NOT_FOUND),
    ],
)
async def test_what_cannot_be_is_refused_with_a_sentence(
    tmp_path: Path, method: str, request_: object, code: grpc.StatusCode
) -> None:
    """And nothing is written down."""
    async with running(tmp_path) as rig:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(rig.query, method)(request_)
        assert caught.value.code() is code
        assert not (await rig.query.ListAudit(query_pb2.ListAuditRequest())).records


async def test_alerts_are_written_with_their_incident_and_listed(tmp_path: Path) -> None:
    """What the receiver that is not there has not taken can be seen waiting."""
    (tmp_path / "secret").write_text("geheim\n")
    alerts = {
        "webhook": "http://127.0.0.1:1/hook",
        "webhook_secret_file": str(tmp_path / "secret"),
        "hold_s": 0.0,
    }
    async with running(tmp_path, alerts=alerts) as rig:
        await _broken_gpu(rig)
        await eventually(lambda: bool(rig.collector.store.notices("webhook")))
        await eventually(lambda: rig.collector.store.notices("webhook")[0]["tries"] > 0)
        (alert,) = (await rig.query.ListAlerts(query_pb2.ListAlertsRequest(state="waiting"))).alerts
    assert (alert.channel, alert.incident, alert.what, alert.key) == (
        "webhook",
        "I-1",
        "opened",
        "I-1/opened/0",
    )
    assert "ConnectError" in alert.error
