"""Why a rank is slow: readings of its process, its host and its GPU, in a table. Finds no straggler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ringwatch_collector.detectors.gpu_causes import low_clock, pcie, power_brake, power_cap, thermal
from ringwatch_collector.detectors.held import FRESH_S, HELD_SHARE
from ringwatch_collector.detectors.places import node_name, percent
from ringwatch_collector.detectors.suspects import Reading, Suspect, suspect_of
from ringwatch_collector.view import FleetView, Floats, JobView
from ringwatch_proto.records import Bearing, Evidence, RuledOut, Verdict

RUNQUEUE_SHARE: Final = 0.20
RUNQUEUE_APART: Final = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One possible cause; ``read`` returns None when the inputs are not there."""

    cause: str
    title: str
    verdict: Verdict
    source: str
    read: Callable[[Suspect], Reading | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """The first cause whose reading holds, and what the others read."""

    token: str
    title: str
    verdict: Verdict
    evidence: tuple[Evidence, ...] = ()
    ruled_out: tuple[RuledOut, ...] = ()
    unsure: tuple[str, ...] = field(default=())


UNEXPLAINED: Final = "unexplained"


def cause_of(view: FleetView, job: JobView, column: int) -> Cause:
    """Return why a rank is slow, as far as the readings say."""
    suspect = suspect_of(view, job, column)
    read = [(check, check.read(suspect)) for check in CHECKS]
    holds = [(check, reading) for check, reading in read if reading is not None and reading.holds]
    ruled_out = tuple(
        RuledOut(cause=c.title, reason=r.text) for c, r in read if r is not None and not r.holds
    )
    unsure = tuple(f"{check.title}: nothing was read" for check, reading in read if reading is None)
    if not holds:
        return Cause(
            token=UNEXPLAINED, title="nothing that was read explains it", verdict=Verdict.CANNOT_TELL,
            ruled_out=ruled_out, unsure=unsure,
        )  # fmt: skip
    first = holds[0][0]
    node = node_name(view, int(job.node_of[column]))
    evidence = tuple(
        Evidence(at_s=view.now_s, bearing=Bearing.SUPPORTS, text=r.text, source=c.source, node=node)
        for c, r in holds
    )
    return Cause(
        token=first.cause, title=first.title, verdict=first.verdict,
        evidence=evidence, ruled_out=ruled_out, unsure=unsure,
    )  # fmt: skip


def _share_reading(
    suspect: Suspect, shares: Floats, words: str, least: float, apart: float
) -> Reading | None:
    states = suspect.job.states
    own = float(shares[suspect.column])
    fresh = suspect.view.now_s - states.received_s <= FRESH_S
    if not fresh[suspect.column] or np.isnan(own):
        return None
    others = np.delete(shares, suspect.column)[np.delete(fresh, suspect.column)]
    others = others[np.isfinite(others)]
    typical = float(np.median(others)) if others.size else 0.0
    text = f"{words} {percent(own)} of the time; the other ranks {percent(typical)}"
    return Reading(holds=own >= least and own - typical >= apart, text=text)


def _stopped(suspect: Suspect) -> Reading | None:
    return _share_reading(
        suspect,
        suspect.job.states.stopped_share,
        "its process was stopped (state T)",
        HELD_SHARE,
        HELD_SHARE / 2,
    )


def _throttled(suspect: Suspect) -> Reading | None:
    return _share_reading(
        suspect,
        suspect.job.states.throttled_share,
        "its cgroup's CPU quota held it back",
        HELD_SHARE,
        HELD_SHARE / 2,
    )


def _waiting_for_cpu(suspect: Suspect) -> Reading | None:
    return _share_reading(
        suspect,
        suspect.job.states.runqueue_share,
        "it was runnable without a CPU",
        RUNQUEUE_SHARE,
        RUNQUEUE_APART,
    )


_HARDWARE: Final = Verdict.HARDWARE
_HOST: Final = Verdict.HOST
# In the order in which they are believed: a process that does not run needs no slow GPU.
CHECKS: Final[tuple[Check, ...]] = (
    Check(cause="process_paused", title="a stopped process", verdict=_HOST, source="process", read=_stopped),
    Check(cause="cpu_quota", title="a CPU quota", verdict=_HOST, source="cgroup", read=_throttled),
    Check(cause="thermal_slowdown", title="heat", verdict=_HARDWARE, source="nvml", read=thermal),
    Check(cause="power_brake", title="power brake", verdict=_HARDWARE, source="nvml", read=power_brake),
    Check(cause="power_cap", title="a power cap", verdict=_HARDWARE, source="nvml", read=power_cap),
    Check(cause="clock_low", title="a low clock", verdict=_HARDWARE, source="nvml", read=low_clock),
    Check(cause="pcie_degraded", title="a narrow PCIe link", verdict=_HARDWARE, source="nvml", read=pcie),
    Check(cause="cpu_contention", title="other work on its CPUs", verdict=_HOST, source="process",
          read=_waiting_for_cpu),
)  # fmt: skip
