"""Slow collective and slow link: transfers take longer than they did while no rank is late. No straggler."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from ringwatch_collector.detectors.confidence import HINT, READING, agreed
from ringwatch_collector.detectors.cover import cover_of
from ringwatch_collector.detectors.flows import SlowLink, slow_link
from ringwatch_collector.detectors.held import held_rank
from ringwatch_collector.detectors.pace import Pace, pace_of
from ringwatch_collector.detectors.places import gpus_held, nobody_in, percent, seconds
from ringwatch_collector.detectors.robust import Array
from ringwatch_collector.detectors.slow_place import Place, by_cover, by_flow
from ringwatch_collector.detectors.transfer_rise import LEAST_RATIO, RECENT_S, Rise, rises_of
from ringwatch_collector.detectors.waits import waits_of
from ringwatch_collector.detectors.window import Window, working_windows
from ringwatch_collector.view import FleetView, JobView
from ringwatch_proto.records import (
    Bearing,
    Evidence,
    Finding,
    IncidentKind,
    RuledOut,
    Severity,
    Subject,
    Verdict,
    Why,
)

LEAST_STEPS: Final = 12
# With a link that the flows name a smaller rise is believed than without.
NAMED_RATIO, NAMED_S = LEAST_RATIO, 4.0
UNNAMED_RATIO, UNNAMED_S = 2.0, 10.0
# Busy for this share of the transfers: 0.46 and 0.51 were seen of flows that started again after pauses.
BUSY_OF_TRANSFER: Final = 0.7
LEAST_SLOWER: Final = 1.05
CRITICAL_SLOWER: Final = 1.2
# A rise that makes up less than this share of what a step grew is not why the job is slow.
GROWTH_SHARE: Final = 0.25
# Lateness that makes up more than this share of the rise means that somebody is late.
LATE_SHARE: Final = 0.5
HELD_SHARE: Final = 0.05
# Of hundreds of slow groups so many tell whether somebody is late.
MOST_GROUPS: Final = 16
# Ranks that wait for a CPU this often measure the host, not the network.
BUSY_HOSTS: Final = 0.2


class SlowCollective:
    """Compares the least duration in each group with what it was, then asks the flows which link."""

    @property
    def name(self) -> str:
        """Stable name."""
        return "network.slow_collective"

    def look(self, view: FleetView) -> list[Finding]:
        """Return one finding a job whose transfers became slow: with the link, or without a culprit."""
        found = (_of_job(view, window) for window in working_windows(view))
        return [finding for finding in found if finding is not None]


def _of_job(view: FleetView, window: Window) -> Finding | None:
    pace = pace_of(window)
    if window.rows.size < LEAST_STEPS or not pace.slower_than(LEAST_SLOWER, unknown=False):
        return None
    if held_rank(window.job, view.now_s, HELD_SHARE) is not None:
        return None  # a process that is held stops inside collectives too
    rises = rises_of(window)
    if not rises or not _matters(rises, pace) or _somebody_late(window, rises):
        return None
    busy = _busy_hosts(view, window.job)
    place = _place(view, window, rises, busy=busy)
    rises = [rise for rise in rises if _lasts(window, rise, named=place is not None)]
    if not rises or (place is None and busy):
        return None
    if place is not None:
        return _placed(view, window, pace, rises, place)
    return _unplaced(view, window, pace, rises)


def _matters(rises: list[Rise], pace: Pace) -> bool:
    """Tell whether the largest rise explains a good part of what a step grew."""
    return max(rise.now_s - rise.usual_s for rise in rises) >= GROWTH_SHARE * (pace.now_s - pace.usual_s)


def _place(view: FleetView, window: Window, rises: list[Rise], *, busy: bool) -> Place | None:
    """Return where transfers are held up: the flows say it best, then the groups that are slow."""
    link = slow_link(view, window.job)
    if link is not None and (link.sure_end or not (busy or not _fills_transfers(window, rises, link))):
        return by_flow(link)
    cover = None if busy else cover_of(view, window, rises)
    return None if cover is None else by_cover(cover)


def _fills_transfers(window: Window, rises: list[Rise], link: SlowLink) -> bool:
    """Tell whether the flow was sending for most of the time that transfers took.

    A link that holds transfers up is busy all through them. A low rate alone is none: a flow delivers little
    when it starts again after a pause, or where its host has no time for it.
    """
    recent = window.recent(RECENT_S, LEAST_STEPS)
    ended_s = window.ended_s[recent]
    steps_per_s = (ended_s.size - 1) / max(float(ended_s[-1] - ended_s[0]), 1e-6)
    worst = max(rises, key=lambda rise: rise.ratio)
    return link.inputs["busy_share"] >= BUSY_OF_TRANSFER * min(1.0, worst.now_s * steps_per_s)


def _lasts(window: Window, rise: Rise, *, named: bool) -> bool:
    ratio, least_s = (NAMED_RATIO, NAMED_S) if named else (UNNAMED_RATIO, UNNAMED_S)
    return rise.ratio >= ratio and float(window.ended_s[-1]) - rise.onset_s >= least_s


def _somebody_late(window: Window, rises: list[Rise]) -> bool:
    """Tell whether one rank's lateness, rather than the transfer, is what grew."""
    return _latest_s(window, rises) > LATE_SHARE * max(rise.now_s - rise.usual_s for rise in rises)


