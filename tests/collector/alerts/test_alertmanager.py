"""Alerts in a real Alertmanager, and what it makes of them."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from tests.collector.alerts.conftest import ROUTES, Receiver
from tests.collector.alerts.outgoing import eventually, outgoing, put
from tests.collector.servers import alertmanager, free_port
from tests.collector.store.records import INCIDENT

from ringwatch_collector.alerts.config import AlertsConfig
from ringwatch_collector.counters import Counters
from ringwatch_collector.store.store import Store
from ringwatch_proto.records import IncidentState, Severity

NOW = replace(INCIDENT, onset_s=time.time() - 5.0, opened_s=time.time() - 4.0)


def _alerts(url: str, name: str = "RingwatchIncident") -> list[Any]:
    answer = httpx.get(f"{url}/api/v2/alerts", trust_env=False)
    return [alert for alert in answer.json() if alert["labels"]["alertname"] == name]


def _config(url: str, **settings: Any) -> AlertsConfig:
    return AlertsConfig(**{"alertmanager": (url,), "hold_s": 0.0, "refresh_s": 1.0, **settings})


async def test_an_incident_is_one_alert_from_open_to_resolved(
    people: str, receiver: Receiver, store: Store, counters: Counters
) -> None:
    """And the people behind Alertmanager are told twice: that it began and that it ended."""
    with outgoing(store, counters, _config(people)):
        await put(store, NOW)
        await eventually(lambda: len(_alerts(people)) == 1)
        (alert,) = _alerts(people)
        assert alert["labels"]["incident"] == "I-1"
        assert alert["labels"]["collector"] == "test"
        assert alert["annotations"]["summary"] == NOW.summary
        await eventually(lambda: len(receiver.told) == 1)
        await put(store, replace(NOW, state=IncidentState.RESOLVED, closed_s=time.time()))
        await eventually(lambda: not _alerts(people))
        await eventually(lambda: len(receiver.told) == 2)
    assert receiver.told == ["firing", "resolved"]
    assert counters.alerts["sent", "alertmanager"] == 2


async def test_an_alert_that_stands_is_sent_again_before_it_ends_by_itself(
    people: str, store: Store, counters: Counters
) -> None:
    """Each time with a later end, under the same fingerprint."""
    with outgoing(store, counters, _config(people)):
        await put(store, NOW)
        await eventually(lambda: len(_alerts(people)) == 1)
        (first,) = _alerts(people)
        await eventually(lambda: _alerts(people)[0]["endsAt"] > first["endsAt"])
        (later,) = _alerts(people)
        assert later["fingerprint"] == first["fingerprint"]
        assert later["startsAt"] == first["startsAt"]


async def test_an_alertmanager_that_was_down_gets_what_stands_and_what_ended(
    tmp_path: Path, receiver: Receiver, store: Store, counters: Counters
) -> None:
    """Nothing is lost while nobody listens."""
    port = free_port()
    with outgoing(store, counters, _config(f"http://127.0.0.1:{port}")):
        await put(store, NOW, replace(NOW, id="I-2"))
        await put(store, replace(NOW, id="I-2", state=IncidentState.RESOLVED, closed_s=time.time()))
        await eventually(lambda: counters.alerts["failed", "alertmanager"] > 0)
        with alertmanager(tmp_path, ROUTES.format(url=receiver.url), port) as url:
            await eventually(lambda: [each["labels"]["incident"] for each in _alerts(url)] == ["I-1"])
            await eventually(lambda: not store.notices("alertmanager"))


async def test_a_worse_alert_takes_the_place_of_the_one_before(
    people: str, store: Store, counters: Counters
) -> None:
    """Severity is a label: routes depend on it. The old one must not stand beside the new."""
    with outgoing(store, counters, _config(people)):
        await put(store, replace(NOW, severity=Severity.WARNING))
        await eventually(lambda: [each["labels"]["severity"] for each in _alerts(people)] == ["warning"])
        await put(store, NOW)
        await eventually(lambda: [each["labels"]["severity"] for each in _alerts(people)] == ["critical"])


async def test_a_silenced_incident_stands_no_more_until_its_silence_is_over(
    people: str, store: Store, counters: Counters
) -> None:
    """What a person silences in Ringwatch is silent everywhere."""
    with outgoing(store, counters, _config(people)):
        await put(store, NOW)
        await eventually(lambda: len(_alerts(people)) == 1)
        await put(store, replace(NOW, state=IncidentState.SILENCED, silenced_until_s=time.time() + 60))
        await eventually(lambda: not _alerts(people))
        await put(store, NOW)
        await eventually(lambda: len(_alerts(people)) == 1)


async def test_what_stood_before_a_restart_stands_after_it(
    people: str, receiver: Receiver, store: Store, counters: Counters
) -> None:
    """And nobody is paged twice: it is the same alert."""
    with outgoing(store, counters, _config(people)):
        await put(store, NOW)
        await eventually(lambda: len(receiver.told) == 1)
    with outgoing(store, counters, _config(people)) as alerts:
        assert [incident.id for incident in alerts.book.standing()] == ["I-1"]
        (first,) = _alerts(people)
        await eventually(lambda: _alerts(people)[0]["endsAt"] > first["endsAt"])
    assert len(receiver.told) == 1


async def test_the_watchdog_stands_while_the_collector_sees_and_ends_when_it_is_blind(
    people: str, store: Store, counters: Counters
) -> None:
    """Whoever waits for it learns that Ringwatch is blind."""
    config = _config(people, refresh_s=0.5)
    with outgoing(store, counters, config) as alerts:
        await eventually(lambda: len(_alerts(people, "RingwatchWatchdog")) == 1)
        alerts.sight.say("no node was heard for 60 s")
        await eventually(lambda: not _alerts(people, "RingwatchWatchdog"))


async def test_an_alertmanager_that_refuses_is_counted_and_given_up(
    receiver: Receiver, store: Store, counters: Counters
) -> None:
    """A 400 will be a 400 tomorrow; it is shown instead."""
    receiver.answers = [(400, {})] * 50
    with outgoing(store, counters, _config(receiver.url, refresh_s=1000.0)) as alerts:
        await put(store, NOW)
        await eventually(lambda: counters.alerts["given_up", "alertmanager"] == 1)
        await eventually(lambda: bool(alerts.troubles))
        assert "HTTP 400" in alerts.troubles[0]
    (dead,) = store.newest_notices(10, "dead")
    assert dead["error"] == "HTTP 400"


async def test_one_alert_that_is_refused_takes_no_other_with_it(
    receiver: Receiver, store: Store, counters: Counters
) -> None:
    """Alertmanager refuses a whole request for one alert in it."""
    receiver.answers = [(400, {}), (200, {}), (400, {}), (200, {})]
    with outgoing(store, counters, _config(receiver.url, hold_s=0.8, refresh_s=1000.0)) as alerts:
        alerts.sight.say("blind")
        await eventually(lambda: not receiver.requests)
        await put(store, NOW, replace(NOW, id="I-2"), replace(NOW, id="I-3"))
        await eventually(lambda: sum(counters.alerts.values()) == 3)
    sent = [[alert["labels"]["incident"] for alert in body] for body in receiver.bodies]
    assert sent == [["I-1", "I-2", "I-3"], ["I-1"], ["I-2"], ["I-3"]]
    assert counters.alerts == {("sent", "alertmanager"): 2, ("given_up", "alertmanager"): 1}


async def test_a_refresh_that_is_refused_is_sent_one_by_one(
    receiver: Receiver, store: Store, counters: Counters
) -> None:
    """Else everything that stands would end by itself."""
    await put(store, NOW, replace(NOW, id="I-2"))
    receiver.answers = [(400, {})]
    with outgoing(store, counters, _config(receiver.url, refresh_s=1000.0)):
        await eventually(lambda: len(receiver.requests) == 4)
    assert [len(body) for body in receiver.bodies] == [3, 1, 1, 1]
