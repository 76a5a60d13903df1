"""The answer about one node: every reading with its age, short histories, sources and events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from ringwatch_collector.fleet.nodes import Node
from ringwatch_collector.view import FleetView, SeenEvent, TableView
from ringwatch_proto import events as kinds
from ringwatch_proto.codec import to_ns
from ringwatch_proto.signals import BY_NAME, Signal, Table, columns_of
from ringwatch_proto.v1 import query_pb2, telemetry_pb2

_CHARTED: Final = tuple(
    BY_NAME[name]
    for name in (
        "gpu.utilization_percent",
        "gpu.sm_clock_mhz",
        "gpu.power_watts",
        "gpu.temperature_celsius",
        "port.tx_bytes_per_s",
        "port.rx_bytes_per_s",
        "host.cpu_percent",
        "host.cpu_pressure_percent",
    )
)
_STALE_S: Final = 5.0
_MOST_SECONDS: Final = 600


def detail(
    node: Node, summary: query_pb2.NodeSummary, view: FleetView, seconds: float, incidents: Sequence[str]
) -> query_pb2.NodeDetail:
    """Return one node in depth, with histories of the last ``seconds``."""
    hello = node.hello
    mine = [event for event in view.events if event.node == node.name]
    return query_pb2.NodeDetail(
        summary=summary,
        readings=[reading for table in Table for reading in _readings(node, view, table)],
        series=[
            series
            for signal in _CHARTED
            for series in _series(node, view, signal, min(seconds, _MOST_SECONDS))
        ],
        events=[event_to_message(event) for event in mine[-200:]],
        sources=_sources(node, view, mine),
        verbs=list(hello.verbs) if hello is not None else [],
        agent_version=hello.agent_version if hello is not None else "",
        incidents=incidents,
    )


def table_of(view: FleetView, table: Table) -> TableView:
    """Return the view of one table."""
    tables = {Table.GPU: view.gpu, Table.PORT: view.port, Table.HOST: view.host, Table.SOURCE: view.source}
    return tables[table]


def _rows(node: Node, table: TableView) -> list[int]:
    return np.flatnonzero(table.node_of == node.index).tolist()


def _readings(node: Node, view: FleetView, table: Table) -> Iterator[query_pb2.Reading]:
    seen = table_of(view, table)
    binding = node.bindings.get(table)
    if binding is None:
        return
    ages = seen.age_s(view.now_s)
    own_ages = np.nan_to_num(seen.latest(columns_of(table)[0].id)) if table is not Table.SOURCE else 0 * ages
    for row in _rows(node, seen):
        age_s = float(ages[row] + own_ages[row])
        for signal in binding.signals:
            value = float(seen.latest(signal)[row])
            yield query_pb2.Reading(
                table=int(table),  # type: ignore[arg-type]  # the enums share their values
                device=seen.devices[row],
                signal=signal,
                value=value if age_s <= _STALE_S else float("nan"),
                age_s=age_s,
            )


def _series(node: Node, view: FleetView, signal: Signal, seconds: float) -> Iterator[query_pb2.Series]:
    binding = node.bindings.get(signal.table)
    if binding is None or signal.id not in binding.signals or not seconds > 0:
        return
    seen = table_of(view, signal.table)
    times, values = seen.window(signal.id, seconds)
    others = np.flatnonzero(seen.node_of != node.index)
    medians = np.array([_median(row) for row in values[:, others]], np.float32)
    places = (times - times[0]).astype(np.int64) if times.size else np.zeros(0, np.int64)
    length = int(places[-1]) + 1 if times.size else 0
    for row in _rows(node, seen):
        yield query_pb2.Series(
            table=int(signal.table),  # type: ignore[arg-type]  # the enums share their values
            device=seen.devices[row],
            signal=signal.id,
            values=_spread(values[:, row], places, length),
            peers=_spread(medians, places, length) if others.size else [],
        )


def _spread(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    places: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    length: int,
) -> list[float]:
    """Return one value a second, NaN for a second that the ring does not hold."""
    spread = np.full(length, np.nan, np.float32)
    spread[places] = values
    result: list[float] = spread.tolist()
    return result


def _median(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> float:
    told = values[~np.isnan(values)]
    return float(np.median(told)) if told.size else float("nan")


def _sources(node: Node, view: FleetView, events: Sequence[SeenEvent]) -> list[query_pb2.SourceRow]:
    table = view.source
    reasons = {event.source: event.text for event in events if event.kind == kinds.SOURCE_DOWN}
    up, age, duration = (
        table.latest(BY_NAME[name].id) for name in ("source.up", "source.age_s", "source.duration_ms")
    )
    silence = table.age_s(view.now_s)
    return [
        query_pb2.SourceRow(
            name=table.devices[row],
            up=bool(up[row] == 1) and silence[row] <= _STALE_S,
            age_s=float(silence[row] + age[row]),
            duration_ms=float(duration[row]),
            reason="" if up[row] == 1 else reasons.get(table.devices[row], ""),
        )
        for row in _rows(node, table)
    ]


def event_to_message(event: SeenEvent) -> telemetry_pb2.Event:
    """Return the message of an event; its time is that of the collector's clock."""
    return telemetry_pb2.Event(
        wall_ns=to_ns(event.at_s),
        kind=event.kind,
        severity=event.severity,  # type: ignore[arg-type]  # the enums share their values
        source=event.source,
        device=event.device,
        code=event.code,
        text=event.text,
        fields=event.fields,
        backfill=event.backfill,
    )
