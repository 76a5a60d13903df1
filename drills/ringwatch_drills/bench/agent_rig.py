"""Starts what the benches of the agent need: an emulated NVML, a collector and an agent, as real processes.

Each lives in one temporary folder and ends with it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

_EMULATOR: Final = Path(__file__).parents[3] / "tests" / "nvml_emulator" / "emulator.py"
_STOP_S: Final = 10.0


class Emulator(Protocol):
    """The emulated driver of the tests, as the benches use it."""

    environment: dict[str, str]

    def set(self, **values: int) -> None:
        """Change what NVML says from now on."""

    def grow(self, key: str, rate: int) -> None:
        """Have a counter grow by ``rate`` a second from now on."""

    def clear(self, **values: int) -> None:
        """Make everything healthy but ``values``."""

    def xid(self, gpu: int, code: int) -> None:
        """Have the driver report an Xid of a GPU once."""


def emulator(folder: Path) -> Emulator:
    """Return an emulated NVML that lives in ``folder``; it comes with the source tree, not with the wheel."""
    if not _EMULATOR.exists():
        raise FileNotFoundError(f"{_EMULATOR} is not there: this bench runs in a source checkout")
    spec = importlib.util.spec_from_file_location("ringwatch_nvml_emulator", _EMULATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    made: Emulator = module.Emulator(folder)
    return made


def end(process: subprocess.Popen[Any], *, kill: bool = False) -> None:
    """End a process and wait for it. Safe to call twice."""
    if process.poll() is None:
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
    try:
        process.wait(timeout=_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class CollectorProcess:
    """A collector whose data outlives it: it may be killed and started again, on the same port."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "collector" / "ringwatch.db"
        self.address = "127.0.0.1:0"
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Start it; return its address."""
        command = [sys.executable, "-m", "ringwatch_collector", "run", "--listen", self.address]
        command += ["--metrics-listen", "127.0.0.1:0", "--data-dir", str(self.database.parent)]
        with (self._folder / "collector.log").open("a") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        said = json.loads(self._process.stdout.readline() or "{}")
        self.address = said["listening"]
        return self.address

    def stop(self, *, kill: bool = False) -> None:
        """End it, in good order or not. Safe to call twice."""
        if self._process is not None:
            end(self._process, kill=kill)
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None


class AgentProcess:
    """One agent with a folder of its own for spool and sockets."""

    def __init__(
        self, folder: Path, collector: str, metrics: str, environment: dict[str, str], *more: str
    ) -> None:
        self.folder = folder
        self.metrics = metrics
        self._command = [sys.executable, "-m", "ringwatch_agent", "run", "--collector", collector]
        self._command += ["--state-dir", str(folder / "agent"), "--hook-socket", str(folder / "hook.sock")]
        self._command += ["--metrics", metrics, "--node", "bench", *more]
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the process id; it must have been started."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it."""
        with (self.folder / "agent.log").open("a") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=subprocess.DEVNULL, stderr=log
            )

    def stop(self) -> None:
        """End it in good order. Safe to call twice."""
        if self._process is not None:
            end(self._process)
            self._process = None


def environment_of(made: Emulator) -> dict[str, str]:
    """Return the emulator's environment without what a shell may have set for Ringwatch itself."""
    return {key: value for key, value in made.environment.items() if not key.startswith("RINGWATCH_")}


def free_port() -> int:
    """Return a loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(seconds: float, holds: Callable[[], bool], what: str) -> float:
    """Wait until ``holds()``; return how long it took. Raise TimeoutError when it never does."""
    begin_s = time.monotonic()
    while not holds():
        if time.monotonic() - begin_s > seconds:
            raise TimeoutError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.1)
    return time.monotonic() - begin_s


def cache_folder() -> Path:
    """Return where benches keep what is dear to make again."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "ringwatch" / "bench"
