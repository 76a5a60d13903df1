"""Bodies that are laid out by hand are what the generated code reads."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ringwatch_collector.history import wire
from ringwatch_proto.v1 import remote_write_pb2

AT_MS = 1_795_618_530_321


def read(body: bytes) -> list[tuple[dict[str, str], float, int]]:
    """Return (labels, value, time) of each series."""
    request = remote_write_pb2.WriteRequest.FromString(body)
    return [
        ({each.name: each.value for each in one.labels}, one.samples[0].value, one.samples[0].timestamp)
        for one in request.timeseries
    ]


@pytest.mark.parametrize("width", [1, 40, 150, 4000])
def test_series_are_read_as_they_were_meant_whatever_their_labels_take(width: int) -> None:
    """Lengths of one, two and three bytes."""
    devices = ["a" * width, "b" * (width + 1), "", "c" * width]
    labels = [wire.label("device", device) if device else b"" for device in devices]
    values = np.array([1.5, -2.25, 9.0, 1e15], np.float32)
    parts = list(wire.series("ringwatch_gpu_power_watts", wire.grouped(labels), values, AT_MS))
    found = read(b"".join(part for _, part in parts))
    assert sum(count for count, _ in parts) == 3
    name = {"__name__": "ringwatch_gpu_power_watts"}
    assert sorted(found, key=lambda each: each[1]) == [
        (name | {"device": devices[1]}, -2.25, AT_MS),
        (name | {"device": devices[0]}, 1.5, AT_MS),
        (name | {"device": devices[3]}, float(np.float32(1e15)), AT_MS),
    ]


def test_labels_are_sorted_as_the_specification_asks() -> None:
    """``__name__`` stands before every name of ours."""
    labels = [wire.label("device", "d") + wire.label("node", "n")]
    ((_, body),) = wire.series("m", wire.grouped(labels), np.ones(1, np.float32), AT_MS)
    request = remote_write_pb2.WriteRequest.FromString(body)
    names = [each.name for each in request.timeseries[0].labels]
    assert names == sorted(names) == ["__name__", "device", "node"]


def test_what_is_absent_is_no_sample() -> None:
    """Not 0, and not the last good value."""
    labels = [wire.label("device", str(at)) for at in range(3)]
    values = np.array([np.nan, 0.0, np.nan], np.float32)
    ((count, body),) = wire.series("m", wire.grouped(labels), values, AT_MS)
    assert count == 1
    assert [(labels["device"], value) for labels, value, _ in read(body)] == [("1", 0.0)]
    assert not list(wire.series("m", wire.grouped(labels), np.full(3, np.nan, np.float32), AT_MS))


def test_a_single_series_is_read_as_it_was_meant() -> None:
    """Those of jobs, in any script."""
    body = wire.one((("__name__", "m"), ("job", 'llm-"中文"')), math.pi, AT_MS)
    assert read(body) == [({"__name__": "m", "job": 'llm-"中文"'}, math.pi, AT_MS)]
