"""``ringwatch bench collector``: ingest and detection under a fleet that speaks the real wire.

The collector is a process of its own and so is the load (``collector_load``), on the same machine. This
one starts both, watches them, and judges nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from ringwatch_drills.bench.collector_messages import Load

_LOOKS: Final = re.compile(r'^ringwatch_collector_look_recent_seconds\{quantile="([0-9.]+)"\} (\S+)$', re.M)
_TAKEN: Final = re.compile(r"^ringwatch_collector_batches_taken_total (\S+)$", re.M)
_START_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What came of it. ``docs/benchmarks.md`` says how each figure is taken."""

    nodes: int
    gpus: int
    batches_sent: int
    batches_taken: int
    lost: int
    cpu_cores: float
    rss_mb: float
    tick_ms_p50: float
    tick_ms_p99: float
    lag_ms_p99: float


@dataclass(slots=True)
class Watched:
    """The collector's process as it is from outside."""

    port: int
    metrics_port: int
    running: subprocess.Popen[str]
    process: psutil.Process
    rss_mb: float = 0.0
    looks_s: dict[str, float] = field(default_factory=dict)
    taken: float = math.nan
    asked: threading.Event = field(default_factory=threading.Event)

    def cpu_s(self) -> float:
        """Return the CPU time that the process used."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def ask(self) -> bool:
        """Read the page of metrics; a page that does not come in time is what overload looks like."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30
            ) as answer:
                page = answer.read().decode()
        except OSError:
            return False
        self.looks_s = {quantile: float(value) for quantile, value in _LOOKS.findall(page)}
        self.taken = float(found.group(1)) if (found := _TAKEN.search(page)) else math.nan
        return True

    def kill(self) -> None:
        """End it as a crash does."""
        self.running.kill()
        self.running.wait()
        if self.running.stdout is not None:
            self.running.stdout.close()

    def end(self) -> None:
        """End it in order, or as a crash does when that takes too long."""
        self.running.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.running.wait(15.0)
        self.kill()

    def watch(self) -> None:
        """Note the most memory until told to stop."""
        while not self.asked.wait(1.0):
            try:
                self.rss_mb = max(self.rss_mb, self.process.memory_info().rss / 1e6)
            except psutil.NoSuchProcess:
                continue


