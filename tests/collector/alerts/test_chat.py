"""Chat and pagers through Apprise, whose json:// service posts to a real HTTP server."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.collector.alerts.conftest import Receiver
from tests.collector.alerts.outgoing import eventually, outgoing, put
from tests.collector.store.records import INCIDENT

from ringwatch_collector.alerts.config import AlertsConfig
from ringwatch_collector.counters import Counters
from ringwatch_collector.store.store import Store
from ringwatch_proto.errors import ConfigError
from ringwatch_proto.records import IncidentState


@pytest.fixture
def config(receiver: Receiver, tmp_path: Path) -> AlertsConfig:
    """Return settings with one room."""
    rooms = tmp_path / "rooms"
    rooms.write_text(f"# on call\n{receiver.url.replace('http://', 'json://user:token-geheim@')}/room\n")
    return AlertsConfig(chat_file=str(rooms), hold_s=0.0)


async def test_a_room_hears_that_it_began_and_that_it_ended(
    receiver: Receiver, config: AlertsConfig, store: Store, counters: Counters
) -> None:
    """And not what a person did in between."""
    with outgoing(store, counters, replace(config, console_url="https://watch.example/")):
        await put(store, replace(INCIDENT, runbooks=("gpu-off-bus",)))
        await put(store, replace(INCIDENT, state=IncidentState.ACKNOWLEDGED))
        await put(store, replace(INCIDENT, state=IncidentState.RESOLVED, closed_s=5.0))
        await eventually(lambda: sum(counters.alerts.values()) == 3)
    assert [body["title"] for body in receiver.bodies] == [
        "[CRIT] n1 GPU-1 fell off the bus (I-1)",
        "[CRIT] Resolved: n1 GPU-1 fell off the bus (I-1)",
    ]
    assert [body["type"] for body in receiver.bodies] == ["failure", "success"]
    assert "Runbook: gpu-off-bus" in receiver.bodies[0]["message"]
    assert "https://watch.example/I-1" in receiver.bodies[0]["message"]


async def test_a_storm_is_one_message(
    receiver: Receiver, config: AlertsConfig, store: Store, counters: Counters
) -> None:
    """A pager that rings forty times says less than one that rings once."""
    await put(store)
    with outgoing(store, counters, replace(config, storm=5, hold_s=0.7)):
        await put(store, *[replace(INCIDENT, id=f"I-{n}", summary=f"n{n} is ill") for n in range(1, 41)])
        await eventually(lambda: sum(counters.alerts.values()) == 40)
    (body,) = receiver.bodies
    assert body["title"] == "40 changes of incidents at once"
    assert "n1 is ill" in body["message"]
    assert "and 20 more" in body["message"]


async def test_a_room_that_fails_is_tried_again_and_no_log_line_holds_its_secret(
    receiver: Receiver,
    config: AlertsConfig,
    store: Store,
    counters: Counters,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither ours nor those of the libraries."""
    receiver.answers = [(500, {})]
    with caplog.at_level(logging.DEBUG), outgoing(store, counters, config):
        await put(store, INCIDENT)
        await eventually(lambda: len(receiver.requests) == 2)
        await eventually(lambda: sum(counters.alerts.values()) == 2)
    assert "was not delivered" in caplog.text
    assert "geheim" not in caplog.text
    assert all("geheim" not in str(dict(row)) for row in store.newest_notices(10))


def test_a_url_that_apprise_does_not_know_is_refused_without_repeating_it(
    tmp_path: Path, store: Store, counters: Counters
) -> None:
    """It may be a secret with a typing error."""
    rooms = tmp_path / "rooms"
    rooms.write_text("slak://token-geheim/\n")
    with (
        pytest.raises(ConfigError, match=r"one of its URLs \(slak://") as caught,
        outgoing(store, counters, AlertsConfig(chat_file=str(rooms))),
    ):
        pass
    assert "geheim" not in str(caught.value)


def test_apprise_is_not_loaded_unless_asked_for() -> None:
    """It is an extra, and large."""
    code = "import sys, ringwatch_collector.alerts.app; sys.exit('apprise' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
