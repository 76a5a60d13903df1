"""Every runbook of the library, walked by the engine: each step is reached, each repair is proved."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringwatch_knowledge import xid
from ringwatch_proto.records import IncidentKind, IncidentState, Subject
from ringwatch_runbooks.base import VerbOutcome
from ringwatch_runbooks.judge import holds
from ringwatch_runbooks.lint import lint, lint_runbook
from ringwatch_runbooks.load import runbook_of
from ringwatch_runbooks.match import candidates
from ringwatch_runbooks.model import (
    Act,
    Ask,
    Branch,
    Check,
    End,
    Escalate,
    Predicate,
    Runbook,
    Step,
    Value,
    Verify,
)
from ringwatch_runbooks.table import markdown, rows_of

from .rig import TARGET, Rig, incident, packaged_library

LIBRARY = packaged_library()
BOOKS = sorted(LIBRARY.runbooks.values(), key=lambda book: book.id)
REPLACED = ("row-remap-failed", "silent-corruption")
Edge = tuple[str, str]  # (how, goto); how is the index of a branch, an answer, then, fail, skip
Way = list[tuple[Step, Edge]]


def test_the_library_has_no_problem() -> None:
    """The linter walks all paths of all runbooks."""
    assert [str(problem) for problem in lint(LIBRARY)] == []


@pytest.mark.parametrize("kind", IncidentKind)
def test_every_kind_of_incident_has_a_runbook(kind: IncidentKind) -> None:
    """Whatever the cause is, there is something to walk."""
    assert candidates(LIBRARY, incident(kind=kind, cause="never_heard_of"))


@pytest.mark.parametrize(
    ("kind", "cause", "best"),
    [
        (IncidentKind.STRAGGLER_COMPUTE, "cpu_quota", "straggler-host"),
        (IncidentKind.STRAGGLER_COMPUTE, "thermal_slowdown", "thermal"),
        (IncidentKind.STRAGGLER_COMPUTE, "power_brake", "power"),
        (IncidentKind.STRAGGLER_COMPUTE, "unexplained", "straggler-compute"),
        (IncidentKind.JOB_HANG, "process_stopped", "hang"),
        (IncidentKind.GPU_OFF_BUS, "xid_79", "gpu-off-the-bus"),
        (IncidentKind.AGENT_SILENT, "agent_silent", "agent-silent"),
    ],
)
def test_the_best_runbook_comes_first(kind: IncidentKind, cause: str, best: str) -> None:
    """A runbook for the very cause is better than one for the kind."""
    assert candidates(LIBRARY, incident(kind=kind, cause=cause))[0] == best


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.id)
def test_titles_and_first_rules_are_in_both_languages(book: Runbook) -> None:
    """Operators read one or the other."""
    for text in (book.title, book.first_rule):
        assert text.en.isascii() or "’" in text.en
        assert any("\u4e00" <= letter <= "\u9fff" for letter in text.zh)


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.id)
async def test_every_step_is_reached_by_the_engine(book: Runbook) -> None:
    """What the linter says about paths holds when the engine walks them."""
    ways = sorted((_way(book, step.id) for step in book.steps), key=len, reverse=True)
    reached: set[str] = set()
    for way in ways:  # the longest first: it goes through most of the others
        goal = way[-1][1][1] if way else book.steps[0].id
        if goal in reached:
            continue
        rig = _rig(book)
        _plan(rig, way)
        await rig.start(book.id)
        await _walk(rig, way)
        assert goal in rig.run.path, f"{book.id} {goal}: {rig.run.path}"
        assert rig.engine.failures == {}
        reached |= set(rig.run.path)
    assert reached == {step.id for step in book.steps}


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.id)
async def test_a_repair_is_proved_and_closes_the_incident(book: Runbook) -> None:
    """Each runbook has a path to a close, and none closes while the signal is seen."""
    ends = [step for step in book.steps if isinstance(step, End) and step.outcome == "resolved"]
    # A part that has to be replaced is repaired by others: its incident is closed after their proof.
    assert ends or book.id in REPLACED
    for end in ends:
        rig = _rig(book)
        way = _way(book, end.id)
        _plan(rig, way)
        await rig.start(book.id)
        await _walk(rig, way)
        assert rig.run.state == "succeeded", rig.run.path
        assert rig.cases.incidents["I-1"].state is IncidentState.RESOLVED
        assert any(isinstance(book.step(each), Verify) for each in rig.run.path)


def _rig(book: Runbook) -> Rig:
    trigger = book.triggers[0]
    cause = trigger.causes[0] if trigger.causes else "something"
    rig = Rig()
    kind = IncidentKind(trigger.kind)
    culprit = TARGET
    if kind in (IncidentKind.PORT_DOWN, IncidentKind.SLOW_LINK):
        culprit = Subject(kind="link", node="n011", device="eth0", peer="n012", job="llm-70b")
    rig.cases.incidents["I-1"] = incident(kind=kind, cause=cause, culprit=culprit)
    rig.facts.values |= {"node.connected": True, "gpu.state": 0.0, "rank.alive": True}
    return rig


def _edges(step: Step) -> Iterator[Edge]:
    match step:
        case Check():
            yield from ((str(at), branch.goto) for at, branch in enumerate(step.branches))
        case Ask():
            yield from ((option.answer, option.goto) for option in step.options)
        case Act():
            yield from (("then", step.then), ("fail", step.on_fail), ("skip", step.on_skip))
        case Verify():
            yield from (("then", step.then), ("fail", step.on_fail))
        case Escalate():
            yield "then", step.then


def _way(book: Runbook, goal: str) -> Way:
    """Return a shortest way from the first step to a step."""
    ways: dict[str, Way] = {book.steps[0].id: []}
    queue = [book.steps[0].id]
    while queue:
        step = book.step(queue.pop(0))
        for edge in _edges(step):
            if edge[1] not in ways:
                ways[edge[1]] = [*ways[step.id], (step, edge)]
                queue.append(edge[1])
    return ways[goal]


async def _walk(rig: Rig, way: Way) -> None:
    for place, (step, (how, goto)) in enumerate(way):
        if len(rig.run.path) > place + 1:
            continue  # it went on by itself
        assert rig.run.current == step.id, f"at {rig.run.current}, not {step.id}: {rig.run.step(step.id)}"
        match step:
            case Check():
                await rig.pass_time(step.timeout_s + 4.0 if step.branches[int(how)].timeout else 1.0)
            case Ask():
                await rig.say("answer", how)
            case Act():
                await _act(rig, step, how)
            case Verify():
                await _verify(rig, step, healthy=how == "then")
            case Escalate():
                assert rig.run.step(step.id).output
                await rig.say("answer", "OPS-1")
        assert rig.run.path[place + 1] == goto, f"{step.id} {how}: {rig.run.path}"


def _plan(rig: Rig, way: Way) -> None:
    """Set what can be read while the run is at each check of the way."""
    given = {
        step.id: _readings(step, step.branches[int(how)]) for step, (how, _) in way if isinstance(step, Check)
    }

    def now() -> dict[str, Value] | None:
        runs = rig.engine.all()
        return given.get(runs[-1].current) if runs else None

    def answered() -> VerbOutcome:
        planned = now() or {}
        said = {name: str(value) for name, value in planned.items() if name.startswith("process.")}
        return VerbOutcome(status="done", text="read", facts=said)

    rig.facts.planned = rig.cases.planned = now
    rig.node.planned = answered


def _readings(step: Check, wanted: Branch) -> dict[str, Value]:
    """Return readings that lead a check to a branch; none at all for its time-out."""
    if wanted.timeout:
        return {"incident.absent": True}
    names = list(dict.fromkeys(p.fact for branch in step.branches for p in branch.predicates))
    for values in itertools.product(*(_candidates(step, name) for name in names)):
        given = dict(zip(names, values, strict=True))
        chosen = next(
            b for b in step.branches if not b.timeout and all(holds(p, given[p.fact]) for p in b.predicates)
        )
        if chosen is wanted:
            return given
    raise AssertionError(f"nothing leads {step.id} to {wanted.goto}")


async def _act(rig: Rig, step: Act, how: str) -> None:
    action = rig.library.actions[step.uses]
    _make_true(rig, action.preconditions)
    if how == "skip":
        await rig.say("skip", "not now") if rig.run.step(step.id).phase else None
        return
    if action.approval != "none":
        await rig.say("approve", rig.run.step(step.id).typed_target, author="ana")
    if action.approval == "second_person":
        await rig.say("approve", rig.run.step(step.id).typed_target, author="bo")
    if action.manual:
        await rig.say("answer", "done" if how == "then" else "failed")
        return
    rig.node.outcome = VerbOutcome(status="done" if how == "then" else "failed", text="as asked")
    _make_true(rig, action.verify)
    await rig.pass_time(1.0)


async def _verify(rig: Rig, step: Verify, *, healthy: bool) -> None:
    rig.cases.change("I-1", active=not healthy)
    _make_true(rig, step.predicates)
    seconds = step.healthy_s if healthy else step.timeout_s
    await rig.pass_time(seconds * 1.3 + 2.0, step_s=seconds / 5)


def _candidates(step: Check, name: str) -> list[Value]:
    wanted = [p.value for branch in step.branches for p in branch.predicates if p.fact == name]
    out: list[Value] = []
    for value in wanted:
        assert not isinstance(value, tuple)
        if isinstance(value, bool):
            out += [True, False]
        elif isinstance(value, str):
            out += [value, "other"]
        else:
            out += [float(value), float(value) + 1, float(value) - 1, 0.0]
    return out


def _make_true(rig: Rig, predicates: tuple[Predicate, ...]) -> None:
    for predicate in predicates:
        assert not isinstance(predicate.value, tuple)
        for value in (predicate.value, 0.0, 1e9, -1e9):
            if holds(predicate, value):
                rig.facts.values[predicate.fact] = value
                break


def test_the_page_holds_the_table_of_the_library() -> None:
    """Each incident kind, its runbooks, their proof: generated, since lists that are kept by hand drift."""
    page = (Path(__file__).parents[2] / "docs" / "runbooks.md").read_text(encoding="utf-8")
    table = page.partition("<!-- table: begin -->\n")[2].partition("\n<!-- table: end -->")[0]

    assert table.splitlines() == list(markdown(rows_of(LIBRARY))), "run `ringwatch runbook table`"
    assert {row.kind for row in rows_of(LIBRARY) if not row.causes} == set(IncidentKind)


def test_the_example_of_the_page_is_sound() -> None:
    """Whoever copies it begins with a runbook that passes."""
    page = (Path(__file__).parents[2] / "docs" / "runbooks.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert example is not None
    book = runbook_of(example[1], "docs/runbooks.md")

    problems = lint_runbook(book, LIBRARY)

    assert [str(problem) for problem in problems] == []


GROUPS = {"gpu_memory": IncidentKind.GPU_MEMORY, "nvlink": IncidentKind.NVLINK_FAULT}


def test_every_xid_that_a_runbook_takes_is_in_the_knowledge_and_of_its_kind() -> None:
    """What the catalogue calls memory is no runbook for links."""
    found = 0
    for book, kind, cause in TRIGGERS:
        number = re.fullmatch(r"xid_(\d+)", cause)
        if number is None:
            continue
        meaning = xid.lookup(int(number[1]), "")
        group = GROUPS.get(meaning.fault_class.partition(".")[0])
        assert meaning.known, (book, cause)
        if group is not None:
            assert kind == group, (book, cause, meaning.fault_class)
        if meaning.fault_class == "gpu.off_bus":
            assert kind == IncidentKind.GPU_OFF_BUS
        found += 1
    assert found > 15


def test_every_runbook_that_the_knowledge_names_is_there() -> None:
    """A hint that leads nowhere is worse than none."""
    hints = {xid.lookup(code, "").runbook for code in xid.codes()} - {""}

    assert hints <= set(LIBRARY.runbooks)


def test_no_reset_is_offered_for_what_the_vendor_answers_with_a_restart_of_the_program() -> None:
    """Xid 13 and 31 are the program's until something says otherwise."""
    for book, _, cause in TRIGGERS:
        if cause in ("xid_13", "xid_31", "xid_43", "xid_45"):
            steps = LIBRARY.runbooks[book].steps
            assert not [step for step in steps if isinstance(step, Act) and step.uses == "reset_gpu"], book


TRIGGERS = [
    (book.id, trigger.kind, cause) for book in BOOKS for trigger in book.triggers for cause in trigger.causes
]
