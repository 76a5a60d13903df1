"""Answers the verbs that only look, out of what the sampler read last. Reads no device itself."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from ringwatch_agent.look import rows
from ringwatch_agent.sampler import Sampler
from ringwatch_agent.sources.base import Reading, TableReading
from ringwatch_proto.errors import VerbError
from ringwatch_proto.signals import Table

_FAULTS: Final = 10


class Inspector:
    """Keeps the newest tables and the last faults of the kernel log. Safe across threads."""

    def __init__(
        self, sampler: Sampler, gpu_facts: Callable[[str], Mapping[str, str]] = lambda _: {}
    ) -> None:
        self._sampler = sampler
        self._gpu_facts = gpu_facts
        self._lock = threading.Lock()
        self._tables: dict[Table, TableReading] = {}
        self._faults: deque[str] = deque(maxlen=_FAULTS)

    def take(self, readings: list[Reading]) -> None:
        """Keep what was read."""
        with self._lock:
            for reading in readings:
                self._tables |= {table.table: table for table in reading.tables}
                self._faults.extend(event.text for event in reading.events if event.source == "kmsg")

    def gpu(self, gpu: str) -> dict[str, str]:
        """Return what one GPU is and every reading of it; raise VerbError when it is not here."""
        with self._lock:
            table = self._tables.get(Table.GPU)
        for device, readings in rows(table) if table else ():
            if device.id == gpu:
                facts = {name: f"{value:g}" for name, value in readings.items()}
                known = {"name": device.name, "pci_address": device.pci_address, "model": device.model}
                return {**known, **self._gpu_facts(gpu), **facts}
        raise VerbError(f"no GPU {gpu} on this node")

    def node(self) -> dict[str, str]:
        """Return host and port readings, the state of each source, and the last kernel faults."""
        with self._lock:
            tables, faults = dict(self._tables), list(self._faults)
        facts: dict[str, str] = {}
        for kind in (Table.HOST, Table.PORT):
            for device, readings in rows(tables[kind]) if kind in tables else ():
                prefix = f"{device.name} " if kind is Table.PORT else ""
                facts |= {f"{prefix}{name}": f"{value:g}" for name, value in readings.items()}
        for health in self._sampler.health.values():
            facts[f"source {health.name}"] = "up" if health.up else health.reason or "no answer yet"
        facts |= {f"kernel fault {number}": text for number, text in enumerate(reversed(faults), 1)}
        return facts