def _latest_s(window: Window, rises: list[Rise]) -> float:
    """Return how late the latest rank is within the slow groups; elsewhere the whole group is late."""
    worst = sorted(rises, key=lambda rise: rise.ratio)[-MOST_GROUPS:]
    slots = {slot for rise in worst for slot in rise.slots}
    recent = window.recent(RECENT_S, LEAST_STEPS)
    late_s = waits_of(window, recent, slots).late_s.mean(axis=0)
    # Who left a slow collective late comes late to the next: only what its own work or its data took
    # more counts.
    return float(np.minimum(late_s, _own_growth_s(window, recent)).max(initial=0.0))


def _own_growth_s(window: Window, recent: slice) -> Array:
    """Return (C,) by how much own work and waiting for data grew, infinity where that is not known."""
    own = (window.compute_s[recent] + np.nan_to_num(window.data_s[recent])).mean(axis=0)
    usual = window.job.reference_compute_s[window.columns] + np.nan_to_num(
        window.job.reference_data_s[window.columns]
    )
    return np.where(np.isfinite(usual), own - usual, np.inf)


def _busy_hosts(view: FleetView, job: JobView) -> bool:
    fresh = view.now_s - job.states.received_s <= 2 * RECENT_S
    waited = job.states.runqueue_share[fresh]
    waited = waited[np.isfinite(waited)]
    return waited.size > 0 and float(np.median(waited)) > BUSY_HOSTS


def _placed(view: FleetView, window: Window, pace: Pace, rises: list[Rise], place: Place) -> Finding:
    job, worst = window.job, max(rises, key=lambda rise: rise.ratio)
    culprit = replace(place.culprit, job=job.job)
    return Finding(
        kind=place.kind,
        detector="network.slow_collective",
        culprit=culprit,
        cause=place.cause,
        verdict=place.verdict,
        severity=Severity.CRITICAL if pace.ratio >= CRITICAL_SLOWER else Severity.WARNING,
        confidence=place.confidence,
        onset_s=worst.onset_s,
        summary=f"{job.job}: collectives take {worst.ratio:.1f} times as long; "
        f"{'a link inside' if place.kind is IncidentKind.NVLINK_FAULT else 'the link'} {culprit} is slow",
        evidence=(*_evidence(view, window, pace, rises), *place.evidence),
        ruled_out=_ruled_out(window, rises),
        unsure=place.unsure,
        why=_why(worst, place.inputs, NAMED_RATIO, NAMED_S),
        gpus_held=gpus_held(job.ranks.size, pace.usual_s, pace.now_s),
        victims=(Subject(kind="job", job=job.job),),
    )


def _unplaced(view: FleetView, window: Window, pace: Pace, rises: list[Rise]) -> Finding:
    job, worst = window.job, max(rises, key=lambda rise: rise.ratio)
    names = ", ".join(rise.communicator for rise in rises[:5])
    return Finding(
        kind=IncidentKind.SLOW_COLLECTIVE,
        detector="network.slow_collective",
        culprit=nobody_in(job),
        cause="cannot_tell",
        verdict=Verdict.CANNOT_TELL,
        severity=Severity.WARNING,
        confidence=agreed(READING, HINT),
        onset_s=worst.onset_s,
        summary=f"{job.job}: collectives take {worst.ratio:.1f} times as long; no rank is late, and no "
        "reading says which link",
        evidence=_evidence(view, window, pace, rises),
        ruled_out=_ruled_out(window, rises),
        unsure=(f"which link or switch of the groups {names}: no flow or port stands out",),
        why=_why(worst, {}, UNNAMED_RATIO, UNNAMED_S),
        gpus_held=gpus_held(job.ranks.size, pace.usual_s, pace.now_s),
        victims=(Subject(kind="job", job=job.job),),
    )


def _evidence(view: FleetView, window: Window, pace: Pace, rises: list[Rise]) -> tuple[Evidence, ...]:
    groups = {slot.communicator for slot in window.job.slots}
    worst = max(rises, key=lambda rise: rise.ratio)
    text = (
        f"the transfer (least duration in the group) of {worst.communicator} takes "
        f"{seconds(worst.now_s)} a step, usually {seconds(worst.usual_s)}; {len(rises)} of {len(groups)} "
        "groups are slow"
    )
    step = f"a step of {window.job.job} takes {seconds(pace.now_s)}, usually {seconds(pace.usual_s)}"
    return (
        Evidence(at_s=worst.onset_s, bearing=Bearing.SUPPORTS, text=text, source="collectives"),
        Evidence(at_s=view.now_s, bearing=Bearing.CHANGE, text=step, source="steps"),
    )


def _ruled_out(window: Window, rises: list[Rise]) -> tuple[RuledOut, ...]:
    late_s = _latest_s(window, rises)
    grew_s = max(rise.now_s - rise.usual_s for rise in rises)
    share = late_s / grew_s if grew_s > 0 else float("nan")
    return (
        RuledOut(
            cause="a late rank",
            reason=f"the latest rank is late by {seconds(late_s)}, {percent(share)} of the rise of "
            f"{seconds(grew_s)}",
        ),
        RuledOut(
            cause="a held process", reason=f"no rank was stopped or throttled over {percent(HELD_SHARE)}"
        ),
    )


def _why(rise: Rise, inputs: dict[str, float], ratio: float, least_s: float) -> Why:
    return Why(
        rule="the least duration of a group stays above its frozen reference while nobody is late; the "
        "link is the one whose flows deliver far below the others' and below their own with data waiting",
        source="transfer as in ByteDance's what-if analysis (OSDI 2025); rows and columns as in C4",
        inputs={"transfer_ratio": rise.ratio, "transfer_s": rise.now_s, "cusum": rise.total, **inputs},
        thresholds={"transfer_ratio": ratio, "lasting_s": least_s, "late_share": LATE_SHARE},
    )
