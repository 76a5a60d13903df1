"""One run of the lab: warm up, inject, watch, judge. Says what it saw and decides nothing else."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import grpc

from ringwatch_drills.lab.cluster import JOB, Cluster, Lab
from ringwatch_drills.lab.errors import LabError
from ringwatch_drills.lab.faults import LabFault, struck_by
from ringwatch_drills.lab.network import LabNode
from ringwatch_drills.truth import Judgement, judge
from ringwatch_drills.watching import Watcher, has_learned
from ringwatch_proto.v1 import query_pb2

_WARM_UP_S: Final = 180.0
# After the right incident was seen: time for a wrong one to come as well.
_LINGER_S: Final = 5.0
_NS: Final = 1_000_000_000

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one run gave. Times are Unix seconds; ``delay_s`` is None when nothing was named."""

    fault: str
    target: str
    injected_s: float
    judgement: Judgement
    delay_s: float | None


class Trial:
    """One cluster and one fault."""

    def __init__(self, lab: Lab, fault: LabFault, node: LabNode, say: Say) -> None:
        self._fault, self._node, self._say = fault, node, say
        self.cluster = Cluster(lab)
        self._watcher = Watcher(self.cluster.address)

    def warm_up(self) -> None:
        """Start everything and wait for a learned step time; raise LabError when none is learned."""
        self._say("starting collector, agents and job")
        self.cluster.start()
        self._say("waiting until the job's step time is learned")

        def learned(fleet: query_pb2.Fleet) -> bool:
            self.cluster.check_alive()
            return has_learned(fleet, 1)

        fleet = self._watcher.wait_for(_WARM_UP_S, learned)
        if fleet is None:
            raise LabError(f"the collector learned no step time within {_WARM_UP_S:.0f} s")
        self._say(f"step time {fleet.jobs[0].baseline_step_s * 1000:.0f} ms learned")

    def inject(self) -> float:
        """Begin the fault; return when."""
        injected_s = time.time()
        self._fault.begin(self.cluster, self._node)
        self._say(f"{self._fault.name} on {self._node.name}")
        return injected_s

    def watch(self, injected_s: float) -> Outcome:
        """Watch until the answer is right or the time is up, then judge all of it."""
        named_s: float | None = None
        incidents: list[query_pb2.Incident] = []
        for fleet in self._watcher.follow(self._fault.limit_s):
            incidents = list(fleet.incidents)
            now_s = time.time()
            if named_s is None and self._is_named(incidents):
                named_s = now_s
            if named_s is not None and now_s - named_s > _LINGER_S:
                break
        judgement = self._judge(incidents, injected_s)
        if not judgement.correct:
            self._keep_what_was_seen()
        return Outcome(
            fault=self._fault.name,
            target=self._node.name,
            injected_s=injected_s,
            judgement=judgement,
            delay_s=None if named_s is None else named_s - injected_s,
        )

    def close(self) -> None:
        """End what the run started."""
        self._watcher.close()
        self.cluster.close()

    def _keep_what_was_seen(self) -> None:
        """Write what the collector knows beside the logs: a wrong run is a finding to explain."""
        with contextlib.suppress(grpc.RpcError):
            seen = f"{self._watcher.fleet()}\n{self._watcher.job(JOB)}"
            (self.cluster.folder / "fleet.log").write_text(seen)

    def _is_named(self, incidents: list[query_pb2.Incident]) -> bool:
        return judge(self._fault.name, struck_by(self._node), incidents).named

    def _judge(self, incidents: list[query_pb2.Incident], injected_s: float) -> Judgement:
        early = [each for each in incidents if each.pages and each.opened_ns < injected_s * _NS]
        if early:
            return Judgement(correct=False, incident=early[0], reason="opened before the fault began")
        return judge(self._fault.name, struck_by(self._node), incidents)
