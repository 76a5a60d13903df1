"""Judges how a job spends its time, and what its scheduler says of it: input waits, bandwidth, capacity."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator
from typing import Final

from ringwatch_collector.diagnosis.conclusion import EFFECT, Conclusion
from ringwatch_collector.diagnosis.scene import Scene, quoted

# Share of a step that waits for data from which the input is what holds the job up.
_BOUND_SHARE: Final = 0.3
_PROFILED_SHARE: Final = 0.2
_STALL_FACTOR: Final = 5.0
_STALL_S: Final = 1.0
# Bandwidth grows with size; less than half of the best at the largest sizes is a collapse.
_COLLAPSE: Final = 0.5
_BUSY_GPU_PERCENT: Final = 50.0


def judge(scene: Scene) -> Iterator[Conclusion]:
    """Yield what step times, traces, bandwidth tables and schedulers tell."""
    yield from _logged_steps(scene)
    yield from _profiled_steps(scene)
    yield from _bandwidth(scene)
    yield from _utilisation(scene)
    yield from _kubernetes(scene)
    yield from _slots(scene)


def _logged_steps(scene: Scene) -> Iterator[Conclusion]:
    steps = scene.of("step", "seconds")
    if len(steps) < 3:
        return
    data = [float(each.fields["data_s"]) for each in steps]
    share = statistics.median(
        wait / each.value for wait, each in zip(data, steps, strict=True) if each.value > 0
    )
    if share > _BOUND_SHARE:
        worst = sorted(zip(data, steps, strict=True), key=lambda pair: -pair[0])[:5]
        yield Conclusion(
            fault_class="dataloader.bound", evidence=quoted(each for _, each in worst),
            note=f"{share:.0%} of a typical step waits for data",
        )  # fmt: skip
        return
    usual = statistics.median(each.value for each in steps)
    slow = [
        each for wait, each in zip(data, steps, strict=True)
        if wait > _STALL_S and wait > _STALL_FACTOR * usual and wait > each.value / 2
    ]  # fmt: skip
    if slow:
        slow.sort(key=lambda each: -each.value)
        yield Conclusion(
            fault_class="dataloader.stall", evidence=quoted(slow),
            note=f"{len(slow)} of {len(steps)} steps wait long for data, the others take {usual:.2f} s",
            settle=("whether the pauses come every (number of workers) steps: then storage is slow",),
        )  # fmt: skip


def _profiled_steps(scene: Scene) -> Iterator[Conclusion]:
    steps, waits = scene.of("profile", "step_us"), scene.of("profile", "loader_us")
    total = sum(each.value for each in steps)
    if not total or not waits:
        return
    share = sum(each.value for each in waits) / total
    if share > _PROFILED_SHARE:
        yield Conclusion(
            fault_class="dataloader.bound", evidence=quoted([*waits, *steps]),
            note=f"{share:.0%} of the profiled steps is the data loader",
        )  # fmt: skip


def _bandwidth(scene: Scene) -> Iterator[Conclusion]:
    rows = scene.of("busbw", "gb_per_s")
    if len(rows) < 4:
        return
    rows.sort(key=lambda each: int(each.fields["bytes"]))
    best = max(each.value for each in rows)
    after = [each for each in rows if int(each.fields["bytes"]) >= int(rows[-1].fields["bytes"]) / 2]
    if best > 0 and statistics.median(each.value for each in after) < _COLLAPSE * best:
        fallen = [
            each for each in rows if each.value < _COLLAPSE * best and rows.index(each) > len(rows) // 3
        ]
        yield Conclusion(
            fault_class="collective.low_bandwidth", evidence=quoted(fallen), role=EFFECT, confidence=0.6,
            note=f"bus bandwidth falls from {best:g} to {after[-1].value:g} GB/s as messages grow",
            settle=("NCCL_DEBUG=INFO of the run: network, channels, algorithm", "PFC and discard counters"),
        )  # fmt: skip


def _utilisation(scene: Scene) -> Iterator[Conclusion]:
    bars = {each.name: each for each in scene.of("jobstats")}
    gpu, cpu = bars.get("gpu_utilization"), bars.get("cpu_utilization")
    if gpu is not None and gpu.value < _BUSY_GPU_PERCENT:
        seen = [each for each in (gpu, cpu) if each is not None]
        yield Conclusion(
            fault_class="dataloader.bound", evidence=quoted(seen), role=EFFECT, confidence=0.4,
            note="the GPUs wait more than they work: most often for input",
            settle=("a profiler trace of a few steps", "number of loader workers"),
        )  # fmt: skip


def _kubernetes(scene: Scene) -> Iterator[Conclusion]:
    total, free = scene.of("k8s", "capacity"), scene.of("k8s", "allocatable")
    if total and free and free[0].value < total[0].value:
        yield Conclusion(
            fault_class="scheduler.device_unhealthy_sticky", evidence=quoted([*free, *total]),
            confidence=0.7, settle=("the device plugin's log: the Xid for which it marked the device",),
        )  # fmt: skip


_STOPS: Final = re.compile(r"(?i)\b(hang|hung|stop|stuck|freez|slow|fail)")


def _slots(scene: Scene) -> Iterator[Conclusion]:
    limited = scene.signs("pcie_bw_limited")
    if limited and not scene.signs("pcie_slow_slot"):
        yield Conclusion(
            fault_class="pcie.degraded", evidence=quoted(limited), confidence=0.5, role="mixed",
            where=", ".join(dict.fromkeys(each.device for each in limited)),
        )  # fmt: skip