def free_port() -> int:
    """Return a loopback port that nobody has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def start(folder: Path, port: int) -> Watched:
    """Start a collector; raise RuntimeError when it does not serve."""
    command = [sys.executable, "-m", "ringwatch_collector", "run", "--listen", f"127.0.0.1:{port}"]
    command += ["--metrics-listen", "127.0.0.1:0", "--data-dir", str(folder)]
    with (folder / "log").open("a") as log:
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    line = running.stdout.readline() if running.stdout is not None else ""
    if not line:
        raise RuntimeError(f"the collector does not start: {(folder / 'log').read_text()[-2000:]}")
    said = json.loads(line)
    return Watched(
        port=port,
        metrics_port=said["metrics_port"],
        running=running,
        process=psutil.Process(running.pid),
    )


@contextmanager
def loading(load: Load, port: int, kill_after_s: float) -> Iterator[subprocess.Popen[str]]:
    """Run the load as a process of its own."""
    what = {**asdict(load), "address": f"127.0.0.1:{port}", "returns": kill_after_s > 0}
    command = [sys.executable, "-m", "ringwatch_drills.bench.collector_load", json.dumps(what)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        running.kill()
        running.wait()
        if running.stdout is not None:
            running.stdout.close()


def _said(running: subprocess.Popen[str]) -> dict[str, Any]:
    line = running.stdout.readline() if running.stdout is not None else ""
    if not line:
        raise RuntimeError("the load ended before it was done")
    found: dict[str, Any] = json.loads(line)
    return found


def measure(load: Load) -> Measured:
    """Start a collector, drive it, and end it."""
    with tempfile.TemporaryDirectory(prefix="ringwatch-bench-") as folder:
        watched = start(Path(folder), free_port())
        watching = threading.Thread(target=watched.watch, daemon=True)
        watching.start()
        try:
            with loading(load, watched.port, 0.0) as running:
                admitted = _said(running)
                before_s, cpu_s = time.monotonic(), watched.cpu_s()
                said = _said(running)
                cores = (watched.cpu_s() - cpu_s) / (time.monotonic() - before_s)
            watched.ask()
            _tell(admitted, said, load)
            return _measured(load, said, watched, cores)
        finally:
            watched.asked.set()
            watched.end()


def _tell(admitted: dict[str, Any], said: dict[str, Any], load: Load) -> None:
    """Say on stderr what has no field: how the fleet came in and what the load itself cost."""
    share = said["cpu_s"] / max(load.seconds, 1e-9)
    sys.stderr.write(
        f"admitted {load.nodes} nodes in {admitted['admitted_s']} s; a batch with steps is "
        f"{said['message_bytes']} bytes; the load took {share:.2f} of a core, "
        f"{said['late_ms_p99']} ms late (p99); events on disk after {said['event_lag_ms_p50']} ms (p50), "
        f"{said['event_lag_ms_p99']} ms (p99); batches acknowledged after {said['ack_lag_ms_p99']} ms (p99)\n"
    )


def _measured(load: Load, said: dict[str, Any], watched: Watched, cores: float) -> Measured:
    return Measured(
        nodes=load.nodes,
        gpus=load.nodes * load.gpus,
        batches_sent=said["sent"],
        batches_taken=0 if math.isnan(watched.taken) else int(watched.taken),
        lost=said["sent"] - said["acknowledged"],
        cpu_cores=round(cores, 3),
        rss_mb=round(watched.rss_mb, 1),
        tick_ms_p50=round(watched.looks_s.get("0.5", math.nan) * 1000, 1),
        tick_ms_p99=round(watched.looks_s.get("0.99", math.nan) * 1000, 1),
        lag_ms_p99=said["event_lag_ms_p99"],
    )


def returned(load: Load, kill_after_s: float) -> dict[str, float]:
    """Kill the collector under load, start it again, and return how long the fleet took to come back."""
    with tempfile.TemporaryDirectory(prefix="ringwatch-bench-") as name:
        folder, port = Path(name), free_port()
        watched = start(folder, port)
        with loading(load, port, kill_after_s) as running:
            _said(running)
            time.sleep(kill_after_s)
            watched.kill()
            killed_s = time.monotonic()
            watched = start(folder, port)
            serving_s = time.monotonic() - killed_s
            try:
                _said(running)
                whole_s = time.monotonic() - killed_s
                said = _said(running)
            finally:
                watched.end()
    return {
        "connections": load.connections,
        "serving_again_s": round(serving_s, 2),
        "all_reporting_again_s": round(whole_s, 2),
        "lost": said["sent"] - said["acknowledged"],
    }


def main(argv: Sequence[str]) -> int:
    """Measure once and print one JSON object; 1 when a batch was lost."""
    parser = argparse.ArgumentParser(prog="ringwatch bench collector", description=__doc__)
    parser.add_argument("--nodes", type=int, default=125, help="simulated nodes")
    parser.add_argument("--gpus", type=int, default=8, help="GPUs and ranks of each")
    parser.add_argument("--ports", type=int, default=8, help="network ports of each")
    parser.add_argument("--gpu-signals", type=int, default=32, help="signals of each GPU")
    parser.add_argument("--port-signals", type=int, default=20, help="signals of each port")
    parser.add_argument("--host-signals", type=int, default=14, help="signals of each host")
    parser.add_argument("--hz", type=float, default=1.0, help="batches a second of each")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to send")
    parser.add_argument("--connections", type=int, default=16, help="TCP connections that the streams share")
    parser.add_argument("--job-nodes", type=int, default=128, help="nodes of each training job")
    parser.add_argument("--step-s", type=float, default=5.0, help="seconds of a training step")
    parser.add_argument("--event-every-s", type=float, default=60.0, help="seconds between a node's events")
    parser.add_argument(
        "--kill-after", type=float, default=0.0, help="kill -9 after so many seconds and time the return"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout (the only form)")
    options = vars(parser.parse_args(argv))
    options.pop("json")
    kill_after_s = options.pop("kill_after")
    options["connections"] = min(options["connections"], options["nodes"])
    load = Load(**options)
    back = {"nodes": load.nodes, **returned(load, kill_after_s)} if kill_after_s else {}
    found = back or asdict(measure(load))
    sys.stdout.write(json.dumps(found) + "\n")
    return 1 if found["lost"] else 0
