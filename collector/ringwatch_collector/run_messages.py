"""Runbooks and runs as messages of the Runs service. Decides nothing."""

from __future__ import annotations

from collections.abc import Sequence

from ringwatch_proto.codec import subject_to_message, to_ns
from ringwatch_proto.v1 import query_pb2, runs_pb2
from ringwatch_runbooks.looking import healthy_s
from ringwatch_runbooks.model import Act, Ask, Check, End, Escalate, Library, Runbook, Step, Verify
from ringwatch_runbooks.people import HANDED_OVER
from ringwatch_runbooks.record import RunRecord, StepRecord
from ringwatch_runbooks.rendering import CALL, risk_of
from ringwatch_runbooks.safety import AUTOMATIC
from ringwatch_runbooks.world import World

_ABSENT_AGE_S = -1.0


def runbook(book: Runbook, library: Library) -> runs_pb2.Runbook:
    """Return the message of a runbook."""
    return runs_pb2.Runbook(
        id=book.id,
        revision=book.revision,
        title=book.title.en,
        title_zh=book.title.zh,
        first_rule=book.first_rule.en,
        first_rule_zh=book.first_rule.zh,
        never=book.never,
        severity=book.severity,
        steps=[_runbook_step(step, library) for step in book.steps],
        triggers=[
            trigger.kind + (f" ({', '.join(trigger.causes)})" if trigger.causes else "")
            for trigger in book.triggers
        ],
    )


def _runbook_step(step: Step, library: Library) -> runs_pb2.RunbookStep:
    message = runs_pb2.RunbookStep(id=step.id, kind=step.kind, title=step.title)
    match step:
        case Check():
            message.expect, message.command = step.expect, step.verb or step.call
            message.risk = "R0"
        case Ask():
            message.question = step.question
            message.options.extend(option.answer for option in step.options)
        case Act():
            action = library.actions[step.uses]
            message.command = action.verb or action.call or action.manual
            message.risk, message.approval = risk_of(action), action.approval
        case Verify():
            message.expect = expectation(step)
        case Escalate():
            message.question = f"Pass it on to {step.to}"
        case End():
            pass
    return message


def expectation(step: Verify) -> str:
    """Return what a verify step waits for, in words."""
    wanted = step.expect or " and ".join(map(str, step.predicates)) or "the signal is not seen"
    return f"{wanted}, for {step.healthy_s:.0f} s without a break"


def run(record: RunRecord, book: Runbook | None, library: Library, now_s: float) -> runs_pb2.Run:
    """Return the message of a run; ``book`` is None when its runbook is not there any more."""
    return runs_pb2.Run(
        id=record.id,
        runbook=record.runbook,
        revision=record.revision,
        title=book.title.en if book else record.runbook,
        incident=record.incident,
        state=record.state,
        started_by=record.started_by,
        started_ns=to_ns(record.started_s),
        ended_ns=to_ns(record.ended_s),
        current=record.current if record.live else "",
        steps=[_step(step, record, library, now_s) for step in (book.steps if book else ())],
        never=book.never if book else (),
        first_rule=book.first_rule.en if book else "",
        target=subject_to_message(record.target),
        result=record.result,
        path=record.path,
    )


def _step(step: Step, record: RunRecord, library: Library, now_s: float) -> runs_pb2.RunStep:
    done = record.step(step.id)
    message = runs_pb2.RunStep(
        id=step.id,
        kind=step.kind,
        title=step.title,
        state=done.state,
        outcome=done.outcome,
        why=done.why,
        output=done.output,
        started_ns=to_ns(done.started_s),
        ended_ns=to_ns(done.ended_s),
        by=done.by,
        facts=[
            runs_pb2.Fact(
                name=fact.name,
                value=fact.value,
                unit=fact.unit,
                age_s=_ABSENT_AGE_S if fact.age_s is None else fact.age_s,
                holds=fact.holds,
                note=fact.note,
            )
            for fact in done.facts
        ],
    )
    match step:
        case Check():
            message.expect, message.command, message.risk = step.expect, step.verb or step.call, "R0"
            message.deadline_s = _left(done, step.timeout_s, now_s)
        case Ask():
            message.question, message.command = step.question, done.command
            message.options.extend(option.answer for option in step.options)
        case Act():
            _describe_action(message, step, done, library, now_s)
        case Verify():
            message.expect = expectation(step)
            message.deadline_s = _left(done, step.timeout_s, now_s)
            message.healthy_s, message.healthy_needed_s = healthy_s(record, step, now_s), step.healthy_s
        case Escalate():
            message.question = f"Pass the text on to {step.to}. Do they have it?"
            message.options.append(HANDED_OVER)
    return message


def _describe_action(
    message: runs_pb2.RunStep, step: Act, done: StepRecord, library: Library, now_s: float
) -> None:
    action = library.actions[step.uses]
    message.command = done.command or action.verb or action.call or action.manual
    message.way, message.undone = done.way, done.undone
    if done.state == "done" and done.way == CALL and action.undo_call and not done.undone.startswith("done"):
        message.undo_target = done.target
    message.effect, message.undo = action.effect, action.undo
    message.risk, message.approval = risk_of(action), action.approval
    if not message.why:
        message.why = step.why
    if done.phase in ("approval", "second"):
        message.typed_target = done.typed_target
    if done.phase in ("confirm", "unknown"):
        message.question = "How did it go?"
        message.options.extend(("done", "failed"))
    if done.phase == "acting":
        message.deadline_s = _left(done, action.timeout_s, now_s)


def _left(done: StepRecord, timeout_s: float, now_s: float) -> float:
    if done.state != "running" or done.since_s is None:
        return 0.0
    return max(0.0, timeout_s - (now_s - done.since_s))


def safety(world: World, calls: Sequence[str]) -> runs_pb2.Safety:
    """Return the message of how far runs go without a person."""
    policy, breaker = world.policy, world.breaker
    return runs_pb2.Safety(
        mode=policy.mode,
        automatic_risks=policy.automatic_risks if policy.mode == AUTOMATIC else (),
        breaker_open=breaker.open,
        breaker_why=breaker.why,
        breaker_since_ns=to_ns(breaker.since_s),
        breaker_by=breaker.by,
        calls=calls,
    )


def brief(record: RunRecord, book: Runbook | None) -> query_pb2.RunSummary:
    """Return the message of a run for the overview."""
    ids = [step.id for step in book.steps] if book else []
    step = record.step(record.current)
    kind = book.step(record.current).kind if book and record.current in ids else ""
    waits = {"ask": "answer", "action": "approval", "escalate": "hand-over"}.get(kind, "decision")
    if step.phase in ("confirm", "unknown"):
        waits = "result"
    return query_pb2.RunSummary(
        id=record.id,
        runbook=record.runbook,
        incident=record.incident,
        state=record.state,
        step=ids.index(record.current) + 1 if record.current in ids else 0,
        steps=len(ids),
        waiting_for=waits if record.state == "waiting" else "",
    )
