"""Adds up what a process and all its children cost: CPU from the scheduler's own clock, memory three ways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Memory of a process tree, MB (10^6 bytes).

    ``rss_mb`` counts a page that two processes share twice, ``pss_mb`` once, split between those that
    share it, and ``uss_mb`` not at all: it is what would come free if they ended. All three move when
    another process that maps the same libraries starts or ends; ``anonymous_mb``, what the processes
    themselves have written to, does not: whether something grows is to be seen by that.
    """

    rss_mb: float
    pss_mb: float
    uss_mb: float
    anonymous_mb: float
    processes: int
    threads: int


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process and its children so far.

    Read from ``schedstat``, in nanoseconds: the clock ticks of ``/proc/PID/stat`` are 10 ms, too coarse
    for a cost of a few milliseconds a second. What an ended thread used is not in it.
    """
    return sum(_thread_s(file) for process in _tree(pid) for file in _schedstats(process.pid))


def memory(pid: int) -> Memory:
    """Return the memory of a process and its children now."""
    return _sum(_tree(pid))


def own_memory(pid: int) -> Memory:
    """Return the memory of a process now, without its children."""
    return _sum([psutil.Process(pid)])


def _sum(processes: Sequence[psutil.Process]) -> Memory:
    found = [(each.memory_full_info(), each.num_threads()) for each in processes]
    return Memory(
        rss_mb=_mb(sum(info.rss for info, _ in found)),
        pss_mb=_mb(sum(info.pss for info, _ in found)),
        uss_mb=_mb(sum(info.uss for info, _ in found)),
        anonymous_mb=_mb(sum(_anonymous_bytes(each.pid) for each in processes)),
        processes=len(found),
        threads=sum(threads for _, threads in found),
    )


def _anonymous_bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it ended between the listing and the read
        return 0
    return int((text.partition("\nAnonymous:")[2].split(maxsplit=1) or ["0"])[0]) * 1024


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _schedstats(pid: int) -> Iterator[Path]:
    yield from Path(f"/proc/{pid}/task").glob("*/schedstat")


def _thread_s(file: Path) -> float:
    try:
        return int(file.read_text().split()[0]) / 1e9
    except (OSError, IndexError):  # it ended between the listing and the read
        return 0.0


def _mb(size_bytes: int) -> float:
    return round(size_bytes / 1e6, 2)
