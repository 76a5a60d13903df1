"""The load of the collector's bench, in a process of its own: nodes that speak the real wire.

Nodes report evenly spread over each period, those of a connection one after the other. It reads
commands from nobody and prints one JSON object a line: when all nodes are admitted, and at the end.
"""

from __future__ import annotations

import json
import random
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_drills.bench import collector_frames as frames
from ringwatch_drills.bench.collector_messages import (
    FIRST_SEQUENCE,
    Load,
    Templates,
    hello,
    steps_now,
    with_event,
)
from ringwatch_proto.v1 import telemetry_pb2 as wire

_REPORT: Final = "/ringwatch.v1.Telemetry/Report"
# Moments of a period at which nodes report, so that every node has its own but for a few.
_SLOTS: Final = 200
_DRAIN_S: Final = 20.0
_ADMITTED_WITHIN_S: Final = 300.0
# Nodes that dial within one moment; the server accepts them one by one.
_DIALS: Final = 64
_PREFIX_BYTES: Final = frames.FRAME_HEADER_BYTES + frames.MESSAGE_HEADER_BYTES
_RECEIVED: Final = 1 << 18
_BACKLOG_BYTES: Final = 64 << 20
# As the agent does it: ringwatch_agent/backoff.py.
_BACKOFF_BASE_S, _BACKOFF_CAP_S = 0.25, 8.0

Floats = NDArray[np.float64]


@dataclass(slots=True)
class Tally:
    """What was counted. Lag is from when a batch was due to its acknowledgement."""

    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    # Of every batch, and of those with an event, which are on disk when they are acknowledged.
    lags_s: list[float] = field(default_factory=list)
    event_lags_s: list[float] = field(default_factory=list)
    # How late the load itself was.
    late_s: list[float] = field(default_factory=list)


