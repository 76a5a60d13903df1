"""Reads the node's network ports: state, speed, traffic, errors, and what waits to be sent."""

from __future__ import annotations

import ipaddress
import math
import socket
import time
from array import array
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import psutil

from ringwatch_agent.sources.base import EventRecord, Reading, TableReading
from ringwatch_agent.sources.port_rows import PortRow, net_rows, rdma_rows
from ringwatch_agent.sources.qdisc import EgressQueue, egress_queues
from ringwatch_agent.sources.rates import Rates
from ringwatch_proto import events
from ringwatch_proto.errors import SourceError
from ringwatch_proto.records import Severity
from ringwatch_proto.signals import Table, columns_of

_COLUMNS: Final = columns_of(Table.PORT)
# A node has tens of ports; one with thousands of container interfaces must not flood the fleet.
MAX_PORTS: Final = 128
Addresses = Mapping[str, tuple[str, ...]]


def local_addresses() -> Addresses:
    """Return the addresses by interface that another node could know this one by."""
    families = (socket.AF_INET, socket.AF_INET6)
    found = {
        name: tuple(
            address
            for entry in entries
            if entry.family in families and _is_global(address := entry.address.partition("%")[0])
        )
        for name, entries in psutil.net_if_addrs().items()
    }
    return {name: addresses for name, addresses in found.items() if addresses}


def _is_global(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return not (parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified)


class PortsSource:
    """One row a port of ``sysfs``; addresses and queues come from the kernel of this namespace."""

    name = "ports"

    def __init__(
        self,
        *,
        sysfs: Path = Path("/sys"),
        addresses: Callable[[], Addresses] = local_addresses,
        queues: Callable[[], Mapping[int, EgressQueue]] = egress_queues,
    ) -> None:
        self._sysfs = sysfs
        self._addresses = addresses
        self._queues = queues
        self._rates = Rates()
        self._up: dict[str, bool] = {}

    def open(self) -> None:
        """Need nothing."""

    def close(self) -> None:
        """Hold nothing."""

    def read(self) -> Reading:
        """Return every port now, with an event for each link that came or went."""
        try:
            addresses = self._addresses()
            rows = [*net_rows(self._sysfs, frozenset(addresses)), *rdma_rows(self._sysfs)]
        except (OSError, psutil.Error) as error:
            raise SourceError(f"ports: {error}") from error
        kept = rows[:MAX_PORTS]
        return Reading(
            tables=(self._table(kept),),
            events=tuple(self._changes(kept)),
            addresses=_of_ports(kept, addresses),
            dropped={"ports.rows": len(rows) - len(kept)} if len(rows) > len(kept) else {},
        )

    def _table(self, rows: list[PortRow]) -> TableReading:
        queues, at_s = self._read_queues(), time.monotonic()
        values = array("f")
        for row in rows:
            known = self._values(row, queues.get(row.index), at_s)
            values.extend(known.get(signal.name.removeprefix("port."), math.nan) for signal in _COLUMNS)
        return TableReading(
            table=Table.PORT,
            devices=tuple(row.device for row in rows),
            signals=tuple(signal.id for signal in _COLUMNS),
            values=values,
        )

    def _values(self, row: PortRow, queue: EgressQueue | None, at_s: float) -> dict[str, float]:
        counters = dict(row.counters)
        values = {"reading_age_s": 0.0, "up": float(row.up), "speed_gbit_per_s": row.speed_gbit_per_s}
        if queue is not None:
            values["queue_backlog_bytes"] = float(queue.backlog_bytes)
            counters["queue_overlimits_per_s"] = queue.overlimits
            if "tx_drops_per_s" in counters:  # what a queue drops the interface does not count
                counters["tx_drops_per_s"] += queue.drops
        for name, count in counters.items():
            values[name] = self._rates.per_s((row.device.id, name), count, at_s)
        return values

    def _read_queues(self) -> Mapping[int, EgressQueue]:
        try:
            return self._queues()
        except OSError:  # an old kernel or a sandbox without rtnetlink: absent, hence NaN
            return {}

    def _changes(self, rows: list[PortRow]) -> list[EventRecord]:
        before, self._up = self._up, {row.device.id: row.up for row in rows}
        turned = [row for row in rows if before.get(row.device.id, row.up) != row.up]
        return [_link_event(row) for row in turned]


def _link_event(row: PortRow) -> EventRecord:
    return EventRecord(
        wall_ns=time.time_ns(),
        kind=events.PORT_UP if row.up else events.PORT_DOWN,
        severity=Severity.INFO if row.up else Severity.WARNING,
        source="ports",
        device=row.device.id,
        text=f"{row.device.name}: link {'up' if row.up else 'down'}",
    )


def _of_ports(rows: list[PortRow], addresses: Addresses) -> tuple[str, ...]:
    return tuple(address for row in rows for address in addresses.get(row.device.id, ()))
