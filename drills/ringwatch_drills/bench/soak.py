"""``ringwatch bench soak``: an agent under random faults for long: does it stay small, does it lose anything.

GPU faults toggle in the emulated driver, kernel lines are written, the collector is killed and started
again. The seed decides what happens when. It measures; what is right is said by ``Soaked.is_right``.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from ringwatch_drills.bench.agent_rig import (
    AgentProcess,
    CollectorProcess,
    Emulator,
    emulator,
    environment_of,
    free_port,
    wait_for,
)
from ringwatch_drills.bench.peers import scrape
from ringwatch_drills.bench.process_cost import Memory, memory, own_memory
from ringwatch_drills.bench.soak_trouble import BEAT_S, FIRST_PID, KernelLog, Outages, Plan, Trouble

_SAMPLE_S: Final = 5.0
_DRAIN_S: Final = 180.0
# A run shorter than this is still warming up in its last third.
_LONG_S: Final = 1200.0
# What is measured over half an hour moves by some hundred kB: a spool that fills while the collector is
# away, a heap that is trimmed once a minute.
_MOST_MB_PER_HOUR: Final = 2.0
_MOST_GROWN_MB: Final = 1.0
# A thread a source, a few of gRPC and of the loop's pool; two that read what readers answer.
_MOST_MAIN_THREADS: Final = 44
# A thread a GPU, and four for start, events, questions and a write verb.
_MOST_READER_THREADS: Final = 12
# The main process, a reader, one that is tried beside it, and two that are stuck in the driver.
_MOST_PROCESSES: Final = 5


@dataclass(slots=True, kw_only=True)
class Trend:
    """What one process has written to: first third, last third, and the slope after the first third."""

    anonymous_mb_first_third: float = 0.0
    anonymous_mb_last_third: float = 0.0
    anonymous_mb_per_hour: float = 0.0
    anonymous_mb_peak: float = 0.0
    threads_peak: int = 0

    @classmethod
    def of(cls, samples: Sequence[tuple[float, Memory]]) -> Trend:
        """Return the trend of some samples, each with its second; there must be one."""
        sizes = [each.anonymous_mb for _, each in samples]
        third = max(1, len(sizes) // 3)
        # Imports, first faults and the first outage lie in the first third: what leaks goes on after it.
        slope = _slope([(at, each.anonymous_mb) for at, each in samples[third:]])
        return cls(
            anonymous_mb_first_third=round(sum(sizes[:third]) / third, 2),
            anonymous_mb_last_third=round(sum(sizes[-third:]) / third, 2),
            anonymous_mb_per_hour=round(slope * 3600, 2),
            anonymous_mb_peak=max(sizes),
            threads_peak=max(each.threads for _, each in samples),
        )


@dataclass(slots=True, kw_only=True)
class Soaked:
    """What came of it. ``twice`` and ``lost`` count kernel lines against the collector's store."""

    seconds: float
    seed: int
    faults: dict[str, int] = field(default_factory=dict)
    collector_kills: int = 0
    collector_away_s: float = 0.0
    lines: int = 0
    lost: int = 0
    twice: int = 0
    events_stored: int = 0
    dropped: dict[str, float] = field(default_factory=dict)
    spool_batches_peak: float = 0.0
    page_silent: int = 0
    beats_missed: float = 0.0
    caught_up_after_s: float = 0.0
    # All processes together: readers that are stuck in the driver, or tried beside one, come and go.
    anonymous_mb_peak: float = 0.0
    threads_peak: int = 0
    threads_end: int = 0
    processes_peak: int = 0
    # The process that lives as long as the agent does.
    main: Trend = field(default_factory=Trend)

    @property
    def is_right(self) -> bool:
        """Return whether each line is stored exactly once, the page always answered, and nothing grew."""
        return not (self.lost or self.twice or self.page_silent) and self.is_flat and self.is_bounded

    @property
    def is_flat(self) -> bool:
        """Return whether the main process kept its size; how steeply it grows shows in a long run only."""
        main = self.main
        steep = self.seconds >= _LONG_S and main.anonymous_mb_per_hour > _MOST_MB_PER_HOUR
        return not steep and main.anonymous_mb_last_third - main.anonymous_mb_first_third <= _MOST_GROWN_MB

    @property
    def is_bounded(self) -> bool:
        """Return whether threads and processes stayed below what the design allows."""
        most_threads = _MOST_MAIN_THREADS + (_MOST_PROCESSES - 1) * _MOST_READER_THREADS
        return (
            self.main.threads_peak <= _MOST_MAIN_THREADS
            and self.threads_peak <= most_threads
            and self.processes_peak <= _MOST_PROCESSES
        )


