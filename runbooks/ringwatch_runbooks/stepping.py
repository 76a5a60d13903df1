"""One look at a run, or one answer to it: the table from kind of step to who handles it."""

from __future__ import annotations

from ringwatch_runbooks import acting, looking, people
from ringwatch_runbooks.base import Person
from ringwatch_runbooks.handover import with_hand_over
from ringwatch_runbooks.model import Act, Ask, Check, End, Escalate, Verify
from ringwatch_runbooks.moves import entered
from ringwatch_runbooks.record import RunRecord
from ringwatch_runbooks.restoring import aborted
from ringwatch_runbooks.world import World


async def stepped(world: World, run: RunRecord) -> RunRecord:  # noqa: PLR0911  (one a kind of step)
    """Return the run one look further."""
    runbook = world.library.runbooks[run.runbook]
    step = runbook.step(run.current)
    if run.step(step.id).state == "pending":
        return entered(run, step, world.clock.now_s())
    match step:
        case Check():
            return await looking.check(world, run, step)
        case Verify():
            return await looking.verify(world, run, step)
        case Act():
            return await acting.act(world, run, step)
        case Escalate():
            return with_hand_over(world, run, runbook, step)
        case End():
            return await people.end(world, run, step)
        case Ask():
            return people.with_look(world, run, step)


async def answered(world: World, run: RunRecord, action: str, text: str, person: Person) -> RunRecord:
    """Return the run after a person's word to its open step; raise ValueError when it does not fit."""
    step, now_s = world.library.runbooks[run.runbook].step(run.current), world.clock.now_s()
    if action == "abort":
        return aborted(run, person.name, now_s)
    match step:
        case Act():
            return await acting.answered(world, run, step, action=action, text=text, person=person)
        case Ask() if action == "answer":
            return people.answer(run, step, text, person.name, now_s)
        case Escalate() if action == "answer":
            return people.take_over(run, step, text, person.name, now_s)
        case End() if action == "retry" and run.state == "waiting":
            return people.retry_end(run, step, now_s)
    raise ValueError(f"{action[:40]!r} is nothing that {step.kind} {step.id} waits for")


def face(run: RunRecord) -> tuple[object, ...]:
    """Return what of a run has to survive a crash: everything but readings and seconds."""
    record = run.step(run.current)
    why = "" if record.state == "running" else record.why
    return (
        run.state, run.current, run.path, run.result, record.state, record.phase, why,
        record.approved_by, record.command, record.output, record.attempts, record.healthy_since_s is None,
    )  # fmt: skip
