"""``ringwatch bench hook``: what the hook costs a real job, measured inside one job on Gloo.

The job trains in short blocks of steps, by turns without and with the hook, in an order that changes from
pair to pair (without-with, with-without). Between blocks the hook is attached or detached for good, and
DDP is wrapped anew around the same parameters, so that a block without the hook runs exactly what a job
without Ringwatch runs. An agent's source reads the rings once a second all the while.

Two answers, each with a bootstrap interval over the pairs: of the step time, and of the CPU time that a step
takes on all threads of a rank, which depends less on who else runs on the machine. Each compares the lower
quartiles of the two kinds of block: what lies above them is other people's work. The interval says how
much is known; on a busy machine that is little.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

WARM_STEPS: Final = 4
BLOCK_STEPS: Final = 12
_RESAMPLES: Final = 2000


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="ringwatch bench hook", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--pairs", type=int, default=100, help="pairs of blocks")
    parser.add_argument("--ranks", type=int, default=2, help="ranks of the job; one core each is honest")
    parser.add_argument("--hidden", type=int, default=1024, help="width of the model")
    parser.add_argument("--batch", type=int, default=96, help="samples a step")
    parser.add_argument("--as-rank", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(list(argv))


def main(argv: Sequence[str]) -> int:
    """Run the bench and print what it found; 1 when the job failed."""
    options = parse(argv)
    if options.as_rank is not None:
        run_rank(options)
        return 0
    with tempfile.TemporaryDirectory(prefix="ringwatch-bench-") as folder:
        report = run_job(options, Path(folder))
    if report is None:
        sys.stderr.write("ringwatch bench hook: the job failed\n")
        return 1
    sys.stdout.write((json.dumps(report) if options.json else _words(report)) + "\n")
    return 0


def run_job(options: argparse.Namespace, folder: Path) -> dict[str, Any] | None:
    """Run agent and ranks; return the report, None when a rank failed."""
    socket_path = folder / "hook.sock"
    agent = _Agent(socket_path)
    environment = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": str(options.ranks),
        "GLOO_SOCKET_IFNAME": "lo",
        "RINGWATCH_SOCKET": str(socket_path),
        "RINGWATCH_JOB": "bench-hook",
    }
    same = [
        "--pairs",
        options.pairs,
        "--hidden",
        options.hidden,
        "--batch",
        options.batch,
        "--as-rank",
        folder,
    ]
    command = [sys.executable, "-m", "ringwatch_drills.bench.hook", *map(str, same)]
    ranks = [
        subprocess.Popen(command, env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(options.ranks)
    ]
    codes = [rank.wait() for rank in ranks]
    records = agent.stop()
    if any(codes):
        return None
    blocks = json.loads((folder / "blocks.json").read_text())
    return summarize(blocks, options.ranks, records)


class _Agent:
    """The agent's source, read once a second."""

    def __init__(self, path: Path) -> None:
        from ringwatch_agent.sources.steps import StepsSource

        self._source = StepsSource(path)
        self._source.open()
        self._stopping = threading.Event()
        self.steps = 0
        self.collectives = 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def stop(self) -> dict[str, int]:
        """Stop and return how many records it read."""
        self._stopping.set()
        self._thread.join()
        self._take()
        self._source.close()
        return {"steps": self.steps, "collectives": self.collectives}

    def _read(self) -> None:
        while not self._stopping.wait(1.0):
            self._take()

    def _take(self) -> None:
        from ringwatch_proto.layout import COLLECTIVE, STEP

        reading = self._source.read()
        self.steps += len(reading.steps) // STEP.size
        self.collectives += len(reading.collectives) // COLLECTIVE.size


def run_rank(options: argparse.Namespace) -> None:
    """Train in blocks with and without the hook; rank 0 writes the step times down."""
    import torch
    from torch import distributed

    from ringwatch_drills.workload import Control, Shard, Signals, Trouble, make_model

    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    rank, world = distributed.get_rank(), distributed.get_world_size()
    data = Signals(Control(None, Trouble()), rank, options.batch)
    loader = torch.utils.data.DataLoader(data, batch_size=options.batch, sampler=Shard(rank, world))
    job = _Blocks(make_model(options.hidden), iter(loader))
    order = [flag for pair in range(options.pairs) for flag in ((False, True), (True, False))[pair % 2]]
    for _ in range(2):
        job.run(attached=False)
    blocks = [(attached, *job.run(attached=attached)) for attached in order]
    if rank == 0:
        (options.as_rank / "blocks.json").write_text(json.dumps(blocks))
    distributed.destroy_process_group()