class Watch:
    """Samples memory, threads and the agent's own numbers."""

    def __init__(self, agent: AgentProcess) -> None:
        self.samples: list[tuple[float, Memory]] = []
        self.main: list[tuple[float, Memory]] = []
        self.numbers: dict[str, float] = {}
        self.spool_peak = 0.0
        self.silent = 0
        self._agent = agent
        self._next_s = 0.0

    def beat(self, now_s: float) -> None:
        """Take a sample when one is due."""
        if now_s < self._next_s:
            return
        self._next_s = now_s + _SAMPLE_S
        self.samples.append((now_s, memory(self._agent.pid)))
        self.main.append((now_s, own_memory(self._agent.pid)))
        try:
            self.look()
        except OSError:
            self.silent += 1

    def look(self) -> None:
        """Read the agent's page."""
        lines = scrape(f"http://{self._agent.metrics}/metrics").splitlines()
        own = (line.rpartition(" ") for line in lines if line.startswith("ringwatch_agent_"))
        self.numbers = {name: float(value) for name, _, value in own}
        self.spool_peak = max(self.spool_peak, self.number("spool_batches"))

    def number(self, name: str) -> float:
        """Return one of the agent's own numbers as of the last look."""
        key = f"ringwatch_agent_{name}"
        return next((value for each, value in self.numbers.items() if each.startswith(key + "{")), 0.0)

    def fill(self, soaked: Soaked) -> None:
        """Write down what the samples say."""
        soaked.main = Trend.of(self.main)
        soaked.anonymous_mb_peak = max(each.anonymous_mb for _, each in self.samples)
        soaked.threads_peak = max(each.threads for _, each in self.samples)
        soaked.threads_end = self.samples[-1][1].threads
        soaked.processes_peak = max(each.processes for _, each in self.samples)
        soaked.spool_batches_peak = self.spool_peak
        soaked.page_silent = self.silent
        soaked.beats_missed = self.number("beats_missed_total")
        soaked.dropped = {
            name.partition('kind="')[2].rstrip('"}'): value
            for name, value in self.numbers.items()
            if name.startswith("ringwatch_agent_dropped_total{")
        }


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the least-squares slope, 0 for less than two points."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    square = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / square if square else 0.0


def _stored_pids(database: Path) -> Iterator[int]:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as store:
        for (fields,) in store.execute(
            "SELECT fields FROM events WHERE kind = 'gpu.xid' AND source = 'kmsg'"
        ):
            yield int(json.loads(fields).get("pid", "0"))


def _count_events(database: Path) -> int:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as store:
        return int(store.execute("SELECT COUNT(*) FROM events").fetchone()[0])


def soak(plan: Plan, folder: Path) -> Soaked:
    """Run the plan in ``folder`` and return what came of it."""
    driver = emulator(folder)
    driver.set(gpus=plan.gpus)
    log, collector = KernelLog(folder / "kmsg"), CollectorProcess(folder)
    where = (collector.start(), f"127.0.0.1:{free_port()}", environment_of(driver))
    agent = AgentProcess(folder, *where, "--kmsg", str(log.path))
    agent.start()
    try:
        return Stage(plan, driver, log, collector, agent).run()
    finally:
        agent.stop()
        collector.stop()


class Stage:
    """One soak: everything that runs, and what is done to it."""

    def __init__(
        self, plan: Plan, driver: Emulator, log: KernelLog, collector: CollectorProcess, agent: AgentProcess
    ) -> None:
        self._plan = plan
        self._log = log
        self._database = collector.database
        self._dice = random.Random(plan.seed)  # noqa: S311 - a plan that can be repeated, not a secret
        self._trouble = Trouble(driver, plan, self._dice)
        self._outages = Outages(collector, plan, self._dice)
        self._watch = Watch(agent)

    def run(self) -> Soaked:
        """Do what the plan says, end all trouble, wait until nothing is under way, and count."""
        wait_for(30.0, self._is_up, "the first stream")
        begin_s = time.monotonic()
        while (now_s := time.monotonic() - begin_s) < self._plan.seconds:
            self._beat(now_s)
            time.sleep(BEAT_S)
        self._trouble.heal()
        self._outages.end()
        caught_up_after_s = wait_for(_DRAIN_S, self._is_level, "catching up")
        return self._count(round(caught_up_after_s, 1))

    def _beat(self, now_s: float) -> None:
        self._trouble.beat(now_s)
        self._outages.beat(now_s)
        if self._dice.random() < self._plan.lines_per_s * BEAT_S:
            self._log.write(0x41 + self._dice.randrange(self._plan.gpus))
        self._watch.beat(now_s)

    def _count(self, caught_up_after_s: float) -> Soaked:
        stored = Counter(_stored_pids(self._database))
        wanted = range(FIRST_PID + 1, FIRST_PID + self._log.lines + 1)
        soaked = Soaked(
            seconds=self._plan.seconds,
            seed=self._plan.seed,
            faults=dict(self._trouble.counts),
            collector_kills=self._outages.kills,
            collector_away_s=round(self._outages.away_s, 1),
            lines=self._log.lines,
            lost=sum(pid not in stored for pid in wanted),
            twice=sum(stored[pid] > 1 for pid in wanted),
            events_stored=_count_events(self._database),
            caught_up_after_s=caught_up_after_s,
        )
        self._watch.fill(soaked)
        return soaked

    def _is_up(self) -> bool:
        try:
            self._watch.look()
        except OSError:  # the page is not there yet
            return False
        return self._watch.number("uplink_connected") == 1

    def _is_level(self) -> bool:
        """Return whether the spool is as good as empty and the newest line is stored."""
        self._watch.look()
        if self._watch.number("spool_batches") > 2:
            return False
        return not self._log.lines or FIRST_PID + self._log.lines in set(_stored_pids(self._database))


def main(argv: Sequence[str]) -> int:
    """Soak once and print one JSON object; 1 when something was lost, told twice, or grew."""
    parser = argparse.ArgumentParser(prog="ringwatch bench soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long")
    parser.add_argument("--seed", type=int, default=1, help="what happens when")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout (the only form)")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="ringwatch-soak-") as folder:
        soaked = soak(Plan(seconds=options.minutes * 60, seed=options.seed), Path(folder))
    told: dict[str, Any] = {**asdict(soaked), "right": soaked.is_right}
    sys.stdout.write(json.dumps(told) + "\n")
    return 0 if soaked.is_right else 1
