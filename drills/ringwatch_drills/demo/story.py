"""The demo told as events: what is up, what was learned, what broke, what Ringwatch says about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from ringwatch_drills.demo.stage import DemoError, Stage
from ringwatch_drills.truth import Struck, describe, judge
from ringwatch_drills.watching import Watcher, has_learned
from ringwatch_proto.v1 import query_pb2

LEARN_S: Final = 120.0
ANSWER_S: Final = 120.0
_JOBS: Final = 2

Event = dict[str, Any]


class Story:
    """One demo from start to answer, as a sequence of events."""

    def __init__(self, stage: Stage, fault: str, after_s: float) -> None:
        self._stage, self._fault, self._after_s = stage, fault, after_s
        self._watcher = Watcher(stage.address)
        self._said: dict[str, Event] = {}

    def prepare(self) -> Iterator[Event]:
        """Start everything; the last event says that both jobs' step times are learned."""
        began = time.monotonic()
        self._stage.start_collector()
        yield _phase("collector_up", address=self._stage.address)
        self._stage.start_agent()
        self._stage.start_fleet()
        yield _phase("fleet_started", nodes=self._stage.nodes, simulated=True)
        fleet = self._wait(LEARN_S, lambda fleet: fleet.health.nodes_reporting >= self._stage.nodes)
        yield _phase("nodes_report", nodes=fleet.health.nodes_reporting, rules=fleet.health.rules_active)
        jobs = min(_JOBS, self._stage.nodes)
        fleet = self._wait(LEARN_S, lambda fleet: has_learned(fleet, jobs))
        learned = {job.job: round(job.baseline_step_s, 3) for job in fleet.jobs}
        yield _phase("jobs_learned", baseline_step_s=learned)
        time.sleep(max(0.0, self._after_s - (time.monotonic() - began)))

    def strike(self) -> tuple[Struck, Event]:
        """Let the fault begin."""
        begun = self._stage.begin(self._fault)
        struck = Struck(node=begun["node"], job=begun["job"], rank=begun["rank"], device=begun["gpu"])
        return struck, _phase("fault_begun", **begun)

    def answer(self, struck: Struck) -> Iterator[Event]:
        """Follow the incidents until the right one is named or time is up; ``result`` comes last."""
        began = time.monotonic()
        reason = "no incident"
        for fleet in self._watcher.follow(ANSWER_S):
            self._stage.check_alive()
            yield from self._changes(fleet.incidents)
            judged = judge(self._fault, struck, fleet.incidents)
            if judged.named and judged.incident is not None:
                yield {
                    "event": "result",
                    "correct": True,
                    "delay_s": round(time.monotonic() - began, 2),
                    "incident": judged.incident.id,
                    "reason": judged.reason,
                }
                return
            reason = judged.reason or reason
        yield {
            "event": "result",
            "correct": False,
            "reason": f"not found within {ANSWER_S:.0f} s: {reason}",
        }

    def close(self) -> None:
        """Let go of the connection."""
        self._watcher.close()

    def _wait(self, seconds: float, holds: Callable[[query_pb2.Fleet], bool]) -> query_pb2.Fleet:
        last = query_pb2.Fleet()
        for fleet in self._watcher.follow(seconds):
            self._stage.check_alive()
            last = fleet
            if holds(fleet):
                return fleet
        raise DemoError(f"after {seconds:.0f} s: {_state_of(last)}")

    def _changes(self, incidents: Iterator[query_pb2.Incident] | Any) -> Iterator[Event]:  # noqa: ANN401 - repeated field
        for incident in incidents:
            told = _told(incident)
            # The numbers in a summary move at every look; what is concluded does not.
            concluded = {key: value for key, value in told.items() if key != "summary"}
            before = self._said.get(incident.id)
            if concluded == before:
                continue
            self._said[incident.id] = concluded
            yield {"event": "incident_opened" if before is None else "incident_updated", **told}


def _phase(name: str, **more: Any) -> Event:  # noqa: ANN401 - JSON values
    return {"event": "phase", "phase": name, "at_s": round(time.time(), 3), **more}


def _told(incident: query_pb2.Incident) -> Event:
    culprit = incident.culprit
    return {
        "id": incident.id,
        "state": incident.state,
        "kind": incident.kind,
        "culprit": {
            "kind": culprit.kind,
            "node": culprit.node,
            "device": culprit.device,
            "job": culprit.job,
            "rank": culprit.rank if culprit.kind == "rank" else None,
        },
        "cause": incident.cause,
        "verdict": incident.verdict,
        "pages": incident.pages,
        "summary": incident.summary,
        "runbooks": list(incident.runbooks),
    }


def _state_of(fleet: query_pb2.Fleet) -> str:
    jobs = ", ".join(f"{job.job} {job.state} step {job.step}" for job in fleet.jobs) or "no jobs"
    told = "; ".join(f"{each.id} {describe(each)}" for each in fleet.incidents) or "no incidents"
    return f"{fleet.health.nodes_reporting} nodes report, {jobs}; {told}"
