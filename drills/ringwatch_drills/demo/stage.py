"""The processes of the demo, in a folder that goes away with them."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

import grpc

from ringwatch_drills.processes import RINGWATCH, Process, free_port, start
from ringwatch_drills.watching import Watcher
from ringwatch_proto.errors import RingwatchError

_COLLECTOR_UP_S: Final = 30.0


class DemoError(RingwatchError):
    """The demo cannot go on; the message is for a person."""


class Stage:
    """Collector, agent and fleet. ``close`` ends all of them, whatever state they are in."""

    def __init__(self, nodes: int, seed: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ringwatch-demo-"))
        self.address = f"127.0.0.1:{free_port()}"
        self.nodes = nodes
        self._seed = seed
        self.processes: dict[str, Process] = {}
        self._talking = threading.Lock()

    def start_collector(self) -> None:
        """Start the collector, or start it again over its data, and wait until it answers."""
        data = str(self.folder / "collector")
        self._start("collector", *RINGWATCH, "collector", "run", "--listen", self.address, "--data-dir", data)
        watcher = Watcher(self.address)
        deadline = time.monotonic() + _COLLECTOR_UP_S
        try:
            while not _answers(watcher):
                self.check_alive()
                if time.monotonic() > deadline:
                    raise DemoError("the collector does not answer")
                time.sleep(0.2)
        finally:
            watcher.close()

    def start_agent(self) -> None:
        """Start the real agent of this machine; without root it reads what it may."""
        command = (*RINGWATCH, "agent", "run", "--collector", self.address, "--metrics", "off")
        state, socket = str(self.folder / "agent"), str(self.folder / "hook.sock")
        self._start("agent", *command, "--state-dir", state, "--hook-socket", socket)

    def start_fleet(self) -> None:
        """Start the simulated fleet."""
        options = ("--collector", self.address, "--nodes", str(self.nodes), "--seed", str(self._seed))
        command = (sys.executable, "-m", "ringwatch_drills.fleet", *options)
        self.processes["fleet"] = start("fleet", command, self.folder, pipes=True)
        self._hear()

    def begin(self, fault: str) -> dict[str, Any]:
        """Let a fault begin in the fleet; return what it hit."""
        with self._talking:
            self._tell({"begin": fault})
            answer = self._hear()
        if "begun" not in answer:
            raise DemoError(str(answer.get("error", "the fleet does not answer")))
        begun: dict[str, Any] = answer["begun"]
        return begun

    def check_alive(self) -> None:
        """Raise DemoError with its last words when a process has ended."""
        for process in self.processes.values():
            if process.ended is not None:
                raise DemoError(f"{process.name} ended with {process.ended}:\n{process.last_words()}")

    def close(self) -> None:
        """End every process and remove the folder. Safe to call twice."""
        for process in reversed(self.processes.values()):
            process.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, name: str, *command: str) -> None:
        self.processes[name] = start(name, command, self.folder)

    def _tell(self, order: dict[str, Any]) -> None:
        stdin = self.processes["fleet"].popen.stdin
        if stdin is None:
            raise DemoError("the fleet does not listen")
        stdin.write(json.dumps(order).encode() + b"\n")
        stdin.flush()

    def _hear(self) -> dict[str, Any]:
        fleet = self.processes["fleet"]
        line = fleet.popen.stdout.readline() if fleet.popen.stdout is not None else b""
        if not line:
            raise DemoError(f"the fleet ended:\n{fleet.last_words()}")
        heard: dict[str, Any] = json.loads(line)
        return heard


def _answers(watcher: Watcher) -> bool:
    try:
        watcher.fleet()
    except grpc.RpcError:
        return False
    return True
