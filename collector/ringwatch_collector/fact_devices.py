"""Facts about GPUs, ports, hosts and nodes. Judges nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_collector.fact_places import Found, Place, row_of
from ringwatch_collector.view import FleetView, TableView
from ringwatch_knowledge import clock_events
from ringwatch_proto.signals import BY_NAME, GpuState, Table, is_whole_gpu
from ringwatch_runbooks.model import Value

_FRESH_S: Final = 5.0
_REASONS: Final = "gpu.clock_event_reasons"


def signal(place: Place, name: str) -> Found:
    """Return a signal of the catalogue, as it is at the target."""
    known = BY_NAME[name]
    if known.table is Table.GPU:
        return _cell(place.view, place.view.gpu, place.gpu_row, name)
    if known.table is Table.PORT:
        row = row_of(place.view.port, place.node, place.target.device) if place.target.device else -1
        return _cell(place.view, place.view.port, row, name)
    if known.table is Table.HOST:
        return _cell(place.view, place.view.host, row_of(place.view.host, place.node), name)
    return None


def _cell(view: FleetView, table: TableView, row: int, name: str) -> Found:
    if row < 0:
        return None
    prefix = name.partition(".")[0]
    read_age_s = float(table.latest(BY_NAME[f"{prefix}.reading_age_s"].id)[row])
    age_s = float(table.age_s(view.now_s)[row]) + (read_age_s if math.isfinite(read_age_s) else 0.0)
    return float(table.latest(BY_NAME[name].id)[row]), age_s


def _peers(place: Place) -> NDArray[np.int64]:
    """Return the rows of the GPUs that should be like this one: those of its node and of its job."""
    table = place.view.gpu
    alike = table.node_of == table.node_of[place.gpu_row]
    if place.job is not None:
        members = set(place.job.gpu_of)
        alike = alike | np.array([device in members for device in table.devices], np.bool_)
    alike[place.gpu_row] = False
    fresh = table.age_s(place.view.now_s) <= _FRESH_S
    return np.flatnonzero(alike & fresh)


def _against_peers(place: Place, name: str) -> tuple[float, float, float] | None:
    """Return own value, median of the peers, and the age of the own value."""
    own = _cell(place.view, place.view.gpu, place.gpu_row, name)
    if own is None:
        return None
    others = place.view.gpu.latest(BY_NAME[name].id)[_peers(place)]
    others = others[np.isfinite(others)]
    if not others.size:
        return None
    return float(own[0]), float(np.median(others)), own[1]


def ratio_to_peers(name: str) -> Callable[[Place], Found]:
    """Return a reader of a GPU signal over the median of its peers."""

    def read(place: Place) -> Found:
        found = _against_peers(place, name)
        return (found[0] / found[1], found[2]) if found is not None and found[1] > 0 else None

    return read


def above_peers(place: Place) -> Found:
    """Return how much hotter than the median of its peers the GPU is, in degrees C."""
    found = _against_peers(place, "gpu.temperature_celsius")
    return (found[0] - found[1], found[2]) if found is not None else None


def margin(place: Place) -> Found:
    """Return how far below the temperature that slows it down the GPU is, in degrees C."""
    limit = signal(place, "gpu.slowdown_temperature_celsius")
    now = signal(place, "gpu.temperature_celsius")
    return (float(limit[0]) - float(now[0]), now[1]) if limit is not None and now is not None else None


def bad_bits(place: Place) -> Found:
    """Return the clock event reasons that slow the GPU."""
    found = signal(place, _REASONS)
    if found is None or not math.isfinite(float(found[0])):
        return None
    return float(int(found[0]) & clock_events.BAD_MASK), found[1]


def of_node(read: Callable[[FleetView, int], Value]) -> Callable[[Place], Found]:
    """Return a reader of what the collector itself knows about the node."""
    # What the collector itself knows about a node is as new as the look at it.
    return lambda place: (read(place.view, place.node), 0.0) if place.node >= 0 else None


def _whole(view: FleetView, rows: NDArray[np.bool_]) -> float:
    """Return how many of some rows are GPUs; the others are instances of one."""
    devices = view.gpu.devices
    return float(sum(is_whole_gpu(devices[row]) for row in np.flatnonzero(rows).tolist()))


def gpus(view: FleetView, node: int) -> float:
    """Return how many GPUs the node has told of."""
    return _whole(view, view.gpu.node_of == node)


def gpus_answering(view: FleetView, node: int) -> float:
    """Return how many GPUs of the node answer now."""
    state = view.gpu.latest(BY_NAME["gpu.state"].id)
    read_age_s = view.gpu.latest(BY_NAME["gpu.reading_age_s"].id)
    well = (state == GpuState.OK) & (view.gpu.age_s(view.now_s) + np.nan_to_num(read_age_s) <= _FRESH_S)
    return _whole(view, well & (view.gpu.node_of == node))


def of_fleet(read: Callable[[FleetView], float]) -> Callable[[Place], Found]:
    """Return a reader of a count over the whole fleet, whatever the target is."""
    return lambda place: (read(place.view), 0.0)


def nodes_out(view: FleetView) -> float:
    """Return how many nodes are drained, or were not heard from and are not connected."""
    return float(np.count_nonzero(view.nodes.drained | ~view.nodes.connected))


def gpus_bad(view: FleetView) -> float:
    """Return how many GPUs of the fleet say of themselves that they are not well, or do not say anything."""
    state = view.gpu.latest(BY_NAME["gpu.state"].id)
    heard = view.gpu.age_s(view.now_s) <= _FRESH_S
    return _whole(view, heard & (state != GpuState.OK))


def clock_offset_s(view: FleetView, node: int) -> float:
    """Return how far the node's clock is from the collector's, without sign; NaN while it is not known."""
    return abs(float(view.nodes.clock_offset_s[node]))


def pause_tx_to_rx(place: Place) -> Found:
    """Return pause frames sent over those received: what sends many and receives few is the source."""
    sent, received = signal(place, "port.pause_tx_per_s"), signal(place, "port.pause_rx_per_s")
    if sent is None or received is None:
        return None
    out, back = float(sent[0]), float(received[0])
    return (out / max(back, 1.0) if math.isfinite(out) and math.isfinite(back) else math.nan), sent[1]


def uptime_s(place: Place) -> Found:
    """Return how long ago the node booted."""
    return signal(place, "host.uptime_s")
