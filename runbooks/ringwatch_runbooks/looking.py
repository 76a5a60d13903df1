"""Check and verify steps: they read and judge, and change nothing."""

from __future__ import annotations

from dataclasses import replace

from ringwatch_proto.errors import RunbookError
from ringwatch_runbooks import render
from ringwatch_runbooks.base import VerbOutcome
from ringwatch_runbooks.judge import Evidence
from ringwatch_runbooks.model import Branch, Check, Verify
from ringwatch_runbooks.moves import ended, printable, said
from ringwatch_runbooks.record import FactRecord, RunRecord
from ringwatch_runbooks.world import World

_VERB_GRACE_S = 3.0


async def check(world: World, run: RunRecord, step: Check) -> RunRecord:
    """Look once: take a branch when it is certain, or the time-out branch when its time has come."""
    now_s = world.clock.now_s()
    late_s = now_s - (run.step(step.id).since_s or now_s) - step.timeout_s
    asked = step.verb or step.call
    if asked and run.id not in world.answers:
        trouble = _asked(world, run, step)
        if trouble:
            return _unanswered(run, step, trouble, now_s)
        outcome = world.came_of(run)
        if outcome is None:
            if late_s <= _VERB_GRACE_S:
                return run
            world.give_up(run)
            return _unanswered(run, step, f"{asked} did not come back in time", now_s)
        world.answers[run.id] = (now_s, outcome)
        run = said(run, printable(outcome.text))
    if asked:
        outcome = world.answers[run.id][1]
        if outcome.status != "done":
            return _unanswered(run, step, f"{asked} was {_words(outcome)}", now_s)
    return _judged(world, run, step, late_s, now_s)


def _asked(world: World, run: RunRecord, step: Check) -> str:
    """Send the verb or call if it is not under way; return why it cannot be sent."""
    if run.id in world.calls:
        return ""
    if step.call and not world.repairs.offers(step.call):
        return f"{step.call} is not set up at this collector"
    try:
        if step.call:
            arguments = {"node": render.fill("{node}", world.parameters(run))}
            world.launch(run, world.repair_call(run, step.call, arguments, step.timeout_s))
        else:
            arguments = world.arguments_of(run, step.verb)
            world.launch(run, world.verb_call(run, step.verb, arguments, step.timeout_s))
    except RunbookError as error:
        return str(error)
    return ""


def _words(outcome: VerbOutcome) -> str:
    status = outcome.status.replace("_", " ")
    return f"{status}: {outcome.text[:200]}" if outcome.text else status


def _judged(world: World, run: RunRecord, step: Check, late_s: float, now_s: float) -> RunRecord:
    evidence = world.evidence(run, step.verb or step.call)
    run = run.with_step(replace(run.step(step.id), facts=_shown(step, evidence)))
    branch, unknown = _decided(step, evidence)
    if branch is not None:
        why = " and ".join(map(str, branch.predicates)) if branch.predicates else "nothing else holds"
        return ended(run, branch.goto, now_s, state="done", outcome=why, why=why)
    if late_s < 0:
        return run
    return _unanswered(run, step, f"no fresh reading of {', '.join(unknown)}", now_s)


def _decided(step: Check, evidence: Evidence) -> tuple[Branch | None, tuple[str, ...]]:
    """Return the branch to take, or the facts that are needed to tell.

    Branches are judged in their order. One whose facts are not known stops the judging: those after
    it, "else" above all, would pass what nobody has looked at.
    """
    for branch in step.branches:
        if branch.timeout:
            continue
        verdicts = [evidence.judge(predicate) for predicate in branch.predicates]
        if all(verdict is True for verdict in verdicts):
            return branch, ()
        if all(verdict is not False for verdict in verdicts):
            return None, evidence.missing(branch.predicates)
    return None, ()


def _unanswered(run: RunRecord, step: Check, why: str, now_s: float) -> RunRecord:
    goto = next(branch.goto for branch in step.branches if branch.timeout)
    return ended(run, goto, now_s, state="failed", outcome="cannot tell", why=why)


def _shown(step: Check, evidence: Evidence) -> tuple[FactRecord, ...]:
    names = [*step.shows, *(p.fact for branch in step.branches for p in branch.predicates)]
    return tuple(evidence.tell(name) for name in dict.fromkeys(names))


async def verify(world: World, run: RunRecord, step: Verify) -> RunRecord:
    """Look once: the signal and every fact must have been healthy for ``healthy_s`` without a break."""
    now_s = world.clock.now_s()
    record = run.step(step.id)
    trouble, facts = _unhealthy(world, run, step)
    since_s = None if trouble else record.healthy_since_s or now_s
    run = run.with_step(replace(record, healthy_since_s=since_s, facts=facts, why=trouble))
    if since_s is not None and now_s - since_s >= step.healthy_s:
        told = f"healthy for {now_s - since_s:.0f} s"
        return ended(run, step.then, now_s, state="done", outcome=told, why=told)
    if now_s - (record.since_s or now_s) >= step.timeout_s:
        run = _blamed(run)
        why = trouble or f"healthy for only {now_s - (since_s or now_s):.0f} s of {step.healthy_s:.0f} s"
        return ended(run, step.on_fail, now_s, state="failed", outcome="not proved", why=why)
    return run


def _blamed(run: RunRecord) -> RunRecord:
    """Return the run with its newest act marked as one that did not help."""
    if not run.acts:
        return run
    act = run.acts[-1]
    return run.came(act.step, f"{act.outcome}, and not proved", bad=True)


def _unhealthy(world: World, run: RunRecord, step: Verify) -> tuple[str, tuple[FactRecord, ...]]:
    """Return what is not healthy now, empty when all is, and the facts as they were read."""
    evidence = world.evidence(run)
    incident = world.incident(run)
    facts = tuple(evidence.show(predicate) for predicate in step.predicates)
    if incident is None:
        return f"{run.incident} is not known any more", facts
    signal = FactRecord(
        name="incident.active", value="yes" if incident.active else "no", holds=not incident.active
    )
    facts = (signal, *facts)
    if incident.active:
        return "the signal that opened the incident is still seen", facts
    bad = [f"{fact.name} is {fact.value}" for fact in facts if not fact.holds]
    return "; ".join(bad), facts


def healthy_s(run: RunRecord, step: Verify, now_s: float) -> float:
    """Return for how long the current verification has been healthy."""
    record = run.step(step.id)
    end_s = record.ended_s if record.ended_s is not None else now_s
    return 0.0 if record.healthy_since_s is None else max(0.0, end_s - record.healthy_since_s)
