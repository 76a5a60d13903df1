"""An operator who walks incidents through the Runs service of a real collector, as the console does."""

from __future__ import annotations

import time
from typing import Any

import grpc

from ringwatch_drills.watching import Watcher
from ringwatch_proto.v1 import query_pb2, query_pb2_grpc, runs_pb2, runs_pb2_grpc

PAGE_S = 60.0
_STEP_S = 120.0
_ENDED = ("succeeded", "mitigated", "no_fault", "redirected", "handed_over", "failed", "aborted")


class Operator:
    """Ana, who walks one run through the Runs service as console and command line do."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._runs: Any = runs_pb2_grpc.RunsStub(self._channel)
        self._query: Any = query_pb2_grpc.QueryStub(self._channel)
        self.run = runs_pb2.Run()

    def __enter__(self) -> Operator:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def start(self, incident: str, runbook: str) -> None:
        """Begin a run and go on to its first question."""
        request = runs_pb2.StartRunRequest(incident=incident, runbook=runbook, author="ana")
        self.run = self._runs.StartRun(request)
        self._settle("")

    def say(self, step: str, action: str, text: str) -> None:
        """Answer the step that waits."""
        assert self.run.current == step, self.run
        before = self.told(step)
        request = runs_pb2.AnswerRequest(run=self.run.id, step=step, action=action, text=text, author="ana")
        self.run = self._runs.Answer(request)
        self._settle(before)

    def approve(self, step: str) -> None:
        """Approve an action by typing its target."""
        assert self.run.current == step, self.run
        self.say(step, "approve", self.step(step).typed_target)

    def by_hand(self, step: str) -> None:
        """Say that a command, which no adapter runs here, was run elsewhere."""
        assert self.step(step).way == "manual", self.run
        self.approve(step)
        self.say(step, "answer", "done")

    def step(self, id: str) -> runs_pb2.RunStep:
        """Return a step of the run."""
        return next(step for step in self.run.steps if step.id == id)

    def told(self, id: str) -> str:
        """Return how a step stands, to see that it moved."""
        return str(self.step(id))

    def audited(self) -> query_pb2.AuditList:
        """Return the audit log."""
        log: query_pb2.AuditList = self._query.ListAudit(query_pb2.ListAuditRequest())
        return log

    def _settle(self, before: str) -> None:
        """Wait until the run ends or asks for something that it did not ask for before."""
        deadline = time.monotonic() + _STEP_S
        while self.run.state not in _ENDED and not self._asks(before):
            assert time.monotonic() < deadline, self.run
            time.sleep(0.2)
            self.run = self._runs.GetRun(runs_pb2.GetRunRequest(id=self.run.id))

    def _asks(self, before: str) -> bool:
        return self.run.state == "waiting" and self.told(self.run.current) != before

    def closes(self, watcher: Watcher, incident: str, action: str) -> None:
        """Assert that the walk ended well, the book closed the incident, and the log says by whom."""
        assert (self.run.state, self.run.path[-1]) == ("succeeded", "repaired"), self.run
        log = self.audited()
        done = [each for each in log.records if each.action == f"action.{action}"]
        assert log.chain_intact
        assert done[-1].result.startswith("done"), done
        assert {(each.actor, each.incident) for each in done} == {("ana", incident)}
        closed = watcher.wait_for(
            10.0,
            lambda fleet: [each.state for each in fleet.incidents if each.id == incident] == ["resolved"],
        )
        assert closed is not None, watcher.fleet().incidents


def paged(watcher: Watcher, kind: str) -> query_pb2.Incident:
    """Return the open incident of a kind, once it is there."""

    def there(fleet: query_pb2.Fleet) -> bool:
        return any(each.kind == kind for each in fleet.incidents)

    fleet = watcher.wait_for(PAGE_S, there)
    assert fleet is not None, watcher.fleet()
    return next(each for each in fleet.incidents if each.kind == kind)
