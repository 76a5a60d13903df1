"""Dead rank: which process of a job went first, and what killed it. The others that fell are victims."""

from __future__ import annotations

import re
import signal
from typing import Final

import numpy as np

from ringwatch_collector.detectors.confidence import DIRECT, READING, agreed
from ringwatch_collector.detectors.happened import ORDER_S, SAID_S, evidence_of, live, number
from ringwatch_collector.detectors.rank_killers import End, killer_of, unknown_killer
from ringwatch_collector.view import FleetView, JobView, SeenEvent
from ringwatch_proto import events
from ringwatch_proto.records import (
    Bearing,
    Evidence,
    Finding,
    IncidentKind,
    RuledOut,
    Severity,
    Subject,
    Why,
)

# Ends of ranks further apart than this are two stories.
BURST_S: Final = 15.0
# Those who only say that a peer is lost waited for it as long as PyTorch's watchdog does: ten minutes by
# default.
WATCHDOG_S: Final = 900.0
# A node whose batches come later may hold the earlier death: wait for it this long, no longer.
HEARD_S: Final = 0.3
HEARD_AT_MOST_S: Final = 1.5
# What a rank says when another one has gone: it is a victim, whoever spoke first.
_VICTIM_WORDS: Final = re.compile(
    r"connection (?:closed|reset|refused)|closed by peer|reset by peer|broken pipe|timed? ?out|gloo|nccl"
    r"|remote|sigterm|signal 15|terminat",
    re.IGNORECASE,
)


class RankDied:
    """Takes the first death of a burst for the cause of the others."""

    @property
    def name(self) -> str:
        """Stable name."""
        return "job.rank_died"

    def look(self, view: FleetView) -> list[Finding]:
        """Return one finding a job whose ranks died just now."""
        jobs = {job.job: job for job in view.jobs}
        findings = []
        for name, ends in _bursts(view).items():
            if _heard_from_all(view, jobs.get(name), ends):
                findings.append(_finding(view, name, jobs.get(name), ends))
        return findings


def _bursts(view: FleetView) -> dict[str, list[End]]:
    """Return the newest burst of bad ends of each job that is not over yet and was not taken back."""
    by_job: dict[str, list[End]] = {}
    for event in live(view, events.RANK_DIED, events.RANK_LEFT):
        end = _end(event)
        if end is not None:
            by_job.setdefault(event.fields["job"], []).append(end)
    for event in live(view, events.RANK_JOINED):
        # Whoever joined again under the same rank has begun a new story.
        kept = by_job.get(event.fields.get("job", ""), [])
        kept[:] = [e for e in kept if e.rank != number(event, "rank") or e.event.at_s >= event.at_s]
    bursts = {job: _newest_burst(ends) for job, ends in by_job.items() if ends}
    return {
        job: ends
        for job, ends in bursts.items()
        if view.now_s - max(end.event.received_s for end in ends) <= SAID_S
    }


def _end(event: SeenEvent) -> End | None:
    reason = event.fields.get("reason", "")
    silent = event.kind == events.RANK_DIED
    if not event.fields.get("job") or (not silent and not reason.startswith("exception")):
        return None
    told = number(event, "signal") == signal.SIGTERM or _VICTIM_WORDS.search(reason) is not None
    return End(
        event=event, rank=number(event, "rank"), pid=number(event, "pid"), silent=silent, follower=told
    )


def _newest_burst(ends: list[End]) -> list[End]:
    ends = sorted(ends, key=lambda end: end.event.at_s)
    first = len(ends) - 1
    while first > 0 and ends[first].event.at_s - ends[first - 1].event.at_s <= _apart_s(ends[first:]):
        first -= 1
    return ends[first:]


def _apart_s(burst: list[End]) -> float:
    """Return how much earlier an end may be and still belong: watchdogs speak minutes after a death."""
    return WATCHDOG_S if all(end.follower and not end.silent for end in burst) else BURST_S


