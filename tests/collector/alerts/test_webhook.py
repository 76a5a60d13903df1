"""The signed webhook against a real HTTP server."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.collector.alerts.conftest import Receiver
from tests.collector.alerts.outgoing import eventually, outgoing, put
from tests.collector.store.records import INCIDENT

from ringwatch_collector.alerts.config import AlertsConfig
from ringwatch_collector.alerts.signing import SIGNATURE, TIMESTAMP, signature, verify
from ringwatch_collector.counters import Counters
from ringwatch_collector.store.store import Store
from ringwatch_proto.errors import ConfigError
from ringwatch_proto.records import IncidentState


@pytest.fixture
def config(receiver: Receiver, tmp_path: Path) -> AlertsConfig:
    """Return settings that post to the receiver."""
    secret = tmp_path / "secret"
    secret.write_text("# the second one is being phased in\nfirst secret\nsecond secret\n")
    return AlertsConfig(webhook=f"{receiver.url}/hook", webhook_secret_file=str(secret), hold_s=0.0)


def _said(receiver: Receiver) -> list[str]:
    return [body["what"] for body in receiver.bodies]


async def test_a_body_is_proved_with_either_secret_and_refused_when_changed_or_old(
    receiver: Receiver, config: AlertsConfig, store: Store, counters: Counters
) -> None:
    """What docs/alerting.md tells a receiver to do."""
    with outgoing(store, counters, config):
        await put(store, INCIDENT)
        await eventually(lambda: len(receiver.requests) == 1)
    _, headers, body = receiver.requests[0]
    timestamp, given = headers[TIMESTAMP], headers[SIGNATURE]
    assert verify("first secret", timestamp, body, given, time.time())
    assert verify("second secret", timestamp, body, given, time.time())
    assert not verify("another", timestamp, body, given, time.time())
    assert not verify("first secret", timestamp, body + b" ", given, time.time())
    assert not verify("first secret", timestamp, body, given, time.time() + 301)
    assert not verify("first secret", str(int(timestamp) + 1), body, given, time.time())
    assert not verify("first secret", "-5", body, given, time.time())
    assert not verify("first secret", timestamp, body, "v1=", time.time())


def test_the_signature_is_the_documented_one() -> None:
    """Computed with: printf '1700000000.{}' | openssl dgst -sha256 -hmac secret."""
    assert signature("secret", "1700000000", b"{}") == (
        "v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
    )


async def test_every_change_is_told_in_order(
    receiver: Receiver, config: AlertsConfig, store: Store, counters: Counters
) -> None:
    """With the incident as it was then."""
    with outgoing(store, counters, config):
        await put(store, INCIDENT)
        await put(store, replace(INCIDENT, state=IncidentState.ACKNOWLEDGED, owner="kim"))
        await put(store, replace(INCIDENT, state=IncidentState.RESOLVED, closed_s=5.0))
        await eventually(lambda: len(receiver.requests) == 3)
    assert _said(receiver) == ["opened", "acknowledged", "resolved"]
    assert receiver.bodies[1]["incident"]["owner"] == "kim"
    keys = [headers["Idempotency-Key"] for _, headers, _ in receiver.requests]
    assert len(set(keys)) == 3


async def test_a_failure_is_tried_again_with_the_same_key_and_later_words_wait_behind_it(
    receiver: Receiver, config: AlertsConfig, store: Store, counters: Counters
) -> None:
    """At least once, in order; another incident does not wait."""
    receiver.answers = [(500, {}), (503, {})]
    with outgoing(store, counters, config):
        await put(store, INCIDENT)
        await put(store, replace(INCIDENT, state=IncidentState.RESOLVED, closed_s=5.0))
        await eventually(lambda: len(receiver.requests) == 4)
    assert _said(receiver) == ["opened", "opened", "opened", "resolved"]
    keys = [headers["Idempotency-Key"] for _, headers, _ in receiver.requests]
    assert len(set(keys[:3])) == 1
    assert counters.alerts["failed", "webhook"] == 2
    assert counters.alerts["sent", "webhook"] == 2


async def test_retry_after_is_kept_to(
    receiver: Receiver, config: AlertsConfig, store: Store, counters: Counters
) -> None:
    """A receiver that asks for time gets it."""
    receiver.answers = [(429, {"Retry-After": "3600"})]
    with outgoing(store, counters, config):
        await put(store, INCIDENT)
        await eventually(lambda: store.notices("webhook")[0]["tries"] == 1)
    (row,) = store.notices("webhook")
    assert row["due_ns"] / 1e9 > time.time() + 3500
    assert row["error"] == "HTTP 429"


async def test_a_redirect_is_not_followed(
    receiver: Receiver, config: AlertsConfig, store: Store, counters: Counters
) -> None:
    """A body is signed for one receiver; the alert is given up and shown."""
    receiver.answers = [(302, {"Location": f"{receiver.url}/elsewhere"})]
    with outgoing(store, counters, config):
        await put(store, INCIDENT)
        await eventually(lambda: counters.alerts["given_up", "webhook"] == 1)
    assert [path for path, _, _ in receiver.requests] == ["/hook"]


async def test_what_is_not_delivered_is_delivered_after_a_restart(
    receiver: Receiver, config: AlertsConfig, store: Store, counters: Counters
) -> None:
    """The outbox is on disk, written with the incident."""
    with outgoing(store, counters, replace(config, webhook="http://127.0.0.1:1/closed")):
        await put(store, INCIDENT)
        await eventually(lambda: counters.alerts["failed", "webhook"] > 0)
    with outgoing(store, counters, config):
        await eventually(lambda: len(receiver.requests) == 1)
        await eventually(lambda: not store.notices("webhook"))
    assert _said(receiver) == ["opened"]


async def test_alerts_of_a_channel_that_is_no_longer_set_do_not_wait_for_ever(
    config: AlertsConfig, store: Store, counters: Counters
) -> None:
    """They are put aside with the reason."""
    with outgoing(store, counters, replace(config, webhook="http://127.0.0.1:1/closed", hold_s=600.0)):
        await put(store, INCIDENT)
    with outgoing(store, counters, AlertsConfig()):
        await put(store, replace(INCIDENT, gpu_hours_lost=1.0))
    (row,) = store.newest_notices(10)
    assert (row["state"], row["error"]) == ("obsolete", "the channel is no longer set")


async def test_what_goes_away_while_it_is_held_back_is_never_told(
    receiver: Receiver, config: AlertsConfig, store: Store, counters: Counters
) -> None:
    """Neither that it came nor that it went."""
    with outgoing(store, counters, replace(config, hold_s=600.0)):
        await put(store, INCIDENT)
        await put(store, replace(INCIDENT, state=IncidentState.RESOLVED, closed_s=5.0))
    assert not store.notices("webhook")
    assert [row["state"] for row in store.newest_notices(10)] == ["obsolete"]
    assert not receiver.requests


async def test_what_is_held_back_is_told_in_its_newest_words(
    receiver: Receiver, config: AlertsConfig, store: Store, counters: Counters
) -> None:
    """The cause of an incident is often clear a second after it opened."""
    with outgoing(store, counters, replace(config, hold_s=0.8)):
        await put(store, replace(INCIDENT, summary="n1 is slow", cause="unknown"))
        await put(store, INCIDENT)
        await eventually(lambda: len(receiver.requests) == 1)
    assert receiver.bodies[0]["what"] == "opened"
    assert receiver.bodies[0]["incident"]["summary"] == INCIDENT.summary


async def test_the_same_state_stored_again_tells_nobody_again(
    receiver: Receiver, config: AlertsConfig, store: Store, counters: Counters
) -> None:
    """Cost and quiet time are saved every few seconds."""
    with outgoing(store, counters, config):
        for hours in range(5):
            await put(store, replace(INCIDENT, gpu_hours_lost=float(hours)))
        await eventually(lambda: len(receiver.requests) == 1)
    assert len(store.newest_notices(10)) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"webhook": "ftp://host/"},
        {"webhook": "http://host/"},
        {"webhook": "http://user:geheim@host/", "webhook_secret_file": "x"},
        {"alertmanager": ("host:9093",)},
        {"refresh_s": 0.0},
        {"hold_s": -1.0},
        {"storm": 0},
    ],
)
def test_settings_that_cannot_work_are_refused_without_repeating_a_secret(settings: dict[str, Any]) -> None:
    """At the start, in words."""
    with pytest.raises(ConfigError) as caught:
        AlertsConfig(**settings)
    assert "geheim" not in str(caught.value)


def test_a_secret_file_that_is_missing_is_refused(store: Store, counters: Counters) -> None:
    """At the start, and by its name."""
    config = AlertsConfig(webhook="http://127.0.0.1:1/", webhook_secret_file="/nowhere/secret")
    with pytest.raises(ConfigError, match="/nowhere/secret: No such file"), outgoing(store, counters, config):
        pass
