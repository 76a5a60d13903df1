"""How much may be touched at once: counts what open and recent runs did. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ringwatch_proto.records import Subject
from ringwatch_runbooks.base import Facts
from ringwatch_runbooks.model import Action
from ringwatch_runbooks.record import ActRecord, RunRecord
from ringwatch_runbooks.safety import Policy

NODES: Final = "fleet.nodes"
NODES_OUT: Final = "fleet.nodes_out"


def refusal(runs: Iterable[RunRecord], run: RunRecord, action: Action, target: str, now_s: float) -> str:
    """Return which limit of the action one more use would break, empty when none."""
    limits = action.limits
    done = list(_acts(runs, action.id, now_s - limits.window_s))
    on_incident = sum(other.incident == run.incident for other, _ in done)
    if limits.incident and on_incident >= limits.incident:
        return (
            f"{action.id} was done {on_incident} times for {run.incident} in {_time(limits.window_s)}, "
            f"its limit is {limits.incident}: hand over"
        )
    job = run.target.job
    in_job = {act.target for other, act in done if job and other.target.job == job} - {target}
    if limits.job and len(in_job) >= limits.job:
        return _over(action.id, in_job, limits.job, f"of job {job}", limits.window_s)
    in_fleet = {act.target for _, act in done} - {target}
    if limits.fleet and len(in_fleet) >= limits.fleet:
        return _over(action.id, in_fleet, limits.fleet, "of the fleet", limits.window_s)
    return ""


def _over(action: str, targets: set[str], limit: int, of: str, window_s: float) -> str:
    names = ", ".join(sorted(targets)[:5])
    return (
        f"{action} was done to {len(targets)} targets {of} in {_time(window_s)} ({names}), its limit is "
        f"{limit}: look for one cause first"
    )


def _time(seconds: float) -> str:
    return f"{seconds / 3600:g} h" if seconds >= 3600 else f"{seconds / 60:g} min"


def _acts(runs: Iterable[RunRecord], action: str, since_s: float) -> Iterator[tuple[RunRecord, ActRecord]]:
    """Yield each use since then; one that is under way counts however old it is."""
    for run in runs:
        for act in run.acts:
            under_way = run.live and not act.outcome
            if act.action == action and act.outcome != "refused" and (act.at_s >= since_s or under_way):
                yield run, act


def too_many_out(facts: Facts, policy: Policy, target: Subject, held: Iterable[str]) -> str:
    """Return why no further node may be taken out of service, empty when one may.

    How many are out is read from the fleet; when that is not known nothing is taken out. ``held`` are
    nodes that runs took out: those that the fleet does not show as out are counted too. A node that is
    out already takes nothing more away.
    """
    if target.node in held or _is_out(facts, target):
        return ""
    nodes, out = facts.read(NODES, target), facts.read(NODES_OUT, target)
    if nodes is None or out is None:
        return "how many nodes are out of service is not known"
    unseen = [node for node in held if not _is_out(facts, Subject(kind="node", node=node))]
    total, gone = int(float(nodes.value)), int(float(out.value)) + len(unseen)
    allowed = max(1, int(total * policy.most_out_percent / 100.0))
    if gone < allowed:
        return ""
    return (
        f"{gone} of {total} nodes are out of service, at most {allowed} may be "
        f"({policy.most_out_percent:g} %): look for one cause first"
    )


def _is_out(facts: Facts, target: Subject) -> bool:
    drained, connected = facts.read("node.drained", target), facts.read("node.connected", target)
    return (drained is not None and drained.value is True) or (
        connected is not None and connected.value is False
    )
