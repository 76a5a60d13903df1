"""The answers about one job and one node in depth, None for one that is not known."""

from __future__ import annotations

from ringwatch_collector.answers import jobs, node_detail
from ringwatch_collector.answers.fleet import FleetAnswers
from ringwatch_collector.fleet.state import FleetState
from ringwatch_proto.v1 import query_pb2


def of_job(answers: FleetAnswers, fleet: FleetState, name: str, steps: int) -> query_pb2.JobDetail | None:
    """Return a job with its last steps."""
    kept = fleet.jobs.get(name)
    view = answers.view()
    job = next((each for each in view.jobs if each.job == name), None)
    if kept is None or job is None:
        return None
    return jobs.detail(job, kept, view, answers.standing(), steps)


def of_node(
    answers: FleetAnswers, fleet: FleetState, name: str, seconds: float
) -> query_pb2.NodeDetail | None:
    """Return a node with its last seconds."""
    node = fleet.nodes.get(name)
    if node is None:
        return None
    view = answers.view()
    incidents = [incident.id for incident in answers.standing().of_node(node.name)]
    return node_detail.detail(node, answers.nodes(view).summary(node), view, seconds, incidents)
