"""Writes snapshots to the history database: encoded and sent on a thread of its own, bounded, counted."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import cramjam
import httpx
import numpy as np

from ringwatch_collector.counters import Counters
from ringwatch_collector.history import wire
from ringwatch_collector.history.snapshot import Snapshot, TableSnapshot
from ringwatch_collector.view import Ints
from ringwatch_proto.signals import Table

_LOG: Final = logging.getLogger("ringwatch.collector.history")
# A body of this size takes a receiver some 10 ms and compresses as well as a larger one.
_BODY_BYTES: Final = 2 << 20
_HEADERS: Final = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
_LONGEST_WAIT_S: Final = 30.0
_TROUBLE_AFTER_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One compressed request and how many samples it holds."""

    samples: int
    content: bytes


class Encoder:
    """Snapshots to bodies. It remembers the label bytes of each table's rows while they stay the same."""

    def __init__(self) -> None:
        self._known: dict[Table, tuple[Ints, Sequence[str], list[wire.RowGroup]]] = {}

    def bodies(self, snapshot: Snapshot) -> Iterator[Body]:
        """Yield the requests of one snapshot."""
        samples, parts, size = 0, [], 0
        for count, part in self._parts(snapshot):
            samples, size = samples + count, size + len(part)
            parts.append(part)
            if size >= _BODY_BYTES:
                yield _compressed(samples, parts)
                samples, parts, size = 0, [], 0
        if samples:
            yield _compressed(samples, parts)

    def _parts(self, snapshot: Snapshot) -> Iterator[tuple[int, bytes]]:
        at_ms = round(snapshot.at_s * 1000)
        for table in snapshot.tables:
            groups = self._groups(table)
            for metric, values in table.values.items():
                yield from wire.series(metric, groups, values, at_ms)
        for labels, value in snapshot.singles:
            yield 1, wire.one(labels, value, at_ms)

    def _groups(self, table: TableSnapshot) -> list[wire.RowGroup]:
        known = self._known.get(table.table)
        if known is None or not np.array_equal(known[0], table.node_of) or known[1] != table.devices:
            labels = [
                wire.label("device", device) + wire.label("node", table.names[node]) if node >= 0 else b""
                for node, device in zip(table.node_of.tolist(), table.devices, strict=True)
            ]
            known = self._known[table.table] = (table.node_of, table.devices, wire.grouped(labels))
        return known[2]


def _compressed(samples: int, parts: list[bytes]) -> Body:
    return Body(samples=samples, content=bytes(cramjam.snappy.compress_raw(b"".join(parts))))


class Sender:
    """``offer`` takes a snapshot on the loop; the thread does the rest.

    What the database refuses for good (4xx) is dropped and counted; what it cannot take now waits in
    order, up to ``queue_bytes``, beyond which the oldest goes.
    """

    def __init__(self, http: httpx.Client, url: str, queue_bytes: int, counters: Counters) -> None:
        self._http = http
        self._url = url
        self._queue_bytes = queue_bytes
        self._counters = counters
        self._encoder = Encoder()
        self._offered: Snapshot | None = None
        self._waiting: deque[Body] = deque()
        self._size = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._failing_since_s: float | None = None
        self._failure = ""
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    @property
    def trouble(self) -> str:
        """Return why nothing is written, empty while all is well."""
        since_s = self._failing_since_s
        if since_s is None or time.monotonic() - since_s < _TROUBLE_AFTER_S:
            return ""
        return f"history: nothing was written for {time.monotonic() - since_s:.0f} s: {self._failure}"

    @property
    def idle(self) -> bool:
        """Return whether the newest snapshot was taken up."""
        return self._offered is None

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def offer(self, snapshot: Snapshot) -> None:
        """Have a snapshot written; one that was not encoded yet is overtaken and counted."""
        with self._changed:
            if self._offered is not None:
                self._counters.history["snapshot_overtaken"] += 1
            self._offered = snapshot
            self._changed.notify()

    def stop(self, timeout_s: float) -> None:
        """End after the request that is under way; what waits is dropped and counted."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._counters.history["samples_dropped"] += sum(body.samples for body in self._waiting)
        self._http.close()

    def _run(self) -> None:
        wait_s = 0.0
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._stopping or self._offered is not None, timeout=wait_s or None
                )
                if self._stopping:
                    return
                snapshot, self._offered = self._offered, None
            try:
                if snapshot is not None:
                    self._encode(snapshot)
                wait_s = self._send_waiting(wait_s)
            except Exception as error:  # noqa: BLE001  (history must not end with one odd reading)
                self._counters.history["failures"] += 1
                self._fail(f"{type(error).__name__}: {str(error)[:200]}")

    def _encode(self, snapshot: Snapshot) -> None:
        for body in self._encoder.bodies(snapshot):
            self._waiting.append(body)
            self._size += len(body.content)
            while self._size > self._queue_bytes:
                oldest = self._waiting.popleft()
                self._size -= len(oldest.content)
                self._counters.history["samples_dropped"] += oldest.samples
            # Between bodies another thread may have what it waits for.
            time.sleep(0)

    def _send_waiting(self, waited_s: float) -> float:
        """Send until all is sent; return how long to wait before the next try, 0 for not at all."""
        while self._waiting and not self._stopping:
            if not self._send(self._waiting[0]):
                return min(_LONGEST_WAIT_S, max(1.0, 2 * waited_s))
            if self._waiting:
                self._size -= len(self._waiting.popleft().content)
        return 0.0

    def _send(self, body: Body) -> bool:
        """Send one body; return False when it has to be tried again."""
        try:
            answer = self._http.post(self._url, content=body.content, headers=_HEADERS)
        except httpx.HTTPError as error:
            self._counters.history["failures"] += 1
            self._fail(f"{type(error).__name__}: {str(error)[:200]}")
            return False
        if answer.is_success:
            self._counters.history["samples_sent"] += body.samples
            self._failing_since_s = None
            return True
        self._counters.history["failures"] += 1
        self._fail(f"HTTP {answer.status_code}")
        if answer.status_code < 500 and answer.status_code != 429:
            self._counters.history["samples_dropped"] += body.samples
            return True
        return False

    def _fail(self, reason: str) -> None:
        self._failure = reason
        if self._failing_since_s is None:
            self._failing_since_s = time.monotonic()
            _LOG.warning("nothing was written: %s", reason)
