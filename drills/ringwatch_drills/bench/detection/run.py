"""One simulated run under the real detectors, fusion and incident book. Judges nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ringwatch_drills.bench.detection.devices import Devices
from ringwatch_drills.bench.detection.feed import Feed, Processes, states_of
from ringwatch_drills.bench.detection.physics import Array, Job, Step
from ringwatch_drills.bench.detection.scenario import Scenario, Trouble
from ringwatch_drills.bench.detection.troubles import BEGIN
from ringwatch_drills.bench.detection.watch import BEGIN_S, Watch
from ringwatch_drills.bench.detection.world import World
from ringwatch_proto.records import Incident

_EPS_S: Final = 1e-6


@dataclass(slots=True, kw_only=True)
class Series:
    """What the published rules are given: own work, waits and job step of each rank and step."""

    ended_s: list[float] = field(default_factory=list)
    own_s: list[Array] = field(default_factory=list)  # work and waiting for data
    step_s: list[float] = field(default_factory=list)
    wait_s: list[Array] = field(default_factory=list)
    transfer_s: list[Array] = field(default_factory=list)  # sums over operations, a rank


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What came of one run. Times count from its begin; ``paged_s`` says when each incident first paged."""

    scenario: Scenario
    paged_s: dict[str, float]  # incident id -> when it first paged
    last: tuple[Incident, ...]
    series: Series
    onset_s: dict[int, float]  # trouble -> when it took hold
    steps_ended_s: tuple[float, ...]
    looks: int


class Run:
    """Advances the world and lets the detectors look."""

    def __init__(self, scenario: Scenario) -> None:
        job, devices = Job(scenario, BEGIN_S), Devices(scenario)
        ranks = scenario.shape.ranks
        self.world = World(
            scenario=scenario,
            job=job,
            devices=devices,
            feed=Feed(job, devices, BEGIN_S),
            processes=Processes(
                stopped=np.zeros(ranks, np.bool_),
                alive=np.ones(ranks, np.bool_),
                letter=np.full(ranks, ord("S")),
                throttled=np.zeros(ranks),
                runqueue=np.full(ranks, 0.004),
            ),
            dice=np.random.default_rng([scenario.seed, 3]),
        )
        self._watch = Watch(self.world.feed.fleet)
        self._waiting: list[tuple[int, Trouble]] = list(enumerate(scenario.troubles))
        self._onset_s: dict[int, float] = {}
        self._series = Series()
        self._read_s = 0.0

    def go(self) -> Ran:
        """Run to the end and return what was opened when."""
        scenario, now_s = self.world.scenario, BEGIN_S
        self._advance(now_s)
        while now_s < BEGIN_S + scenario.lasts_s:
            now_s += self._pace_s(now_s - BEGIN_S)
            self._advance(now_s)
            self._watch.look(now_s)
        return Ran(
            scenario=scenario,
            paged_s=self._watch.paged_s,
            last=self._watch.incidents(),
            series=self._series,
            onset_s=self._onset_s,
            steps_ended_s=tuple(each - BEGIN_S for each in self._series.ended_s),
            looks=self._watch.looks,
        )

    def _pace_s(self, at_s: float) -> float:
        scenario = self.world.scenario
        dense = scenario.onset_s <= at_s + scenario.look_s and at_s < scenario.onset_s + scenario.dense_s
        return 0.5 if dense else scenario.look_s

    def _advance(self, now_s: float) -> None:
        world = self.world
        self._begin_due(min(now_s, world.job.now.done_s))
        while world.job.now.done_s <= now_s - _EPS_S:
            self._record(world.job.now)
            world.feed.steps(world.job.now)
            self._begin_due(world.job.now.done_s)
            world.job.next()
        self._begin_due(now_s)
        rest = world.job.now.next_s[np.isfinite(world.job.now.next_s)]
        stuck = 0 < rest.size < world.job.now.next_s.size and rest.max() <= now_s
        if stuck and not world.job.all_wait:
            world.job.next_of_the_rest()
        for due_s, send in [later for later in world.later if later[0] <= now_s]:
            world.later.remove((due_s, send))
            send(now_s)
        # A node is read once a second; between the readings the collector looks at what it has.
        if now_s - self._read_s >= 1.0 - _EPS_S:
            world.feed.tick(now_s, states_of(world.job, now_s, world.processes))
            self._read_s = now_s

    def _begin_due(self, now_s: float) -> None:
        for number, trouble in [each for each in self._waiting if BEGIN_S + each[1].after_s <= now_s]:
            self._waiting.remove((number, trouble))
            at_s = BEGIN_S + trouble.after_s
            begin = BEGIN[trouble.kind]
            begin(self.world, trouble, at_s)
            self._onset_s[number] = trouble.after_s

    def _record(self, step: Step) -> None:
        series = self._series
        series.ended_s.append(float(np.median(step.next_s)))
        series.own_s.append((step.work_s + step.data_s).astype(np.float32))
        series.step_s.append(float(np.median(step.next_s - step.begin_s)))
        duration = step.ends_s - step.starts_s
        wait, transfer = np.zeros(step.work_s.size), np.zeros(step.work_s.size)
        for at, operation in enumerate(self.world.job.operations):
            least = duration[at][operation.groups].min(axis=1, keepdims=True)
            wait[operation.groups] += duration[at][operation.groups] - least
            transfer[operation.groups] += least
        series.wait_s.append(wait.astype(np.float32))
        series.transfer_s.append(transfer.astype(np.float32))
