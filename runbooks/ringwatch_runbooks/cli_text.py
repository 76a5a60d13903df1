"""Runbooks and runs as lines of plain text. Prints nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from ringwatch_runbooks.model import Act, Action, Ask, Check, End, Escalate, Library, Runbook, Step, Verify

_LABELS: Final = (
    ("why", "why"), ("outcome", "outcome"), ("expect", "expect"), ("question", "question"),
    ("command", "command"), ("effect", "effect"), ("undo", "undo"), ("typed_target", "type to approve"),
)  # fmt: skip


def runbook_lines(book: Runbook, library: Library) -> Iterable[str]:
    """Return a runbook with all its steps and where they lead."""
    yield f"{book.title.en}  ({book.title.zh})"
    yield f"{book.id} revision {book.revision}, {book.severity}"
    yield "for " + ", ".join(
        each.kind + (f" ({', '.join(each.causes)})" if each.causes else "") for each in book.triggers
    )
    yield f"\nFIRST  {book.first_rule.en}\n       {book.first_rule.zh}"
    yield from (f"NEVER  {rule}" for rule in book.never)
    for number, step in enumerate(book.steps, 1):
        yield f"\n{number:>3}  {step.id}  [{step.kind}]  {step.title}"
        yield from (f"       {line}" for line in _details(step, library))
    yield "\nsources"
    yield from (f"  {source}" for source in book.sources)


def _details(step: Step, library: Library) -> Iterable[str]:
    match step:
        case Check():
            yield f"expect: {step.expect}"
        case Ask():
            yield step.question
            if step.look:
                yield f"$ {step.look}"
        case Act():
            action = library.actions[step.uses]
            yield f"{action.risk}, approval: {action.approval}; {action.verb or action.call or action.manual}"
            yield action.effect
            yield from _bounds(action)
        case Verify():
            yield f"healthy for {step.healthy_s:.0f} s within {step.timeout_s:.0f} s"
            yield from (str(predicate) for predicate in step.predicates)
        case Escalate():
            yield f"to {step.to}: {', '.join(step.asks_for)}"
        case End():
            yield step.outcome + (f" -> {step.runbook}" if step.runbook else "")
    yield from (f"{word} -> {goto}" for word, goto in ways(step).items())


def _bounds(action: Action) -> Iterable[str]:
    limits = action.limits
    words = [
        f"{count} {of}"
        for count, of in (
            (limits.incident, "times an incident"),
            (limits.job, "targets of a job"),
            (limits.fleet, "targets of the fleet"),
        )
        if count
    ]
    if words:
        yield f"at most {', '.join(words)} within {limits.window_s / 3600:g} h"
    yield f"undo: {action.undo}"


def ways(step: Step) -> dict[str, str]:
    """Return where a step leads, by the reason in words."""
    match step:
        case Check():
            return {
                " and ".join(map(str, b.predicates)) or ("no answer" if b.timeout else "else"): b.goto
                for b in step.branches
            }
        case Ask():
            return {option.answer: option.goto for option in step.options}
        case Act():
            return {"then": step.then, "fails": step.on_fail, "left out": step.on_skip}
        case Verify():
            return {"healthy": step.then, "not healthy": step.on_fail}
        case Escalate():
            return {"then": step.then}
        case End():
            return {}


def run_lines(run: Any) -> Iterable[str]:  # noqa: ANN401  (the message type would load protobuf)
    """Return a run: the steps that were taken, and what the open one wants."""
    yield f"run {run.id}  {run.state}  {run.title}  ({run.runbook} revision {run.revision})"
    yield f"incident {run.incident}, started by {run.started_by}"
    yield f"first: {run.first_rule}"
    yield from (f"never: {rule}" for rule in run.never)
    steps = {step.id: step for step in run.steps}
    for step_id in dict.fromkeys(run.path):
        step = steps.get(step_id)
        if step is not None:
            yield f"  {step.state:<8} {step.id:<16} {step.title}" + (
                f"  ({step.outcome})" if step.outcome else ""
            )
    current = steps.get(run.current)
    if current is not None:
        yield f"\nat {current.id}: {current.title}"
        yield from (
            f"  {label}: {getattr(current, name)}" for name, label in _LABELS if getattr(current, name)
        )
        yield from (f"  option: {option}" for option in current.options)
        yield from (
            f"  can be taken back: {step.id} (undo {step.id} {step.undo_target})"
            for step in run.steps
            if step.undo_target
        )
        for fact in current.facts:
            note = f"  ({fact.note})" if fact.note else ""
            mark = "ok  " if fact.holds else "FAIL"
            yield f"  {mark} {fact.name} = {fact.value} {fact.unit}{note}".rstrip()
        yield from (f"  | {line}" for line in current.output)
    if run.result:
        yield f"\nresult: {run.result}"


def plan_lines(run: Any) -> Iterable[str]:  # noqa: ANN401  (as above)
    """Return a plan: for each action what would be done now, and what forbids it."""
    yield f"plan of {run.runbook} revision {run.revision} for {run.incident}: nothing was changed"
    yield from (f"never: {rule}" for rule in run.never)
    for step in run.steps:
        if step.kind in ("check", "verify") and step.facts:
            yield f"\n{step.id}  [{step.kind}]  {step.title}"
            yield from (
                f"  {fact.name} = {fact.value} {fact.unit} {fact.note}".rstrip() for fact in step.facts
            )
        if step.kind == "action":
            yield f"\n{step.id}  [action, {step.risk}, approval: {step.approval}]  {step.title}"
            yield f"  {step.command}"
            yield f"  {step.outcome}" + (f": {step.why}" if step.why else "")
            yield from (f"  | {line}" for line in step.output)


def safety_lines(safety: Any) -> Iterable[str]:  # noqa: ANN401  (as above)
    """Return how far runs go without a person."""
    risks = f" ({', '.join(safety.automatic_risks)})" if safety.automatic_risks else ""
    yield f"mode {safety.mode}{risks}"
    word = "OPEN" if safety.breaker_open else "closed"
    by = f", by {safety.breaker_by}: {safety.breaker_why}" if safety.breaker_by else ""
    yield f"circuit breaker {word}{by}"
    yield f"set up here: {', '.join(safety.calls) or 'nothing; all is done by hand'}"
