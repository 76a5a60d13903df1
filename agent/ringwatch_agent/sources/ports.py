"""Reads the node's network ports: state, speed, traffic, and what waits to be sent; adds their errors."""

from __future__ import annotations

import ipaddress
import math
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import psutil

from ringwatch_agent.sources.base import EventRecord, Reading, TableReading
from ringwatch_agent.sources.columns import Columns
from ringwatch_agent.sources.port_rows import MAX_PORTS, PortReader, PortRow, find_ports
from ringwatch_agent.sources.qdisc import EgressQueue, egress_queues
from ringwatch_agent.sources.rates import Rates
from ringwatch_proto import events
from ringwatch_proto.errors import SourceError
from ringwatch_proto.records import Severity
from ringwatch_proto.signals import Table

# With more ports than this their files are opened for each read: 1024 descriptors is the usual limit.
_KEPT_PORTS: Final = 40
# Addresses and ports are looked for so often, and at once when an interface comes or goes.
_LOOK_EVERY_S: Final = 10.0
# As many flaps between two looks as the rule of flapping asks for.
_MOST_FLAPS: Final = 3
Addresses = Mapping[str, tuple[str, ...]]
Errors = Callable[[str, float], Mapping[str, float]]


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


def _no_errors(_port: str, _now_s: float) -> Mapping[str, float]:
    return {}


class PortsSource:
    """One row a port of ``sysfs``; addresses and queues come from the kernel of this namespace."""

    name = "ports"

    def __init__(
        self,
        *,
        sysfs: Path = Path("/sys"),
        addresses: Callable[[], Addresses] = local_addresses,
        queues: Callable[[], Mapping[int, EgressQueue]] = egress_queues,
        errors: Errors = _no_errors,
        off: frozenset[str] = frozenset(),
    ) -> None:
        self._sysfs = sysfs
        self._addresses = addresses
        self._queues = queues
        self._errors = errors
        self._off = off
        self._rates = Rates()
        self._columns = Columns(Table.PORT)
        self._up: dict[str, bool] = {}
        self._losses: dict[str, int] = {}
        self._readers: list[PortReader] = []
        self._left_out = 0
        self._known: Addresses = {}
        self._names: tuple[frozenset[str], frozenset[str]] | None = None
        self._looked_s = -math.inf

    def open(self) -> None:
        """Need nothing."""

    def close(self) -> None:
        """Let go of the files."""
        for reader in self._readers:
            reader.close()
        self._readers, self._names = [], None

    def addressed(self) -> frozenset[str]:
        """Return the interfaces that had an address at the last look."""
        return frozenset(self._known)

    def read(self) -> Reading:
        """Return every port now, with an event for each link that came or went."""
        now_s = time.monotonic()
        try:
            self._look(now_s)
            rows = [reader.read() for reader in self._readers]
        except (OSError, psutil.Error) as error:
            raise SourceError(f"ports: {error}") from error
        return Reading(
            tables=(self._table(rows, now_s),),
            events=tuple(self._changes(rows)),
            addresses=_of_ports(rows, self._known),
            dropped={"ports.rows": self._left_out} if self._left_out else {},
        )

    def _look(self, now_s: float) -> None:
        """Find the ports again when names changed, or after a while."""
        names = (_names(self._sysfs / "class/net"), _names(self._sysfs / "class/infiniband"))
        if names == self._names and now_s - self._looked_s < _LOOK_EVERY_S:
            return
        known = self._addresses()
        places = find_ports(self._sysfs, frozenset(known), self._off)
        kept = places[:MAX_PORTS]
        if names != self._names or kept != [reader.place for reader in self._readers]:
            self.close()
            self._readers = [PortReader(place, keep=len(kept) <= _KEPT_PORTS) for place in kept]
        self._names, self._looked_s, self._known = names, now_s, known
        self._left_out = len(places) - len(kept)
        ids = {place.device.id for place in kept}
        self._rates.keep_if(lambda key: isinstance(key, tuple) and key[0] in ids)

    def _table(self, rows: list[PortRow], now_s: float) -> TableReading:
        queues = self._read_queues()
        values = [
            {**self._errors(row.device.id, now_s), **self._values(row, queues.get(row.index), now_s)}
            for row in rows
        ]
        return self._columns.table(tuple(row.device for row in rows), values)

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
        lost, self._losses = self._losses, {row.device.id: _losses(row) for row in rows}
        found: list[EventRecord] = []
        for row in rows:
            port = row.device.id
            if before.get(port, row.up) != row.up:
                found.append(_link_event(row, up=row.up))
            elif row.up and (times := self._losses[port] - lost.get(port, self._losses[port])) > 0:
                # The link went and came between two looks: the counter saw what the state did not.
                flaps = min(times, _MOST_FLAPS)
                found += [_link_event(row, up=up, times=times) for _ in range(flaps) for up in (False, True)]
        return found


def _names(folder: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()


def _losses(row: PortRow) -> int:
    """Return how often the port has lost its link; the carrier of an interface changes twice for that."""
    downed = row.counters.get("link_downed_per_s")
    return row.counters.get("carrier_changes_per_s", 0) // 2 if downed is None else downed


def _link_event(row: PortRow, *, up: bool, times: int = 0) -> EventRecord:
    between = f", {times} times between two looks" if times else ""
    return EventRecord(
        wall_ns=time.time_ns(),
        kind=events.PORT_UP if up else events.PORT_DOWN,
        severity=Severity.INFO if up else Severity.WARNING,
        source="ports",
        device=row.device.id,
        text=f"{row.device.name}: link {'up' if up else 'down'}{between}",
    )


def _of_ports(rows: list[PortRow], addresses: Addresses) -> tuple[str, ...]:
    return tuple(address for row in rows for address in addresses.get(row.device.id, ()))
