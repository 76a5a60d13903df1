"""What is done to an agent in a soak: GPU faults, kernel lines, a killed collector. Measures nothing."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ringwatch_drills.bench.agent_rig import CollectorProcess, Emulator

# What may befall one GPU, and the whole driver: a key of the emulator and its value while the fault lasts.
GPU_FAULTS: Final = (
    ("block", 1),
    ("error", 15),
    ("slow_ms", 400),
    ("gone", 1),
    ("reasons", 8),
    ("links", 17),
)
DRIVER_FAULTS: Final = (("all__block", 1), ("unloaded", 1), ("mismatch", 1))
_HEALTHY: Final = {"links": 18}
BEAT_S: Final = 0.5
_XID: Final = "NVRM: Xid (PCI:0000:{bus:02x}:00): 13, pid={pid}, name=soak, Graphics SM Warp Exception"
FIRST_PID: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How often things happen, a second, and how long they last at most."""

    seconds: float
    seed: int
    gpus: int = 8
    lines_per_s: float = 1.0
    faults_per_s: float = 0.2
    fault_s: float = 30.0
    kills_per_s: float = 1 / 60
    away_s: float = 45.0


class KernelLog:
    """A file of the form of ``/dev/kmsg`` that grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        path.touch()

    def write(self, bus: int) -> None:
        """Write one Xid line; its process id is the line's own number."""
        self.lines += 1
        text = _XID.format(bus=bus, pid=FIRST_PID + self.lines)
        stamp_us = time.monotonic_ns() // 1000
        with self.path.open("a") as file:
            file.write(f"4,{self.lines},{stamp_us},-;{text}\n")


class Trouble:
    """Turns faults on and off, as the dice say."""

    def __init__(self, driver: Emulator, plan: Plan, dice: random.Random) -> None:
        self.counts: Counter[str] = Counter()
        self._driver = driver
        self._plan = plan
        self._dice = dice
        self._until_s: dict[str, float] = {}

    def beat(self, now_s: float) -> None:
        """End what is over and perhaps begin something."""
        for key in [key for key, until_s in self._until_s.items() if until_s <= now_s]:
            self.heal(key)
        if self._dice.random() < self._plan.faults_per_s * BEAT_S:
            self._begin(now_s)

    def heal(self, key: str = "") -> None:
        """End one fault, or all of them."""
        for each in [key] if key else list(self._until_s):
            del self._until_s[each]
            self._driver.set(**{each: _HEALTHY.get(each.partition("__")[2], 0)})

    def _begin(self, now_s: float) -> None:
        if self._dice.random() < 0.1:
            name, value = self._dice.choice(DRIVER_FAULTS)
            key = name
        else:
            name, value = self._dice.choice(GPU_FAULTS)
            key = f"gpu{self._dice.randrange(self._plan.gpus)}__{name}"
        self.counts[name.replace("__", ".")] += 1
        self._until_s[key] = now_s + self._dice.uniform(1.0, self._plan.fault_s)
        self._driver.set(**{key: value})


class Outages:
    """Kills the collector now and then and starts it again later."""

    def __init__(self, collector: CollectorProcess, plan: Plan, dice: random.Random) -> None:
        self.kills = 0
        self.away_s = 0.0
        self._collector = collector
        self._plan = plan
        self._dice = dice
        self._back_s: float | None = None

    def beat(self, now_s: float) -> None:
        """Perhaps kill it; start it when it was away long enough."""
        if self._back_s is not None and now_s >= self._back_s:
            self.end()
        elif self._back_s is None and self._dice.random() < self._plan.kills_per_s * BEAT_S:
            self.kills += 1
            away_s = self._dice.uniform(0.5, self._plan.away_s)
            self.away_s += away_s
            self._back_s = now_s + away_s
            self._collector.stop(kill=self._dice.random() < 0.7)

    def end(self) -> None:
        """Have the collector there."""
        if self._back_s is not None:
            self._back_s = None
            self._collector.start()
