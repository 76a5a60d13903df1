"""Follows the kernel log and reports the lines that tell of a fault. Knows no shape of line itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ringwatch_agent.sources.base import EventRecord, Reading
from ringwatch_agent.sources.kernel_position import KernelPosition
from ringwatch_agent.sources.kernel_records import KernelRecord, KernelRecords
from ringwatch_agent.sources.repeats import Repeats
from ringwatch_knowledge.kernel_log import KernelFault
from ringwatch_proto import events
from ringwatch_proto.records import Severity

Match = Callable[[str], KernelFault | None]


class KmsgSource:
    """Reports the faults of one kernel log.

    ``match`` says what a line tells. What the log held when it was first read is backfill; with
    ``position``, an agent that starts again does not tell it again. Where several agents share one
    kernel log, ``owned_pci`` holds the PCI addresses of this node's devices: lines about others are
    left to their agents.
    """

    name = "kmsg"

    def __init__(
        self,
        match: Match,
        *,
        path: Path = Path("/dev/kmsg"),
        owned_pci: frozenset[str] | None = None,
        position: KernelPosition | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._match = match
        self._records = KernelRecords(path)
        self._owned_pci = owned_pci
        self._position = position
        self._saved_sequence: int | None = None
        self._clock = clock
        self._repeats = Repeats()
        self._caught_up_wall_ns: int | None = None

    def open(self) -> None:
        """Open the log; go on behind the last line read when it was open before."""
        if self._position and self._records.next_sequence is None:
            self._records.next_sequence = self._position.load()
        self._records.open()

    def close(self) -> None:
        """Close the log."""
        self._records.close()

    def read(self) -> Reading:
        """Return the faults that the new lines tell of, and how many lines were overrun."""
        self._save_position()
        records, lost, at_end = self._records.take()
        told = [event for record in records for event in self._tell(record)]
        told += self._repeats.due(self._clock())
        if at_end:
            self._caught_up_wall_ns = time.time_ns()
        if lost:
            told.append(_lost(lost))
        return Reading(events=tuple(told), dropped={"kmsg.lines": lost} if lost else {})

    def _save_position(self) -> None:
        """Write down how far the read before this one came: what it told is on its way by now."""
        at = self._records.next_sequence
        if self._position and at is not None and at != self._saved_sequence:
            self._position.save(at)
            self._saved_sequence = at

    def _tell(self, record: KernelRecord) -> list[EventRecord]:
        fault = self._match(record.text)
        if fault is None or not self._is_ours(fault.pci_address):
            return []
        event = self._event(record, fault)
        at_s = record.boot_us / 1e6 if event.backfill else self._clock()
        key = (fault.pattern_id, fault.pci_address, fault.code, fault.fields.get("pid"), event.backfill)
        return self._repeats.take(key, event, at_s)

    def _is_ours(self, pci_address: str) -> bool:
        return self._owned_pci is None or not pci_address or pci_address in self._owned_pci

    def _event(self, record: KernelRecord, fault: KernelFault) -> EventRecord:
        now_ns = time.time_ns()
        wall_ns = now_ns - time.monotonic_ns() + record.boot_us * 1000
        if self._caught_up_wall_ns is not None:
            # The kernel's stamps drift against the clocks: a line that is new came since the last read.
            wall_ns = min(max(wall_ns, self._caught_up_wall_ns), now_ns)
        return EventRecord(
            wall_ns=wall_ns,
            kind=fault.kind,
            severity=fault.severity,
            source=self.name,
            device=fault.pci_address,
            code=fault.code,
            text=fault.text,
            fields=fault.fields,
            backfill=self._caught_up_wall_ns is None,
        )


def _lost(count: int) -> EventRecord:
    return EventRecord(
        wall_ns=time.time_ns(),
        kind=events.KERNEL_LINES_LOST,
        severity=Severity.WARNING,
        source=KmsgSource.name,
        code=min(count, 2**31 - 1),
        text=f"the kernel log overran its reader: {count} lines lost",
    )
