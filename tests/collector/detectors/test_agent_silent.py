"""A silent node is told from a blind collector."""

from dataclasses import replace
from typing import Any

import numpy as np
from tests.collector.detectors.builders import NOW, JobSpec, fleet, job, nodes

from ringwatch_collector.detectors.agent_silent import AgentSilent
from ringwatch_collector.view import FleetView
from ringwatch_proto.records import Finding, Severity


def look(quiet_s: list[float], **changed: Any) -> list[Finding]:
    """Run the detector on nodes that have been quiet for so long."""
    view: FleetView = fleet(count=len(quiet_s))
    seen = nodes(len(quiet_s), last_batch_s=NOW - np.array(quiet_s), **changed)
    return AgentSilent().look(replace(view, nodes=seen))


def test_a_node_is_silent_after_eight_missed_batches() -> None:
    """The others report, so it is the node."""
    assert look([0.5, 7.8, 0.5, 0.5]) == []
    (finding,) = look([0.5, 8.2, 0.5, 0.5])
    assert (finding.culprit.node, finding.cause) == ("n001", "agent_silent")
    assert finding.severity is Severity.WARNING


def test_a_closed_stream_is_believed_sooner() -> None:
    """A killed agent closes its stream."""
    connected = np.array([True, False, True, True])
    (finding,) = look([0.5, 2.2, 0.5, 0.5], connected=connected)
    assert finding.culprit.node == "n001"


def test_most_nodes_silent_at_once_blames_no_node() -> None:
    """The collector's own blindness is not the nodes' silence."""
    (finding,) = look([9.0, 9.0, 9.0, 0.5])
    assert finding.culprit.kind == "fleet"


def test_those_that_are_about_to_be_silent_count_with_the_first() -> None:
    """A starved collector loses its nodes one by one within a few seconds: still one finding."""
    assert look([6.0, 5.0, 4.5, 3.0]) == []
    (finding,) = look([8.1, 7.0, 5.5, 3.0])
    assert (finding.culprit.kind, finding.cause) == ("fleet", "many_silent")


def test_nodes_that_went_at_different_times_are_told_apart() -> None:
    """An hour between them is no common cause."""
    found = look([3600.0, 1800.0, 900.0, 0.5])
    assert {finding.culprit.node for finding in found} == {"n000", "n001", "n002"}


def test_drained_nodes_may_be_silent() -> None:
    """A drained node is expected to go away."""
    assert look([0.5, 50.0, 0.5, 0.5], drained=np.array([False, True, False, False])) == []


def test_a_collector_that_just_began_waits() -> None:
    """Agents come back one by one after a restart."""
    view = replace(fleet(count=4), nodes=nodes(4, last_batch_s=NOW - np.array([0.5, 9.0, 0.5, 0.5])))
    assert AgentSilent().look(replace(view, started_s=NOW - 5.0)) == []
    assert len(AgentSilent().look(view)) == 1


def test_a_node_that_a_job_runs_on_is_critical() -> None:
    """And the job is named as the one that is in danger."""
    view = fleet(job(JobSpec(steps=20)))
    seen = nodes(4, last_batch_s=NOW - np.array([0.5, 9.0, 0.5, 0.5]))
    (finding,) = AgentSilent().look(replace(view, nodes=seen))
    assert finding.severity is Severity.CRITICAL
    assert [victim.job for victim in finding.victims] == ["llm"]


def test_a_node_that_never_came_back_is_silent_since_the_collector_began() -> None:
    """An earlier collector knew it."""
    (finding,) = look([0.5, np.inf, 0.5, 0.5])
    assert finding.onset_s == NOW - 3000.0
