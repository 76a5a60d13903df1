"""A rank that is really stopped, from page to verified close, through a real agent and its policy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.e2e.operator_at_work import Operator, paged

from ringwatch_drills.lab.cluster import Lab
from ringwatch_drills.lab.faults import BY_NAME
from ringwatch_drills.lab.trial import Trial
from ringwatch_drills.lab.undo import only_lab
from ringwatch_drills.watching import Watcher

pytestmark = [pytest.mark.root, pytest.mark.torch, pytest.mark.timeout(300)]


@pytest.fixture
def trial() -> Iterator[Trial]:
    """A collector, two agents and a job over Gloo that has learned its step time."""
    with only_lab(wait_s=30.0) as undo:
        undo.undo()
        lab: Lab | None = None
        trial: Trial | None = None
        try:
            lab = Lab(2, undo)
            trial = Trial(lab, BY_NAME["hang"], lab.nodes[1], print)
            trial.warm_up()
            yield trial
        finally:
            if trial is not None:
                trial.close()
            if lab is not None:
                lab.close()
            assert undo.undo() == []


def test_a_stopped_rank_goes_on_and_the_incident_is_closed(trial: Trial) -> None:
    """SIGSTOP is found, SIGCONT is approved, and the job has to make steps for half a minute."""
    trial.inject()
    address = trial.cluster.address
    watcher = Watcher(address)
    try:
        incident = paged(watcher, "job.hang")
        assert incident.culprit.node == trial.cluster.lab.nodes[1].name
        with Operator(address) as operator:
            operator.start(incident.id, "hang")
            operator.say("stopped", "answer", "let it go on")
            operator.approve("go_on")
            assert operator.step("go_on").way == "verb"
            operator.closes(watcher, incident.id, "continue_process")
        assert watcher.fleet().jobs[0].state == "running"
    finally:
        watcher.close()
