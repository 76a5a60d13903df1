"""The /metrics page."""

from __future__ import annotations

import math
import socket
import urllib.request
from array import array
from collections.abc import Iterator

import pytest

from ringwatch_agent.exporter import AgentNumbers, Exporter
from ringwatch_agent.sampler import Instant
from ringwatch_agent.sources.base import Device, Reading, TableReading
from ringwatch_proto.errors import ConfigError
from ringwatch_proto.signals import Table

NUMBERS = AgentNumbers(
    uplink_connected=True, spool_batches=3, spool_bytes=99, beats_missed=1, dropped={"spool.blocks": 7}
)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> Instant:
        """Return the moment."""
        return Instant(wall_ns=0, monotonic_ns=round(self.s * 1e9))


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


@pytest.fixture
def exporter(clock: Clock) -> Iterator[Exporter]:
    """An exporter with one GPU read just now."""
    exporter = Exporter("n1", lambda: NUMBERS, clock=clock)
    table = TableReading(
        table=Table.GPU,
        devices=(Device(id="GPU-1", name="gpu0"),),
        signals=(1, 7, 32),
        values=array("f", [0.5, 312.0, math.nan]),
    )
    exporter.take([Reading(tables=(table,))], clock())
    yield exporter
    exporter.stop()


def _page(exporter: Exporter) -> str:
    port = exporter.start("127.0.0.1:0")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        return str(answer.read().decode())


def test_readings_are_shown_with_node_and_device(exporter: Exporter) -> None:
    """Names come from the catalogue; what is absent is left out."""
    page = _page(exporter)
    assert 'ringwatch_gpu_power_watts{device="GPU-1",name="gpu0",node="n1"} 312.0' in page
    assert "ringwatch_gpu_fan_percent" not in page
    assert 'ringwatch_agent_dropped_total{kind="spool.blocks",node="n1"} 7.0' in page
    assert 'ringwatch_agent_uplink_connected{node="n1"} 1.0' in page


def test_a_stale_reading_is_never_shown_as_current(exporter: Exporter, clock: Clock) -> None:
    """Only its age remains, and it grows."""
    clock.s += 60.0
    page = _page(exporter)
    assert "ringwatch_gpu_power_watts" not in page
    assert 'ringwatch_gpu_reading_age_s{device="GPU-1",name="gpu0",node="n1"} 60.5' in page


def test_a_taken_port_is_an_error_at_start(exporter: Exporter) -> None:
    """Said before anything else runs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="cannot serve"):
            exporter.start(f"127.0.0.1:{taken.getsockname()[1]}")


def test_stop_before_start_and_twice_is_safe(exporter: Exporter) -> None:
    """stop() is idempotent."""
    exporter.stop()
    exporter.stop()
