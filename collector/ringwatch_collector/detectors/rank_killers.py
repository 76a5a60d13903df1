"""What ended a rank: the kernel's word first, then the GPU's, then its own. Does not say who was first."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Final

from ringwatch_collector.detectors.happened import ORDER_S, evidence_of, live, number
from ringwatch_collector.view import FleetView, SeenEvent
from ringwatch_knowledge import xid
from ringwatch_proto import events
from ringwatch_proto.records import Evidence, Verdict

OOM_REACH_S: Final = 10.0
XID_REACH_S: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One rank that ended badly."""

    event: SeenEvent
    rank: int
    pid: int
    silent: bool  # without a goodbye
    follower: bool  # what ended it says that something else ended before


@dataclass(frozen=True, slots=True, kw_only=True)
class Killer:
    """What ended the first rank."""

    cause: str
    verdict: Verdict
    text: str
    evidence: tuple[Evidence, ...] = ()
    unsure: tuple[str, ...] = ()


def unknown_killer() -> Killer:
    """Return what is said of a burst whose first end was not seen."""
    return Killer(
        cause="cannot_tell",
        verdict=Verdict.CANNOT_TELL,
        text="",
        unsure=("which rank went first was not seen",),
    )


def killer_of(view: FleetView, end: End) -> Killer:
    """Return what ended a rank: the kernel's word first, then the GPU's, then the signal's."""
    return _oom(view, end) or _gpu_word(view, end) or _own_word(end)


def _oom(view: FleetView, end: End) -> Killer | None:
    for event in live(view, events.KERNEL_OOM):
        near = event.node == end.event.node and abs(event.at_s - end.event.at_s) <= OOM_REACH_S
        if near and end.pid > 0 and number(event, "pid") == end.pid:
            text = "was killed by the kernel for lack of memory"
            return Killer(cause="oom", verdict=Verdict.HOST, text=text, evidence=(evidence_of(event),))
    return None


def _gpu_word(view: FleetView, end: End) -> Killer | None:
    """Return the application's own GPU exception; hardware faults have findings of their own."""
    for event in live(view, events.GPU_XID):
        before_s = end.event.at_s - event.at_s
        if event.node != end.event.node or not -ORDER_S <= before_s <= XID_REACH_S:
            continue
        meaning = xid.lookup(event.code, event.text)
        if meaning.origin == "application" and end.pid > 0 and number(event, "pid") == end.pid:
            text = f"ended after Xid {event.code}: {meaning.title}"
            return Killer(
                cause="gpu_exception", verdict=Verdict.SOFTWARE, text=text, evidence=(evidence_of(event),)
            )
    return None


def _own_word(end: End) -> Killer:
    sent = number(end.event, "signal")
    if not end.silent:
        reason = end.event.fields.get("reason", "").partition(":")[2].strip()
        return Killer(
            cause="exception", verdict=Verdict.SOFTWARE, text=f"raised an exception: {reason[:160]}"
        )
    if sent > 0:
        crashed = sent in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
        verdict = Verdict.SOFTWARE if crashed else Verdict.CANNOT_TELL
        return Killer(cause="killed", verdict=verdict, text=f"was ended by signal {sent}")
    if number(end.event, "exit_code") > 0:
        code = number(end.event, "exit_code")
        return Killer(cause="exited", verdict=Verdict.SOFTWARE, text=f"exited with code {code}")
    return Killer(
        cause="killed",
        verdict=Verdict.CANNOT_TELL,
        text="was killed: it ended without a goodbye",
        unsure=("which signal, and who sent it",),
    )
