"""The lab's faults: each changes the real thing, and notes how to undo it before it does."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ringwatch_drills.lab.cluster import JOB, Cluster
from ringwatch_drills.lab.network import DEVICE, LabNode, run
from ringwatch_drills.lab.undo import process_mark
from ringwatch_drills.truth import Struck

# A quarter of the step's usual CPU, as a wrong container limit gives.
_QUOTA_CORES: Final = 0.15
_LINK_RATE: Final = "200mbit"
_LOADER_MS: Final = 400.0
_CHECKPOINT_EVERY, _CHECKPOINT_MS = 20, 3000.0
_DUTY_PERIOD_S, _DUTY_STOPPED = 0.1, 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class LabFault:
    """One fault. ``limit_s`` is how long an incident may take before the run counts as missed."""

    name: str
    help: str
    begin: Callable[[Cluster, LabNode], None]
    limit_s: float = 60.0


def _slow_rank(cluster: Cluster, node: LabNode) -> None:
    cluster.lab.groups[node.number].hold_to(_QUOTA_CORES, cluster.lab.undo)


def _slow_rank_stop(cluster: Cluster, node: LabNode) -> None:
    pid = cluster.worker_pid(node)
    cluster.lab.undo.note("stopped", process_mark(pid))
    threading.Thread(target=_stop_and_go, args=(pid,), name="duty cycle", daemon=True).start()


def _stop_and_go(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(_DUTY_PERIOD_S * _DUTY_STOPPED)
            os.kill(pid, signal.SIGCONT)
            time.sleep(_DUTY_PERIOD_S * (1.0 - _DUTY_STOPPED))


def _slow_link(cluster: Cluster, node: LabNode) -> None:
    cluster.lab.undo.note("qdisc", f"{node.namespace} {DEVICE}")
    add = ("tc", "-n", node.namespace, "qdisc", "add", "dev", DEVICE, "root")
    run(*add, "tbf", "rate", _LINK_RATE, "burst", "64kb", "latency", "100ms")


def _hang(cluster: Cluster, node: LabNode) -> None:
    pid = cluster.worker_pid(node)
    cluster.lab.undo.note("stopped", process_mark(pid))
    os.kill(pid, signal.SIGSTOP)


def _crash(cluster: Cluster, node: LabNode) -> None:
    os.kill(cluster.worker_pid(node), signal.SIGKILL)


def _dataloader(cluster: Cluster, node: LabNode) -> None:
    cluster.control({"loader_sleep_rank": node.number, "loader_sleep_ms": _LOADER_MS})


def _checkpoint(cluster: Cluster, node: LabNode) -> None:
    del node
    cluster.control({"checkpoint_every": _CHECKPOINT_EVERY, "checkpoint_ms": _CHECKPOINT_MS})


def _xid(cluster: Cluster, node: LabNode) -> None:
    pid = cluster.worker_pid(node)
    pci = node.pci_address.removesuffix(".0")
    line = f"NVRM: Xid (PCI:{pci}): 79, pid={pid}, name=python3, GPU has fallen off the bus."
    Path("/dev/kmsg").write_text(line + "\n")


def _none(cluster: Cluster, node: LabNode) -> None:
    del cluster, node


FAULTS: Final[tuple[LabFault, ...]] = (
    LabFault(name="slow-rank", help="a CPU quota holds one rank back", begin=_slow_rank),
    LabFault(name="slow-rank-stop", help="one rank is stopped 70 % of the time", begin=_slow_rank_stop),
    LabFault(name="slow-link", help="tc tbf slows what one node sends", begin=_slow_link),
    LabFault(name="hang", help="one rank is stopped for good", begin=_hang),
    LabFault(name="crash", help="one rank is killed with -9", begin=_crash),
    LabFault(name="dataloader", help="one rank's loader sleeps", begin=_dataloader),
    LabFault(name="checkpoint", help="all ranks pause every K steps", begin=_checkpoint),
    LabFault(name="xid", help="an Xid 79 line goes to /dev/kmsg", begin=_xid, limit_s=30.0),
    LabFault(name="none", help="nothing happens for a minute", begin=_none),
)

BY_NAME: Final[dict[str, LabFault]] = {fault.name: fault for fault in FAULTS}


def struck_by(node: LabNode) -> Struck:
    """Return what a fault at a node hits."""
    return Struck(node=node.name, job=JOB, rank=node.number, device=node.pci_address)
