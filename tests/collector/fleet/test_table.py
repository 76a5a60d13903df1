"""The ring of a device table: what is written is what detectors read, whatever the fleet does."""

from __future__ import annotations

import numpy as np
import pytest

from ringwatch_collector.fleet.table import DeviceTable
from ringwatch_proto.signals import BY_NAME, Table

POWER = BY_NAME["gpu.power_watts"].id
CLOCK = BY_NAME["gpu.sm_clock_mhz"].id
NOW = 1_000_000.0


def _table(history_s: int = 60, budget_bytes: int = 1 << 30) -> DeviceTable:
    return DeviceTable(Table.GPU, history_s=history_s, budget_bytes=budget_bytes)


def _bytes(*values: float) -> bytes:
    return np.array(values, "<f4").tobytes()


def test_columns_of_any_order_land_under_their_signal() -> None:
    """A node may send a part of the catalogue in an order of its own."""
    table = _table()
    binding = table.bind(0, ["a", "b"], [CLOCK, POWER], None)
    table.write(binding, NOW, _bytes(1400, 100, 1500, 200))
    view = table.view(NOW)
    assert view.latest(POWER).tolist() == [100, 200]
    assert view.latest(CLOCK).tolist() == [1400, 1500]
    assert np.isnan(view.latest(BY_NAME["gpu.temperature_celsius"].id)).all()


def test_a_window_is_oldest_first_and_nan_where_nothing_came() -> None:
    """A second without a batch is absent, not the value before."""
    table = _table()
    binding = table.bind(0, ["a"], [POWER], None)
    for second, value in ((0, 1.0), (1, 2.0), (3, 4.0)):
        table.write(binding, NOW + second, _bytes(value))
    times, values = table.view(NOW + 3).window(POWER, 4)
    assert times.tolist() == [NOW, NOW + 1, NOW + 2, NOW + 3]
    assert values[[0, 1, 3], 0].tolist() == [1.0, 2.0, 4.0]
    assert np.isnan(values[2, 0])


def test_the_ring_forgets_what_is_older_than_its_history() -> None:
    """Seconds that were overwritten do not come back as others."""
    table = _table(history_s=40)
    binding = table.bind(0, ["a"], [POWER], None)
    table.write(binding, NOW, _bytes(1))
    table.write(binding, NOW + 100, _bytes(2))
    times, values = table.view(NOW + 100).window(POWER, 300)
    assert times.size == 40
    assert np.nansum(values) == 2.0


def test_a_late_batch_fills_history_and_leaves_the_newest_value() -> None:
    """A spool that catches up must not put old readings over new ones."""
    table = _table()
    binding = table.bind(0, ["a"], [POWER], None)
    table.write(binding, NOW + 5, _bytes(5))
    table.write(binding, NOW + 2, _bytes(2))
    view = table.view(NOW + 5)
    assert view.latest(POWER).tolist() == [5.0]
    assert view.age_s(NOW + 7).tolist() == [2.0]
    assert view.window(POWER, 4)[1][:, 0].tolist()[0] == 2.0


def test_rows_never_written_are_infinitely_old() -> None:
    """A device that was only named has no reading."""
    table = _table()
    table.bind(0, ["a"], [POWER], None)
    assert table.view(NOW).age_s(NOW).tolist() == [np.inf]


def test_growth_keeps_history_and_rows() -> None:
    """Doubling moves nothing that was there."""
    table = _table()
    first = table.bind(0, ["a"], [POWER], None)
    table.write(first, NOW, _bytes(7))
    for node in range(1, 100):
        table.bind(node, [f"{node}-{at}" for at in range(8)], [POWER], None)
    view = table.view(NOW)
    assert len(view.devices) == 1 + 99 * 8
    assert view.latest(POWER)[0] == 7
    assert view.window(POWER, 1)[1][0, 0] == 7
    assert view.node_of[-1] == 99


def test_a_large_fleet_keeps_a_shorter_history_within_its_budget() -> None:
    """Memory is bounded before history is."""
    table = _table(history_s=300, budget_bytes=128 << 10)
    for node in range(64):
        table.bind(node, [f"{node}-{at}" for at in range(8)], [POWER], None)
    assert 30 <= table.history_s < 300
    assert table.size_bytes <= 128 << 10


def test_a_device_that_stays_keeps_its_history_when_others_come_and_go() -> None:
    """Identity is the device id, not the place in the block."""
    table = _table()
    old = table.bind(0, ["a", "b"], [POWER], None)
    table.write(old, NOW, _bytes(1, 2))
    new = table.bind(0, ["b", "c", "d"], [POWER], old)
    view = table.view(NOW)
    values = dict(zip(view.devices, view.latest(POWER).tolist(), strict=True))
    assert values["b"] == 2.0
    assert np.isnan(values["c"])
    assert set(values) == {"b", "c", "d"}
    table.write(new, NOW + 1, _bytes(3, 4, 5))
    assert table.view(NOW + 1).window(POWER, 2)[1][:, list(view.devices).index("b")].tolist() == [2.0, 3.0]


def test_rows_of_devices_that_are_gone_are_not_shown_and_used_again() -> None:
    """A hole belongs to no node."""
    table = _table()
    bindings = [table.bind(node, [f"{node}"], [POWER], None) for node in range(3)]
    table.release(bindings[1])
    view = table.view(NOW)
    assert list(view.devices) == ["0", "2"]
    assert view.node_of.tolist() == [0, 2]
    table.bind(7, ["new"], [POWER], None)
    assert list(table.view(NOW).devices) == ["0", "new", "2"]


@pytest.mark.parametrize("value", [np.inf, -np.inf, 3e38])
def test_a_value_that_no_sensor_gives_is_absent_and_counted(value: float) -> None:
    """It would spoil every median and sum it meets."""
    table = _table()
    binding = table.bind(0, ["a", "b"], [POWER], None)
    assert table.write(binding, NOW, _bytes(value, np.nan)) == 1
    assert np.isnan(table.view(NOW).latest(POWER)).all()
