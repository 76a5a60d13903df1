"""Puts incidents through the store to a set of channels, as the collector does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ringwatch_collector.alerts.app import Alerts
from ringwatch_collector.alerts.config import AlertsConfig
from ringwatch_collector.counters import Counters
from ringwatch_collector.store.store import Store
from ringwatch_proto.records import Incident


@contextmanager
def outgoing(
    store: Store,
    counters: Counters,
    config: AlertsConfig,
    *,
    blind: Callable[[], str] = lambda: "",
) -> Iterator[Alerts]:
    """Deliver what is put into the store until the end of the block."""
    alerts = Alerts(
        config,
        store=store,
        counters=counters,
        collector="test",
        now_s=time.time,
        blind=blind,
        incidents=store.incidents(0.0),
    )
    alerts.sight.say(blind())
    alerts.start()
    try:
        yield alerts
    finally:
        alerts.stop(5.0)


async def put(store: Store, *incidents: Incident) -> None:
    """Store incidents and wait for the disk."""
    await store.put_incidents(incidents)


async def eventually(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Wait until ``condition()`` holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.02)
