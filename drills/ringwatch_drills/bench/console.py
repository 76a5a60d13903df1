"""``ringwatch bench console``: the console in a real terminal, over a fleet of any size on the real wire."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Final

import grpc.aio

from ringwatch_drills.bench import process_cost
from ringwatch_drills.bench.console_fleet import Fleet, QueryBench, RunsBench
from ringwatch_drills.processes import RINGWATCH
from ringwatch_proto.v1 import query_pb2_grpc, runs_pb2_grpc

_COLUMNS: Final = 160
_ROWS: Final = 48
_FIRST_SCREEN_S: Final = 60.0
_KEYS: Final = 20
# A key is painted at once.
_KEY_WAIT_S: Final = 2.0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ringwatch bench console", description=__doc__)
    parser.add_argument("--gpus", type=int, default=10_000)
    parser.add_argument("--incidents", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each of the two phases")
    parser.add_argument("--json", action="store_true", help="one object on the last line")
    return parser


class Terminal:
    """A console in a pseudo-terminal of its own, and every byte that it wrote."""

    def __init__(self, address: str) -> None:
        leader, follower = pty.openpty()
        size = struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0)
        fcntl.ioctl(follower, termios.TIOCSWINSZ, size)
        environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.began_s = time.monotonic()
        self._process = subprocess.Popen(
            [*RINGWATCH, "console", "--collector", address],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=environment,
            start_new_session=True,
        )
        os.close(follower)
        self._leader = leader
        self.pid = self._process.pid
        self.bytes_read = 0

    def read(self, seconds: float) -> bytes:
        """Return what is written within so many seconds, as soon as anything is."""
        ready, _, _ = select.select([self._leader], [], [], max(0.0, seconds))
        data = os.read(self._leader, 1 << 20) if ready else b""
        self.bytes_read += len(data)
        return data

    def drain(self, seconds: float) -> int:
        """Read for so long; return how many bytes were written."""
        before, end_s = self.bytes_read, time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            self.read(left_s)
        return self.bytes_read - before

    def until(self, text: bytes, seconds: float) -> float:
        """Return the time at which a text was written; raise TimeoutError when it never was."""
        seen, end_s = b"", time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            seen = (seen + self.read(left_s))[-1_000_000:]
            if text in seen:
                return time.monotonic()
        raise TimeoutError(f"{text!r} was not on the screen after {seconds:.0f} s")

    def press(self, key: bytes) -> None:
        """Press a key."""
        os.write(self._leader, key)

    def close(self) -> None:
        """End the console."""
        os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._leader)


@contextmanager
def _serving(fleet: Fleet) -> Iterator[str]:
    """Serve the fleet from a thread of its own; yield the address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="bench server", daemon=True)
    thread.start()

    async def start() -> tuple[grpc.aio.Server, int]:
        server = grpc.aio.server(options=[("grpc.max_send_message_length", 256 << 20)])
        query_pb2_grpc.add_QueryServicer_to_server(QueryBench(fleet), server)
        runs_pb2_grpc.add_RunsServicer_to_server(RunsBench(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _key_ms(terminal: Terminal) -> float:
    """Return how long after a key its change is painted: the median of twenty moves on a still screen."""
    found = []
    for number in range(_KEYS):
        terminal.drain(0.4)
        pressed_s = time.monotonic()
        terminal.press(b"j" if number % 2 == 0 else b"k")
        if terminal.read(_KEY_WAIT_S):
            found.append((time.monotonic() - pressed_s) * 1000)
    return round(median(found), 1) if found else float("nan")


def measure(gpus: int, incidents: int, seconds: float) -> dict[str, float]:
    """Run a console over a fleet and return what it costs.

    ``update_cpu_ms`` is the console's CPU for one picture in which every reading moved, taking it off the
    wire included; ``first_screen_cpu_ms`` its CPU until the incidents stood on the screen, which says how
    long that takes on a machine that does nothing else; ``quiet_kib_s`` what it writes to the terminal
    while nothing moves.
    """
    fleet = Fleet(gpus, incidents)
    with _serving(fleet) as address:
        terminal = Terminal(address)
        try:
            shown_s = terminal.until(b"I-1", _FIRST_SCREEN_S)
            first_cpu_s = process_cost.cpu_s(terminal.pid)
            terminal.drain(3.0)
            before_s = process_cost.cpu_s(terminal.pid)
            terminal.drain(seconds)
            busy_s = process_cost.cpu_s(terminal.pid) - before_s
            fleet.busy = False
            terminal.drain(3.0)
            quiet_bytes = terminal.drain(seconds)
            key_ms = _key_ms(terminal)
            memory = process_cost.memory(terminal.pid)
        finally:
            terminal.close()
    return {
        "gpus": gpus,
        "incidents": incidents,
        "first_screen_ms": round((shown_s - terminal.began_s) * 1000),
        "first_screen_cpu_ms": round(first_cpu_s * 1000),
        "update_cpu_ms": round(busy_s / seconds * 1000, 1),
        "quiet_kib_s": round(quiet_bytes / 1024 / seconds, 2),
        "rss_mb": memory.rss_mb,
        "key_to_paint_ms": key_ms,
    }


def main(argv: Sequence[str]) -> int:
    """Measure and print; return 0."""
    options = _parser().parse_args(list(argv))
    found = measure(options.gpus, options.incidents, options.seconds)
    said = json.dumps(found) if options.json else "\n".join(f"{key}: {found[key]}" for key in found)
    sys.stdout.write(said + "\n")
    return 0
