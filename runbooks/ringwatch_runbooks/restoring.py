"""Runs at their sudden ends: ended by a person, or found again by the next collector. Acts on nothing."""

from __future__ import annotations

from dataclasses import replace

from ringwatch_runbooks.acting import UNKNOWN
from ringwatch_runbooks.moves import finished
from ringwatch_runbooks.record import RunRecord
from ringwatch_runbooks.world import World


def aborted(run: RunRecord, author: str, now_s: float) -> RunRecord:
    """Return the run ended by a person; raise ValueError under an action that is under way."""
    record = run.step(run.current)
    if record.phase == "acting":
        raise ValueError("an action is under way: wait for its result, it has a time-out")
    stopped = replace(record, state="skipped", phase="", outcome="aborted", ended_s=now_s, by=author)
    run = run.with_step(stopped)
    return finished(run, "aborted", f"ended by {author} at {run.current}; what was done stays done", now_s)


def found_again(run: RunRecord, world: World) -> RunRecord:
    """Return a run of an earlier collector as it goes on in this one."""
    run = _with_undo_unknown(run)
    if not run.live:
        return run
    now_s = world.clock.now_s()
    runbook = world.library.runbooks.get(run.runbook)
    if runbook is None or runbook.digest != run.digest:
        return finished(run, "failed", f"the runbook {run.runbook} changed since it was started", now_s)
    record = run.step(run.current)
    if record.phase == "acting":
        return run.with_step(replace(record, state="waiting", phase="unknown", why=UNKNOWN, since_s=now_s))
    if record.state == "running":
        # Its clock stood still while nobody looked, and nobody saw it healthy either.
        return run.with_step(replace(record, since_s=now_s, healthy_since_s=None))
    return run


def _with_undo_unknown(run: RunRecord) -> RunRecord:
    for record in run.steps:
        if record.undone.startswith("asked"):
            told = "not known: the collector ended meanwhile; look at the target"
            run = run.with_step(replace(record, undone=told))
    return run
