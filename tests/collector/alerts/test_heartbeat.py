"""The dead man's switch: a sign of life while the collector sees, and none when it does not."""

from __future__ import annotations

import math
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.collector.alerts.conftest import Receiver
from tests.collector.alerts.outgoing import eventually, outgoing
from tests.collector.rig import batch, event, running

from ringwatch_collector.alerts.config import AlertsConfig
from ringwatch_collector.alerts.heartbeat import Sight
from ringwatch_collector.alerts.sight import Eyes, blindness
from ringwatch_collector.counters import Counters
from ringwatch_collector.store.store import Store

OPEN = Eyes(
    store_trouble="",
    looked_age_s=0.4,
    tick_s=0.5,
    rules_active=13,
    nodes_known=4,
    heard_age_s=1.0,
    blind_after_s=60.0,
)


@pytest.fixture
def config(receiver: Receiver, tmp_path: Path) -> AlertsConfig:
    """Return settings with a heartbeat."""
    file = tmp_path / "heartbeat"
    file.write_text(f"{receiver.url}/ping/geheim\n")
    return AlertsConfig(heartbeat_file=str(file), heartbeat_s=0.1)


async def test_the_heart_beats_while_the_collector_sees(
    receiver: Receiver, config: AlertsConfig, store: Store, counters: Counters
) -> None:
    """Again and again."""
    with outgoing(store, counters, config):
        await eventually(lambda: counters.heartbeats["sent"] >= 2)
    assert receiver.requests[0][0] == "/ping/geheim"


async def test_the_heart_stops_when_the_collector_is_blind_and_the_log_says_why(
    receiver: Receiver,
    config: AlertsConfig,
    store: Store,
    counters: Counters,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever watches the heartbeat pages then."""
    with outgoing(store, counters, config, blind=lambda: "no node was heard for 61 s") as alerts:
        await eventually(lambda: counters.heartbeats["withheld"] >= 2)
        assert not receiver.requests
        alerts.sight.say("")
        await eventually(lambda: counters.heartbeats["sent"] >= 1)
    assert "withheld: no node was heard for 61 s" in caplog.text
    assert "geheim" not in caplog.text


def test_a_loop_that_hangs_is_blindness() -> None:
    """What was said last does not count for ever."""
    sight = Sight(lasts_s=0.05)
    assert not sight.sees()
    sight.say("")
    assert sight.sees()
    time.sleep(0.06)
    assert sight.blind == "the collector's loop hangs"


@pytest.mark.parametrize(
    ("eyes", "says"),
    [
        (OPEN, ""),
        (replace(OPEN, store_trouble="database: disk is full"), "disk is full"),
        (replace(OPEN, looked_age_s=math.inf), "do not look"),
        (replace(OPEN, rules_active=0), "no rule"),
        (replace(OPEN, nodes_known=0), "no node has reported"),
        (replace(OPEN, heard_age_s=61.0), "no node was heard for 61 s"),
    ],
)
def test_whatever_keeps_the_collector_from_seeing_is_blindness(eyes: Eyes, says: str) -> None:
    """Nothing to see with, nothing that looks, nothing that keeps."""
    assert (says in blindness(eyes)) if says else not blindness(eyes)


async def test_a_running_collector_sees_once_a_node_reports_and_not_without_its_database(
    tmp_path: Path,
) -> None:
    """From its own parts, each second."""
    async with running(tmp_path, store_retry_s=0.05) as rig:
        sight = rig.collector.alerts.sight
        await eventually(lambda: sight.blind == "no node has reported yet")
        agent = await rig.agent()
        await agent.send(batch(1))
        await eventually(sight.sees)
        with closing(sqlite3.connect(tmp_path / "ringwatch.db", isolation_level=None)) as other:
            other.execute("begin immediate")
            await agent.send(batch(2, events=[event(1)]))
            await eventually(lambda: "locked" in sight.blind)
            other.execute("rollback")
        await eventually(sight.sees)
