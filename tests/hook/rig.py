"""Real training processes, and the agent's source that watches them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ringwatch_agent.sources.base import EventRecord, Reading
from ringwatch_agent.sources.steps import StepsSource
from ringwatch_proto import layout

HERE = Path(__file__).parent
WORKLOAD = ("-m", "ringwatch_drills.workload", "--hidden", "256", "--batch", "16")


def unpack(fields: layout.Fields, packed: bytes) -> list[dict[str, Any]]:
    """Return packed records as dictionaries."""
    names = [name for name, _ in fields]
    return [dict(zip(names, values, strict=True)) for values in layout.struct_of(fields).iter_unpack(packed)]


class Agent:
    """The steps source and everything that it has said so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.source = StepsSource(path)
        self.source.open()
        self.last = Reading()
        self.steps: list[dict[str, Any]] = []
        self.collectives: list[dict[str, Any]] = []
        self.events: list[EventRecord] = []
        self.dropped: dict[str, int] = {}

    def read(self) -> Reading:
        self.last = reading = self.source.read()
        self.steps += unpack(layout.STEP_FIELDS, reading.steps)
        self.collectives += unpack(layout.COLLECTIVE_FIELDS, reading.collectives)
        self.events += reading.events
        for kind, count in reading.dropped.items():
            self.dropped[kind] = self.dropped.get(kind, 0) + count
        return reading

    def states(self) -> dict[int, dict[str, Any]]:
        """Return the state now of each rank."""
        reading = self.read()
        ranks = {record.row: record.rank for record in reading.ranks or ()}
        return {
            ranks[state["rank_row"]]: state for state in unpack(layout.RANK_STATE_FIELDS, reading.rank_states)
        }

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def until(self, what: Callable[[], bool], within_s: float = 60.0) -> None:
        """Read until something is so; fail when it does not become so."""
        end = time.monotonic() + within_s
        while True:
            self.read()
            if what():
                return
            assert time.monotonic() < end, f"not within {within_s} s: {self.kinds()}, {len(self.steps)} steps"
            time.sleep(0.05)

    def rank_of(self, row: int) -> int:
        return next(record.rank for record in self.last.ranks or () if record.row == row)


class Job:
    """Ranks of one job, each a process of its own."""

    def __init__(self, arguments: tuple[str, ...], ranks: int, environment: dict[str, str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        shared = {
            **os.environ,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "WORLD_SIZE": str(ranks),
            "GLOO_SOCKET_IFNAME": "lo",
            "RINGWATCH_JOB": "test",
            **environment,
        }
        self.processes = [
            subprocess.Popen(
                [sys.executable, *arguments],
                env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(ranks)
        ]

    def wait(self, within_s: float = 90.0) -> list[str]:
        """Return what each rank printed; fail unless all ended well."""
        outputs = [process.communicate(timeout=within_s) for process in self.processes]
        for process, (_, errors) in zip(self.processes, outputs, strict=True):
            assert process.returncode == 0, errors[-3000:]
        return [output for output, _ in outputs]

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