def _heard_from_all(view: FleetView, job: JobView | None, ends: list[End]) -> bool:
    """Tell whether an earlier death cannot be on its way any more."""
    first = min(ends, key=lambda end: end.event.received_s).event
    if job is None or view.now_s - first.received_s >= HEARD_AT_MOST_S:
        return True
    nodes = np.unique(np.asarray(job.node_of))
    last = np.asarray(view.nodes.last_batch_s)[nodes[nodes >= 0]]
    return bool((last >= first.at_s + HEARD_S).all())


def _first(ends: list[End]) -> End:
    """Return the end that the others follow from.

    Who was killed comes before who raised an exception, for the exception of a peer's loss can be
    stamped before the agent saw the loss; and who says that a peer had gone comes last.
    """
    return min(ends, key=lambda end: (end.follower, not end.silent, end.event.at_s))


def _finding(view: FleetView, name: str, job: JobView | None, ends: list[End]) -> Finding:
    first = _first(ends)
    others = [end for end in ends if end is not first]
    known = not (first.follower and not first.silent)
    culprit = _subject(name, job, first) if known else Subject(kind="none", job=name)
    killer = killer_of(view, first) if known else unknown_killer()
    rivals = [end for end in others if end.silent == first.silent and end.follower == first.follower]
    close = any(abs(end.event.at_s - first.event.at_s) < ORDER_S and end.event.node != first.event.node
                for end in rivals)  # fmt: skip
    where = f"rank {first.rank} of {name} on {first.event.node}"
    return Finding(
        kind=IncidentKind.RANK_DIED,
        detector="job.rank_died",
        culprit=culprit,
        cause=killer.cause,
        verdict=killer.verdict,
        severity=Severity.CRITICAL,
        confidence=agreed(READING) if close or not known else agreed(DIRECT),
        onset_s=first.event.at_s,
        summary=f"{where} {killer.text}"
        if known
        else f"ranks of {name} lost each other; none is known to be first",
        evidence=(*(_word(end, close) for end in (first, *others[:7])), *killer.evidence),
        ruled_out=tuple(_ruled_out(first, end) for end in others[:7]) if known else (),
        unsure=(*killer.unsure, *(("two ranks died within clock error of each other",) if close else ())),
        why=_why(ends, first),
        gpus_held=float(job.ranks.size if job is not None else len(ends)),
        latched=True,
        victims=(Subject(kind="job", job=name), *(_subject(name, job, end) for end in others)),
    )


def _subject(name: str, job: JobView | None, end: End) -> Subject:
    at = np.flatnonzero(np.asarray(job.ranks) == end.rank) if job is not None else np.zeros(0, np.int64)
    gpu = job.gpu_of[int(at[0])] if job is not None and at.size else ""
    return Subject(kind="rank", node=end.event.node, device=gpu, job=name, rank=end.rank)


def _word(end: End, uncertain: bool) -> Evidence:
    return evidence_of(end.event, Bearing.SUPPORTS if end.silent else Bearing.CONTEXT, uncertain=uncertain)


def _ruled_out(first: End, other: End) -> RuledOut:
    later_s = other.event.at_s - first.event.at_s
    order = "after" if later_s >= 0 else "before"
    how = (
        "said that a peer had gone" if other.follower else "ended" if other.silent else "raised an exception"
    )
    return RuledOut(
        cause=f"rank {other.rank} ({other.event.node})",
        reason=f"it {how} {abs(later_s):.2f} s {order} rank {first.rank} was gone",
    )


def _why(ends: list[End], first: End) -> Why:
    return Why(
        rule="of ranks that end within a short time the first to vanish is the cause; those after it, and "
        "those whose last words are a lost peer, are victims",
        source="any fail-stop of one rank ends all others within a second (Mycroft, SOSP 2025)",
        inputs={
            "ranks_ended": float(len(ends)),
            "span_s": max(end.event.at_s for end in ends) - first.event.at_s,
        },
        thresholds={"burst_s": BURST_S, "order_s": ORDER_S},
    )