class Link:
    """One TCP connection and the nodes that share it."""

    def __init__(self, fleet: Fleet, first: int, count: int) -> None:
        self.fleet = fleet
        self.nodes = range(first, first + count)
        self.failures = 0
        self.dial_at_s = 0.0
        self.socket: socket.socket | None = None
        self._waiting = bytearray()
        self._announced = 0
        self.reader = frames.FrameReader(self._message, self._ended)

    def dial(self, now_s: float) -> None:
        """Connect; on failure try later, as agents do."""
        self._announced = 0
        self._waiting.clear()
        self.reader = frames.FrameReader(self._message, self._ended)
        try:
            self.socket = socket.create_connection(self.fleet.address, timeout=5.0)
        except OSError:
            self._later(now_s)
            return
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.send(frames.greeting())
        self.fleet.selector.register(self.socket, selectors.EVENT_READ, self)

    def announce(self, most: int) -> int:
        """Open the streams of nodes that have none yet, with their Hellos; return how many."""
        nodes = self.nodes[self._announced : self._announced + most] if self.socket is not None else ()
        for node in nodes:
            stream = self.stream_of(node)
            self.send(frames.opening(_REPORT, stream) + frames.data_frame(stream, self.fleet.hello(node)))
        self._announced += len(nodes)
        return len(nodes)

    @property
    def announced(self) -> bool:
        """Return whether every node of it said Hello, or none can."""
        return self.socket is None or self._announced == len(self.nodes)

    def stream_of(self, node: int) -> int:
        """Return the HTTP/2 stream of a node."""
        return 1 + 2 * (node - self.nodes.start)

    def send(self, data: bytes | memoryview) -> None:
        """Send, or keep what the socket does not take now."""
        if self.socket is None:
            return
        if not self._waiting:
            try:
                data = data[self.socket.send(data) :]
            except BlockingIOError:
                pass
            except OSError:
                return
        self._waiting += data
        if self._waiting:
            self.fleet.blocked.add(self)

    def flush(self) -> None:
        """Send what waits."""
        if self._waiting and self.socket is not None:
            try:
                del self._waiting[: self.socket.send(self._waiting)]
            except OSError:
                return
        if not self._waiting:
            self.fleet.blocked.discard(self)

    @property
    def open(self) -> bool:
        """Return whether a block of DATA may go: HTTP/2 windows and our own memory allow it."""
        return (
            self.socket is not None and self.reader.window > 1 << 16 and len(self._waiting) < _BACKLOG_BYTES
        )

    def receive(self, now_s: float) -> None:
        """Read what came; a closed connection is dialled again."""
        try:
            data = self.socket.recv(_RECEIVED) if self.socket is not None else b""
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close(now_s)
            return
        self.reader.feed(data)
        if self.reader.replies:
            self.send(bytes(self.reader.replies))
            self.reader.replies.clear()

    def close(self, now_s: float) -> None:
        """Let go of a connection that ended."""
        if self.socket is not None:
            self.fleet.selector.unregister(self.socket)
            self.socket.close()
            self.socket = None
            self._waiting.clear()
            self.fleet.lost(self)
        self._later(now_s)

    def _later(self, now_s: float) -> None:
        most_s = min(_BACKOFF_CAP_S, _BACKOFF_BASE_S * 2.0**self.failures)
        self.failures = min(self.failures + 1, 16)
        self.dial_at_s = now_s + self.fleet.dice.uniform(0.0, most_s)

    def _message(self, stream: int, message: bytes) -> None:
        node = self.nodes.start + (stream - 1) // 2
        # An acknowledgement: field 2 that holds field 1, a varint. Anything else is rare.
        if message[:1] == b"\x12" and len(message) > 3 and message[2] == 0x08:
            sequence = shift = 0
            for byte in message[3:]:
                sequence |= (byte & 0x7F) << shift
                shift += 7
            self.fleet.acknowledged(node, sequence - FIRST_SEQUENCE)
            return
        said = wire.CollectorMessage.FromString(message)
        if said.HasField("welcome"):
            self.failures = 0
            self.fleet.welcomed(node)
        elif said.HasField("refusal"):
            self.fleet.tally.refused += 1
            sys.stderr.write(said.refusal.reason + "\n")

    def _ended(self, stream: int) -> None:
        self.fleet.ended(self.nodes.start + (stream - 1) // 2)


class Fleet:
    """All nodes: which are welcome, what each sent last and what of it was acknowledged."""

    def __init__(self, load: Load, address: tuple[str, int]) -> None:
        self.load = load
        self.address = address
        self.tally = Tally()
        self.selector = selectors.DefaultSelector()
        self.dice = random.Random(11)  # noqa: S311 - jitter, not a secret
        self._hellos = [hello(load, node) for node in range(load.nodes)]
        self.up = np.zeros(load.nodes, np.bool_)
        self._made = np.zeros(load.nodes, np.int64)
        self._acked = np.zeros(load.nodes, np.int64)
        periods = int(load.seconds * load.hz) + 2
        self._due_s: Floats = np.full((periods + 1, load.nodes), np.nan)
        share = -(-load.nodes // load.connections)
        # Links whose socket takes no more just now, that are not up, that have Hellos to say.
        self.blocked: set[Link] = set()
        self.silent: set[Link] = set()
        self.links = [
            Link(self, first, min(share, load.nodes - first)) for first in range(0, load.nodes, share)
        ]
        self.down = set(self.links)
        self._slots = [list(self._of_slot(slot)) for slot in range(_SLOTS)]
        self._templates = (Templates(load, stepping=False), Templates(load))
        # Nodes with batches that were made while nobody took them.
        self._behind: list[int] = []
        self._share = share
        self.lost_any = False
        self._every = max(1, round(load.event_every_s * load.hz))

    @property
    def message_bytes(self) -> int:
        """Return the size of a batch on the wire, framing left out."""
        return len(self._templates[1].message)

    def hello(self, node: int) -> bytes:
        """Return the node's Hello."""
        return self._hellos[node]

    def welcomed(self, node: int) -> None:
        """Take the collector's word that the node may report; what it kept meanwhile goes out first."""
        self.up[node] = True
        if self._made[node] > self._acked[node]:
            self._behind.append(node)

    def ended(self, node: int) -> None:
        """Note a stream that the collector ended."""
        self.up[node] = False

    def lost(self, link: Link) -> None:
        """Note a connection that broke."""
        self.up[link.nodes.start : link.nodes.stop] = False
        self.blocked.discard(link)
        self.silent.discard(link)
        self.down.add(link)
        self.lost_any = True

    def acknowledged(self, node: int, number: int) -> None:
        """Count every batch of the node up to that one."""
        before = int(self._acked[node])
        if number <= before:
            return
        now_s = time.monotonic()
        self._acked[node] = number
        self.tally.acknowledged += number - before
        for each in range(before + 1, number + 1):
            self.tally.lags_s.append(now_s - float(self._due_s[each, node]))
        if (node + number) % self._every == 0:
            self.tally.event_lags_s.append(now_s - float(self._due_s[number, node]))

    def pump(self, until_s: float) -> None:
        """Read and write until then; dial what has to be dialled."""
        while True:
            now_s = time.monotonic()
            self._dial(now_s)
            for key, _ in self.selector.select(max(0.0, min(until_s - now_s, 0.01))):
                key.data.receive(now_s)
            self._catch_up()
            for link in list(self.blocked):
                link.flush()
            if time.monotonic() >= until_s:
                return

    def _catch_up(self) -> None:
        """Send what nodes made and nobody acknowledged, as an agent does from its spool."""
        behind, self._behind = self._behind, []
        for node in behind:
            link = self.links[node // self._share]
            if not self.up[node]:
                continue
            if not link.open:
                self._behind.append(node)
                continue
            for number in range(int(self._acked[node]) + 1, int(self._made[node]) + 1):
                self._send(link, np.array([node]), number)

    def _dial(self, now_s: float) -> None:
        dials = hellos = _DIALS
        for link in list(self.down):
            if dials and now_s >= link.dial_at_s:
                dials -= 1
                link.dial(now_s)
                if link.socket is not None:
                    self.down.discard(link)
                    self.silent.add(link)
        for link in list(self.silent):
            hellos -= link.announce(hellos)
            if link.announced:
                self.silent.discard(link)
            if not hellos:
                break

    def admit(self, until_s: float) -> bool:
        """Wait until every node is welcome."""
        while not self.up.all() and time.monotonic() < until_s:
            self.pump(time.monotonic() + 0.01)
        return bool(self.up.all())

    def report(self) -> None:
        """Send every period's batches, each when it is due, then wait for the last acknowledgement."""
        period_s = 1.0 / self.load.hz
        began_s = time.monotonic()
        for period in range(int(self.load.seconds * self.load.hz)):
            for slot in range(_SLOTS):
                due_s = began_s + (period + slot / _SLOTS) * period_s
                self.pump(due_s)
                self.tally.late_s.append(time.monotonic() - due_s)
                self._report_slot(period + 1, slot, due_s)
                if self.lost_any and self.up.all():
                    self.lost_any = False
                    _say(returned=True)
        deadline_s = time.monotonic() + _DRAIN_S
        while (self._acked < self._made).any() and time.monotonic() < deadline_s:
            self.pump(time.monotonic() + 0.05)

    def _report_slot(self, number: int, slot: int, due_s: float) -> None:
        for link, nodes in self._slots[slot]:
            self._made[nodes] = number
            self._due_s[number, nodes] = due_s
            self.tally.sent += nodes.size
            up = nodes[self.up[nodes]]
            if not up.size:
                continue
            if link.open:
                self._send(link, up, number)
            else:
                self._behind += up.tolist()

    def _of_slot(self, slot: int) -> Iterator[tuple[Link, NDArray[np.int64]]]:
        """Yield which nodes of each link report in a slot."""
        for at, link in enumerate(self.links):
            count = len(link.nodes)
            # Links begin at different slots, or a fleet of one node a link would report at once.
            place = (slot - at * 37) % _SLOTS
            first, last = place * count // _SLOTS, (place + 1) * count // _SLOTS
            if last > first:
                yield link, np.arange(link.nodes.start + first, link.nodes.start + last)

    def _send(self, link: Link, nodes: NDArray[np.int64], number: int) -> None:
        stepping = steps_now(self.load, nodes, number)
        for template, some in zip(self._templates, (nodes[~stepping], nodes[stepping]), strict=True):
            if some.size:
                self._send_alike(link, some, number, template)

    def _send_alike(self, link: Link, nodes: NDArray[np.int64], number: int, template: Templates) -> None:
        rows = np.tile(np.frombuffer(frames.data_frame(0, template.message), np.uint8), (nodes.size, 1))
        streams = (1 + 2 * (nodes - link.nodes.start)).astype(">u4")
        rows[:, 5:9] = streams.view(np.uint8).reshape(-1, 4)
        wall_ns, monotonic_ns = time.time_ns(), time.monotonic_ns()
        template.fill(rows[:, _PREFIX_BYTES:], number=number, wall_ns=wall_ns, monotonic_ns=monotonic_ns)
        link.send(self._framed(link, rows, nodes, number, wall_ns))

    def _framed(
        self, link: Link, rows: NDArray[np.uint8], nodes: NDArray[np.int64], number: int, wall_ns: int
    ) -> bytes:
        """Return the frames; a node whose turn it is has an event in its batch."""
        telling = (nodes + number) % self._every == 0
        link.reader.window -= rows.shape[1] * nodes.size
        if not telling.any():
            return rows.tobytes()
        parts = []
        for at, node in enumerate(nodes.tolist()):
            if not telling[at]:
                parts.append(rows[at].tobytes())
                continue
            message = with_event(rows[at, _PREFIX_BYTES:].tobytes(), number, wall_ns)
            frame = frames.data_frame(link.stream_of(node), message)
            link.reader.window -= len(frame) - rows.shape[1]
            parts.append(frame)
        return b"".join(parts)


def main(argv: list[str]) -> int:
    """Run the load that the one argument, a JSON object, describes."""
    said = json.loads(argv[0])
    host, _, port = str(said.pop("address")).rpartition(":")
    known = {each.name for each in fields(Load)}
    load = Load(**{name: value for name, value in said.items() if name in known})
    fleet = Fleet(load, (host, int(port)))
    began_s = time.monotonic()
    admitted = fleet.admit(began_s + _ADMITTED_WITHIN_S)
    _say(admitted=admitted, admitted_s=round(time.monotonic() - began_s, 3))
    before = time.process_time()
    fleet.report()
    tally = fleet.tally
    _say(
        sent=tally.sent,
        acknowledged=tally.acknowledged,
        refused=tally.refused,
        event_lag_ms_p50=_ms(tally.event_lags_s, 50),
        event_lag_ms_p99=_ms(tally.event_lags_s, 99),
        ack_lag_ms_p99=_ms(tally.lags_s, 99),
        late_ms_p99=_ms(tally.late_s, 99),
        message_bytes=fleet.message_bytes,
        cpu_s=round(time.process_time() - before, 2),
    )
    return 0


def _ms(seconds: list[float], percent: float) -> float:
    return round(float(np.percentile(seconds, percent)) * 1000, 1) if seconds else float("nan")


def _say(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
