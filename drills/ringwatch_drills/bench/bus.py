"""``ringwatch bench bus``: what a node costs when collectors work as one over NATS and PostgreSQL.

One ingest collector and one detector, each a process of its own, beside servers that are already there:
NATS with JetStream, and an empty PostgreSQL database. It starts the two and judges nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from ringwatch_drills.bench.collector import loading
from ringwatch_drills.bench.collector_messages import Load

_SETTLED_S: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What came of it; cores are of one machine, memory is resident at the end."""

    nodes: int
    gpus: int
    batches_sent: int
    lost: int
    message_bytes: int
    ingest_cores: float
    detect_cores: float
    nats_cores: float | None
    ingest_rss_mb: float
    detect_rss_mb: float
    ack_ms_p99: float


class Started:
    """One collector of a role."""

    def __init__(self, role: str, folder: Path, bus: str, database: str, partitions: int) -> None:
        """Raise RuntimeError when it does not serve."""
        home = folder / role
        home.mkdir()
        settings = home / "collector.toml"
        settings.write_text(
            f'listen = "127.0.0.1:0"\ndata_dir = "{home}"\nrole = "{role}"\ndatabase_url = "{database}"\n'
            f'[bus]\nurl = "{bus}"\npartitions = {partitions}\nkeep_gib = 1.0\n'
        )
        command = [sys.executable, "-m", "ringwatch_collector", "run", "--config", str(settings)]
        with (home / "log").open("w") as log:
            self.running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.running.stdout.readline() if self.running.stdout is not None else ""
        if not line:
            raise RuntimeError(f"the {role} collector does not start: {(home / 'log').read_text()[-2000:]}")
        self.port = int(json.loads(line)["listening"].rpartition(":")[2])
        self.process = psutil.Process(self.running.pid)

    def end(self) -> None:
        """Stop it."""
        self.running.terminate()
        try:
            self.running.wait(15)
        except subprocess.TimeoutExpired:
            self.running.kill()
            self.running.wait()
        if self.running.stdout is not None:
            self.running.stdout.close()


def _cpu_s(process: psutil.Process | None) -> float:
    if process is None:
        return 0.0
    times = process.cpu_times()
    return float(times.user + times.system)


def measure(load: Load, bus: str, database: str, partitions: int, nats: psutil.Process | None) -> Measured:
    """Start the two, drive them, and end them."""
    with tempfile.TemporaryDirectory(prefix="ringwatch-bench-") as name:
        detect = Started("detect", Path(name), bus, database, partitions)
        ingest = Started("ingest", Path(name), bus, database, partitions)
        try:
            with loading(load, ingest.port, 0.0) as running:
                _said(running)
                time.sleep(_SETTLED_S)
                watched = (ingest.process, detect.process, nats)
                before_s, cpu_s = time.monotonic(), [_cpu_s(each) for each in watched]
                said = _said(running)
                took_s = time.monotonic() - before_s
                cores = [(_cpu_s(each) - cpu) / took_s for each, cpu in zip(watched, cpu_s, strict=True)]
            rss = [each.memory_info().rss / 1e6 for each in (ingest.process, detect.process)]
        finally:
            ingest.end()
            detect.end()
    return Measured(
        nodes=load.nodes,
        gpus=load.nodes * load.gpus,
        batches_sent=said["sent"],
        lost=said["sent"] - said["acknowledged"],
        message_bytes=said["message_bytes"],
        ingest_cores=round(cores[0], 3),
        detect_cores=round(cores[1], 3),
        nats_cores=None if nats is None else round(cores[2], 3),
        ingest_rss_mb=round(rss[0], 1),
        detect_rss_mb=round(rss[1], 1),
        ack_ms_p99=said["ack_lag_ms_p99"],
    )


def _said(running: subprocess.Popen[str]) -> dict[str, Any]:
    line = running.stdout.readline() if running.stdout is not None else ""
    if not line:
        raise RuntimeError("the load ended before it was done")
    found: dict[str, Any] = json.loads(line)
    return found


def main(argv: Sequence[str]) -> int:
    """Measure once and print one JSON object; 1 when a batch was lost."""
    parser = argparse.ArgumentParser(prog="ringwatch bench bus", description=__doc__)
    parser.add_argument("--bus", required=True, help="address of NATS with JetStream")
    parser.add_argument(
        "--database-url", required=True, help="SQLAlchemy URL of an empty PostgreSQL database"
    )
    parser.add_argument("--nats-pid", type=int, default=0, help="process of NATS, to measure it too")
    parser.add_argument("--nodes", type=int, default=250, help="simulated nodes")
    parser.add_argument("--gpus", type=int, default=8, help="GPUs and ranks of each")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to send")
    parser.add_argument("--connections", type=int, default=16, help="TCP connections that the streams share")
    parser.add_argument("--job-nodes", type=int, default=64, help="nodes of each training job")
    parser.add_argument("--partitions", type=int, default=16, help="partitions of the bus")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout (the only form)")
    options = parser.parse_args(argv)
    load = Load(
        nodes=options.nodes,
        gpus=options.gpus,
        seconds=options.seconds,
        connections=min(options.connections, options.nodes),
        job_nodes=options.job_nodes,
    )
    nats = psutil.Process(options.nats_pid) if options.nats_pid else None
    found = measure(load, options.bus, options.database_url, options.partitions, nats)
    sys.stdout.write(json.dumps(asdict(found)) + "\n")
    return 1 if found.lost else 0
