"""Pairwise bandwidth over a real process group of this node's own, in two rounds. Touches no user's job."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ringwatch_agent.probe.plan import Plan
from ringwatch_proto.probe import Measure

_GRACE_S: Final = 180.0


def pairs(_torch: Any, plan: Plan) -> Iterator[Measure]:  # noqa: ANN401  (the workers load their own)
    """Yield what the pairs of this node reach; nothing where there is only one rank."""
    if plan.ranks < 2:
        return
    gpus = [device for device in plan.devices if device.is_gpu]
    backend = "auto" if len(gpus) >= plan.ranks else "gloo"
    rows = _measured(plan, backend)
    if backend == "auto":
        yield from of_ranks(rows, f"pair nccl {gpus[0].kind} x{plan.ranks}"[:120])
    else:
        yield of_node(rows, f"pair gloo loopback x{plan.ranks}")


def of_ranks(rows: Sequence[Mapping[str, Any]], kind: str) -> Iterator[Measure]:
    """Yield for each rank the better of its pairs: what is slow with both partners is slow itself."""
    for rank in sorted({int(row["rank"]) for row in rows}):
        mine = [row for row in rows if int(row["rank"]) == rank]
        yield Measure(
            name="pair",
            device=f"rank {rank}",
            kind=kind,
            value=max(float(row["gb_per_s"]) for row in mine),
            unit="GB/s",
            wrong=_changed(mine),
        )


def of_node(rows: Sequence[Mapping[str, Any]], kind: str) -> Measure:
    """Return one measure of all pairs: ranks that share the cores of a node are no devices of their own."""
    middle = statistics.median(float(row["gb_per_s"]) for row in rows)
    return Measure(
        name="pair", device="node", kind=kind, value=middle, unit="GB/s", wrong=_changed(rows), shared=True
    )


def _changed(rows: Sequence[Mapping[str, Any]]) -> str:
    peers = sorted({int(row["peer"]) for row in rows if not row["intact"]})
    return f"messages of rank {', '.join(map(str, peers))} came changed" if peers else ""


def _measured(plan: Plan, backend: str) -> list[Mapping[str, Any]]:
    """Run one process a rank; raise RuntimeError when they do not end well in time."""
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory(prefix="ringwatch-pairs-") as folder:
        workers = [
            _started(plan, rank, backend, Path(folder) / "store", environment) for rank in range(plan.ranks)
        ]
        try:
            outputs = [worker.communicate(timeout=plan.sizes.seconds * 4 + _GRACE_S) for worker in workers]
        finally:
            for worker in workers:
                if worker.poll() is None:
                    worker.kill()
                    worker.wait()
    bad = [at for at, worker in enumerate(workers) if worker.returncode]
    if bad:
        raise RuntimeError(f"rank {bad[0]} of the pair test: {outputs[bad[0]][1].strip()[-200:]}")
    rows: list[Mapping[str, Any]] = json.loads(outputs[0][0].splitlines()[-1])
    return rows


def _started(
    plan: Plan, rank: int, backend: str, store: Path, environment: Mapping[str, str]
) -> subprocess.Popen[str]:
    argv = [
        sys.executable, "-m", "ringwatch_agent.probe.pair_worker",
        f"--rank={rank}", f"--world={plan.ranks}", f"--rendezvous=file://{store}", f"--backend={backend}",
        f"--bytes={plan.sizes.message_bytes}", f"--seconds={plan.sizes.seconds}",
    ]  # fmt: skip
    return subprocess.Popen(
        argv,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