class _Blocks:
    """The training of one rank, a block at a time, over the same parameters."""

    def __init__(self, module: Any, batches: Any) -> None:  # noqa: ANN401  torch's
        import torch

        self._module = module
        self._batches = batches
        self._optimizer = torch.optim.SGD(module.parameters(), lr=0.01)

    def run(self, *, attached: bool) -> tuple[float, float]:
        """Return step time and CPU time a step of one block in seconds, the warm-up left out."""
        from torch.nn.parallel import DistributedDataParallel

        from ringwatch_agent import hook

        if attached:
            hook.attach()
        model = DistributedDataParallel(self._module, bucket_cap_mb=2.0, gradient_as_bucket_view=True)
        for _ in range(WARM_STEPS):
            self._step(model)
        cpu = time.process_time()
        times = []
        for _ in range(BLOCK_STEPS):
            begin = time.perf_counter()
            self._step(model)
            times.append(time.perf_counter() - begin)
        cpu = time.process_time() - cpu
        del model
        if attached:
            hook.detach()
        return statistics.quantiles(times, n=4)[0], cpu / BLOCK_STEPS

    def _step(self, model: Any) -> None:  # noqa: ANN401  torch's
        from torch import nn

        inputs, labels = next(self._batches)
        loss = nn.functional.cross_entropy(model(inputs), labels)
        loss.backward()
        self._optimizer.step()
        self._optimizer.zero_grad()


def summarize(
    blocks: Sequence[tuple[bool, float, float]], ranks: int, records: dict[str, int]
) -> dict[str, Any]:
    """Return the report of the blocks (attached, step time, CPU time), in the order in which they ran."""
    wall = _compare([(attached, step_s) for attached, step_s, _ in blocks])
    cpu = _compare([(attached, cpu_s) for attached, _, cpu_s in blocks])
    steps = max(1, records["steps"])
    return {
        "overhead_percent": wall["percent"],
        "overhead_percent_95": wall["interval"],
        "overhead_us_per_step": wall["us"],
        "cpu_overhead_percent": cpu["percent"],
        "cpu_overhead_percent_95": cpu["interval"],
        "cpu_overhead_us_per_step": cpu["us"],
        "step_ms": wall["without_ms"],
        "cpu_ms_per_step": cpu["without_ms"],
        "pairs": len(blocks) // 2,
        "steps_per_block": BLOCK_STEPS,
        "events_per_step": round((records["steps"] + records["collectives"]) / steps, 2),
        "ranks": ranks,
        "cpus": os.cpu_count(),
    }


def _compare(blocks: Sequence[tuple[bool, float]]) -> dict[str, Any]:
    pairs = [dict(blocks[at : at + 2]) for at in range(0, len(blocks) - 1, 2)]
    without, difference = _difference(pairs)
    return {
        "percent": round(100.0 * difference / without, 3),
        "interval": [round(end, 3) for end in interval(pairs)],
        "us": round(1e6 * difference, 1),
        "without_ms": round(1e3 * without, 3),
    }


def _difference(pairs: Sequence[dict[bool, float]]) -> tuple[float, float]:
    """Return the lower quartile without the hook, and how much higher it is with it."""
    quartiles = {flag: statistics.quantiles([pair[flag] for pair in pairs], n=4)[0] for flag in (False, True)}
    return quartiles[False], quartiles[True] - quartiles[False]


def interval(pairs: Sequence[dict[bool, float]]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the relative difference, in percent."""
    draw = random.Random(1)  # noqa: S311  a resampling, not a secret
    found = []
    for _ in range(_RESAMPLES):
        without, difference = _difference(draw.choices(pairs, k=len(pairs)))
        found.append(100.0 * difference / without)
    found.sort()
    return found[int(0.025 * _RESAMPLES)], found[int(0.975 * _RESAMPLES) - 1]


def _words(report: dict[str, Any]) -> str:
    low, high = report["overhead_percent_95"]
    cpu_low, cpu_high = report["cpu_overhead_percent_95"]
    return (
        f"step time {report['step_ms']} ms: the hook costs {report['overhead_percent']} % "
        f"({low} to {high} %), {report['overhead_us_per_step']} us\n"
        f"CPU time {report['cpu_ms_per_step']} ms: the hook costs {report['cpu_overhead_percent']} % "
        f"({cpu_low} to {cpu_high} %), {report['cpu_overhead_us_per_step']} us\n"
        f"95 % intervals over {report['pairs']} pairs of blocks; {report['ranks']} ranks, "
        f"{report['events_per_step']} records a step"
    )


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
