"""``ringwatch bench tick``: what a look at the fleet costs, without a network: writing, detectors, learning.

It feeds the fleet state with the messages of ``bench collector`` at a simulated clock and measures the
CPU time of each part. It finds nothing and judges nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import process_time, time
from typing import Final

import numpy as np

from ringwatch_collector.cadence import Cadence
from ringwatch_collector.detectors.all import ALL
from ringwatch_collector.fleet.job import JobPolicy
from ringwatch_collector.fleet.nodes import Node
from ringwatch_collector.fleet.state import FleetPolicy, FleetState
from ringwatch_collector.fusion import fuse
from ringwatch_drills.bench.collector_messages import (
    Bytes,
    Load,
    Templates,
    hello,
    node_name,
    steps_now,
)
from ringwatch_proto.records import Finding
from ringwatch_proto.v1 import telemetry_pb2 as wire

_LOOKS_A_S: Final = 2


@dataclass(slots=True)
class Costs:
    """CPU seconds by part, over the seconds that were measured."""

    parts: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    looks_ms: list[float] = field(default_factory=list)
    findings: int = 0


class Simulation:
    """A fleet state that is fed a second at a time."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._templates = (Templates(load, stepping=False), Templates(load))
        self.now_s = float(int(time()))
        self.state = FleetState(FleetPolicy(job=JobPolicy()), Counter(), self.now_s - 60.0)
        self.nodes: list[Node] = []
        self._second = 0

    def admit(self) -> None:
        """Take every node's Hello."""
        for number in range(self._load.nodes):
            said = wire.AgentMessage.FromString(hello(self._load, number)).hello
            self.nodes.append(self.state.hello(said, self.now_s))
            self.state.connected(node_name(number), connected=True)

    def batches(self) -> list[wire.Batch]:
        """Return the next second's batch of every node."""
        self._second += 1
        self.now_s += 1.0
        stepping = steps_now(self._load, np.arange(len(self.nodes)), self._second)
        found: list[wire.Batch] = []
        kinds = [self._rows(template) for template in self._templates]
        for node, steps in enumerate(stepping.tolist()):
            found.append(wire.AgentMessage.FromString(kinds[steps][node].tobytes()).batch)
        return found

    def _rows(self, template: Templates) -> Bytes:
        rows = np.tile(np.frombuffer(template.message, np.uint8), (len(self.nodes), 1))
        wall_ns = round((self.now_s - 0.2) * 1e9)
        template.fill(rows, number=self._second, wall_ns=wall_ns, monotonic_ns=self._second * 10**9)
        return rows

    def take(self, batches: Sequence[wire.Batch], share: slice) -> None:
        """Take the batches of a part of the nodes."""
        for node, batch in zip(self.nodes[share], batches[share], strict=True):
            self.state.batch(node, batch, node.name, self.now_s)


def measure(load: Load, warm_s: int) -> Costs:
    """Feed ``warm_s`` seconds unmeasured, then ``load.seconds`` measured."""
    simulation, costs = Simulation(load), Costs()
    simulation.admit()
    for _ in range(warm_s):
        simulation.take(simulation.batches(), slice(None))
        simulation.state.learn(simulation.now_s, ())
    for _ in range(int(load.seconds)):
        batches = simulation.batches()
        middle = load.nodes // _LOOKS_A_S
        for share in (slice(middle), slice(middle, None)):
            _look(simulation, batches, share, costs)
    return costs


def _look(simulation: Simulation, batches: Sequence[wire.Batch], share: slice, costs: Costs) -> None:
    began_s = process_time()
    simulation.take(batches, share)
    at_s = _spent(costs, "gather", began_s)
    simulation.state.settle()
    at_s = look_s = _spent(costs, "write", at_s)
    view = simulation.state.view(simulation.now_s)
    at_s = _spent(costs, "view", at_s)
    findings: list[Finding] = []
    for detector in ALL:
        findings += detector.look(view)
        at_s = _spent(costs, detector.name, at_s)
    fuse(findings, view)
    at_s = _spent(costs, "fusion", at_s)
    simulation.state.learn(simulation.now_s, ())
    _spent(costs, "learn", at_s)
    costs.looks_ms.append((process_time() - look_s) * 1000)
    costs.findings += len(findings)


def _spent(costs: Costs, part: str, since_s: float) -> float:
    now_s = process_time()
    costs.parts[part] += now_s - since_s
    return now_s


def at_cadence(ms_per_s: Mapping[str, float]) -> float:
    """Return what rules cost as the collector asks them, of what each costs when asked at every look."""
    cadence = Cadence()
    for name, cost_ms in ms_per_s.items():
        cadence.note(name, cost_ms / 1000 / _LOOKS_A_S)
    if cadence.period_s <= 1.0 / _LOOKS_A_S:
        return sum(ms_per_s.values())
    now_s = cadence.period_s
    cadence.due(ms_per_s, now_s)
    always = cadence.due(ms_per_s, now_s)
    costly = sum(cost_ms for name, cost_ms in ms_per_s.items() if name not in always)
    return sum(ms_per_s[name] for name in always) + costly / _LOOKS_A_S / cadence.period_s


def main(argv: Sequence[str]) -> int:
    """Measure once and print one JSON object."""
    parser = argparse.ArgumentParser(prog="ringwatch bench tick", description=__doc__)
    parser.add_argument("--ranks", type=int, default=100_000, help="ranks, eight a node")
    parser.add_argument("--jobs", type=int, default=98, help="training jobs that they belong to")
    parser.add_argument("--step-s", type=float, default=5.0, help="seconds of a training step")
    parser.add_argument("--seconds", type=int, default=10, help="seconds that are measured")
    parser.add_argument("--warm", type=int, default=150, help="seconds before, until references are learned")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout (the only form)")
    options = parser.parse_args(argv)
    nodes = max(1, options.ranks // 8)
    load = Load(
        nodes=nodes,
        seconds=options.seconds,
        step_s=options.step_s,
        job_nodes=-(-nodes // options.jobs),
    )
    costs = measure(load, options.warm)
    by_part = {name: round(1000 * spent / options.seconds, 2) for name, spent in costs.parts.items()}
    rules = {detector.name: by_part[detector.name] for detector in ALL}
    found = {
        "ranks": nodes * 8,
        "jobs": options.jobs,
        "detectors_ms_per_s": round(sum(rules.values()), 1),
        "detectors_at_cadence_ms_per_s": round(at_cadence(rules), 1),
        "all_ms_per_s": round(sum(by_part.values()), 1),
        "look_ms_p50": round(float(np.percentile(costs.looks_ms, 50)), 1),
        "look_ms_max": round(max(costs.looks_ms), 1),
        "findings": costs.findings,
        "ms_per_s": dict(sorted(by_part.items(), key=lambda item: -item[1])),
    }
    sys.stdout.write(json.dumps(found) + "\n")
    return 0
