"""A database that goes bad under a running collector: what it knows is stored again, and written down."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.collector.rig import batch, event, eventually, running

from ringwatch_proto.v1 import query_pb2
from ringwatch_proto.v1 import telemetry_pb2 as wire


async def test_a_replaced_database_holds_the_incidents_and_the_audit_log_says_so(tmp_path: Path) -> None:
    """Every screen says that a corrupt file lies there, until a person has looked at it."""
    async with running(tmp_path) as rig:
        agent = await rig.agent()
        line = event(1, kind="gpu.xid", text="GPU has fallen off the bus.")
        line.code, line.severity, line.device = 79, wire.SEVERITY_CRITICAL, "GPU-n1-0"
        await agent.send(batch(1, blocks=[], events=[line]))
        await agent.until_acknowledged(1)
        await eventually(lambda: rig.collector.store.incident_ids() == ["I-1"])
        # The tests write a file that is no database over it, as a failing disk or a careless copy would.
        for part in ("ringwatch.db", "ringwatch.db-wal"):
            (tmp_path / part).write_bytes(b"\xa5" * 65536)
        rig.collector.store.database.engine.dispose()
        await agent.send(batch(2, blocks=[], events=[event(2, kind="source.up")]))
        await agent.until_acknowledged(2)
        await eventually(lambda: rig.collector.store.incident_ids() == ["I-1"])
        audit = (await rig.query.ListAudit(query_pb2.ListAuditRequest())).records
        while not audit:
            await asyncio.sleep(0.05)
            audit = (await rig.query.ListAudit(query_pb2.ListAuditRequest())).records
        assert [record.action for record in audit] == ["store.replaced"]
        fleet = await rig.query.GetFleet(query_pb2.GetFleetRequest())
        assert [trouble for trouble in fleet.health.troubles if "moved aside" in trouble]
    assert list(tmp_path.glob("ringwatch.db.corrupt-*Z"))
