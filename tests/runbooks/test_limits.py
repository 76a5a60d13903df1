"""Tests of what bounds runs: blast radius, modes, the circuit breaker, undo, plans, second persons."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ringwatch_proto.errors import StoreError
from ringwatch_proto.records import IncidentState, Subject
from ringwatch_runbooks.base import Person, RepairCall, VerbOutcome
from ringwatch_runbooks.engine import RunEngine
from ringwatch_runbooks.model import Library
from ringwatch_runbooks.record import RunRecord
from ringwatch_runbooks.safety import Policy

from .rig import ACTIONS, END, FIXED, Rig, incident, repair_rig, small_library

NODE = Subject(kind="node", node="n011")
CALLED = """\
  drain_by_call:
    title: {en: Drain the node, zh: 排空节点}
    effect: no new work
    risk: R1
    approval: operator
    role: cordon
    recheck: open
    target: "{node}"
    call: scheduler.drain
    undo_call: scheduler.resume
    arguments: {node: "{node}"}
    manual: "scontrol update nodename={node} state=drain"
    dry_run: "scontrol show node {node}"
    limits: {job: 2, fleet: 3}
    timeout_s: 60
    undo: resume it
  reset_by_call:
    title: {en: Reset, zh: 复位}
    effect: the GPU loses all it holds
    risk: R2
    approval: operator
    role: repair
    needs_cordon: true
    recheck: open
    target: "{node}"
    call: script.reset_gpu
    arguments: {node: "{node}"}
    dry_run: nothing
    limits: {incident: 1}
    timeout_s: 60
    undo: none
"""
DRAIN = "  - {id: drain, kind: action, title: Drain it, uses: drain_by_call, then: what, on_fail: over}"
WHAT = """\
  - id: what
    kind: ask
    title: What now
    question: Which way?
    options:
      - {answer: reset it, goto: reset}
      - {answer: drain again, goto: drain}
      - {answer: hand over, goto: over}"""
RESET = "  - {id: reset, kind: action, title: Reset it, uses: reset_by_call, then: what, on_fail: over}"


class Site:
    """Adapters that say what a test wants, and remember what they were asked."""

    def __init__(self, *names: str) -> None:
        self.names = names or ("scheduler.drain", "scheduler.resume", "script.reset_gpu")
        self.calls: list[RepairCall] = []
        self.outcome = VerbOutcome(status="done", text="before IDLE, after IDLE+DRAIN")

    def offers(self, name: str) -> bool:
        return name in self.names

    async def call(self, call: RepairCall) -> VerbOutcome:
        self.calls.append(call)
        return VerbOutcome(status="done", text=f"would {call.name}") if call.dry_run else self.outcome

    @property
    def acted(self) -> list[str]:
        return [call.name for call in self.calls if not call.dry_run]


def called_library() -> Library:
    """Return a library with a drain and a reset that adapters do."""
    actions = ACTIONS.read_text(encoding="utf-8") + CALLED
    return small_library(DRAIN, WHAT, RESET, END, actions=actions)


def site_rig(policy: Policy | None = None, site: Site | None = None) -> tuple[Rig, Site]:
    """Return a rig whose site can drain and reset."""
    site = site or Site()
    rig = Rig(library=called_library())
    rig.facts.values |= {"node.connected": True}
    rig.engine.world.repairs = site
    rig.engine.world.policy = policy or Policy()
    return rig, site


def on_node(rig: Rig, number: int, job: str = "llm-70b") -> None:
    """Move the rig to another node with another incident."""
    node = f"n{number:03}"
    id = f"I-{number}"
    rig.facts.known = {**rig.facts.known, "node": node}
    culprit = Subject(kind="node", node=node, job=job)
    rig.cases.incidents[id] = incident(culprit=culprit, id=id)


async def drained(rig: Rig, number: int, job: str = "llm-70b") -> RunRecord:
    """Start a run on a node, approve its drain, and return the run."""
    on_node(rig, number, job)
    run = await rig.engine.start(f"I-{number}", "small", "ana")
    try:
        await rig.engine.answer(run.id, "drain", "approve", f"n{number:03}", "ana")
    finally:
        await rig.pass_time(1)
    return rig.engine.get(run.id)


async def test_a_call_is_approved_done_and_written_with_before_and_after() -> None:
    """Who, why, before and after: the audit log holds all four."""
    rig, site = site_rig()
    await rig.start("small")
    assert rig.run.step("drain").command == "scheduler.drain node=n011"

    await rig.say("approve", "n011")
    await rig.pass_time(1)

    assert site.acted == ["scheduler.drain"]
    assert (site.calls[0].approved_by, site.calls[0].incident, site.calls[0].run) == ("ana", "I-1", "R-1")
    asked, done = rig.audit.of("action.drain_by_call")
    assert asked["result"] == "asked for"
    assert done["actor"] == "ana"
    assert "because it is slow" in done["reason"]
    assert done["result"] == "done: before IDLE, after IDLE+DRAIN"


async def test_a_site_that_has_no_adapter_is_shown_the_command() -> None:
    """What nobody has set up is done by people."""
    rig, _ = site_rig(site=Site("chat.send"))
    await rig.start("small")

    await rig.say("approve", "n011")

    assert rig.run.step("drain").way == "manual"
    assert rig.run.step("drain").phase == "confirm"
    assert rig.run.step("drain").command == "scontrol update nodename=n011 state=drain"


async def test_a_call_that_is_refused_is_left_to_people_with_a_new_approval() -> None:
    """A refusal is no failure: the command is shown, and it is approved for what it is."""
    rig, site = site_rig()
    site.outcome = VerbOutcome(status="refused", text="another incident holds it")
    await rig.start("small")
    await rig.say("approve", "n011")
    await rig.pass_time(1)

    step = rig.run.step("drain")
    assert (step.phase, step.way, step.approved_by) == ("approval", "manual", ())
    assert "another incident holds it" in step.why


async def test_what_needs_no_approval_is_shown_at_once_when_its_call_is_refused() -> None:
    """A person runs it and says so; there is nothing to approve."""
    told = CALLED.replace("drain_by_call", "tell").replace(
        "approval: operator\n    role: cordon", "approval: none"
    )
    step = "  - {id: tell, kind: action, title: Tell them, uses: tell, then: over, on_fail: over}"
    rig, site = Rig(library=small_library(step, END, actions=ACTIONS.read_text() + told)), Site()
    rig.engine.world.repairs = site
    site.outcome = VerbOutcome(status="refused", text="not today")
    await rig.start("small")
    await rig.pass_time(1)
    assert (rig.run.step("tell").phase, rig.run.step("tell").way) == ("confirm", "manual")

    await rig.say("answer", "done")

    assert rig.run.state == "handed_over"


async def test_an_action_stops_at_its_limit_for_a_job_and_for_the_fleet() -> None:
    """Three nodes an hour are three nodes: the fourth asks for one cause."""
    rig, site = site_rig()
    await drained(rig, 1)
    await drained(rig, 2)
    third = await drained(rig, 3)
    assert third.step("drain").why.startswith("refused: drain_by_call was done to 2 targets of job llm-70b")
    assert "(n001, n002)" in third.step("drain").why

    await drained(rig, 4, job="other")
    fifth = await drained(rig, 5, job="third")

    assert "3 targets of the fleet" in fifth.step("drain").why
    assert site.acted == ["scheduler.drain"] * 3


async def test_a_limit_is_over_when_its_time_is() -> None:
    """What was done an hour ago does not count any more."""
    rig, site = site_rig()
    for number in (1, 2):
        run = await drained(rig, number)
        await rig.engine.answer(run.id, "what", "answer", "hand over", "ana")
    rig.clock.seconds += 3601.0

    await drained(rig, 3)

    assert site.acted == ["scheduler.drain"] * 3


async def test_the_same_action_again_on_one_incident_counts_though_the_step_is_the_same() -> None:
    """A loop through one step is not one use of it."""
    rig, site = site_rig()
    await rig.start("small")
    await rig.say("approve", "n011")
    await rig.pass_time(1)
    await rig.say("answer", "reset it")
    await rig.say("approve", "n011")
    await rig.pass_time(1)
    await rig.say("answer", "reset it")

    await rig.say("approve", "n011")

    assert (
        "reset_by_call was done 1 times for I-1 in 1 h, its limit is 1: hand over"
        in rig.run.step("reset").why
    )
    assert site.acted == ["scheduler.drain", "script.reset_gpu"]


@pytest.mark.parametrize(
    ("nodes", "out", "words"),
    [
        (100.0, 5.0, "5 of 100 nodes are out of service, at most 5 may be (5 %)"),
        (8.0, 1.0, "at most 1 may be"),
    ],
)
async def test_a_cordon_leaves_enough_nodes_in_service(nodes: float, out: float, words: str) -> None:
    """One may always go, a share of the fleet at most."""
    rig, site = site_rig()
    rig.facts.values |= {"fleet.nodes": nodes, "fleet.nodes_out": out}
    await rig.start("small")

    await rig.say("approve", "n011")

    assert words in rig.run.step("drain").why
    assert site.acted == []


async def test_a_node_that_is_out_already_may_be_drained() -> None:
    """It takes nothing more away."""
    rig, site = site_rig()
    rig.facts.values |= {"fleet.nodes": 8.0, "fleet.nodes_out": 1.0, "node.connected": False}
    await rig.start("small")

    await rig.say("approve", "n011")
    await rig.pass_time(1)

    assert site.acted == ["scheduler.drain"]


async def test_nodes_that_runs_hold_out_count_though_the_fleet_does_not_show_it() -> None:
    """A drain in the scheduler is no label on the node; what was returned or undone counts no more."""
    rig, site = site_rig()
    rig.facts.values |= {"fleet.nodes": 20.0}
    first = await drained(rig, 1, job="one")
    second = await drained(rig, 2, job="two")
    assert "1 of 20 nodes are out of service" in second.step("drain").why

    await rig.engine.answer(first.id, "drain", "undo", "n001", "bo")
    rig.facts.known = {**rig.facts.known, "node": "n002"}
    await rig.engine.answer(second.id, "drain", "approve", "n002", "ana")
    await rig.pass_time(1)

    assert site.acted == ["scheduler.drain", "scheduler.resume", "scheduler.drain"]


async def test_how_many_are_out_has_to_be_known() -> None:
    """An absent count is not zero."""
    rig, site = site_rig()
    del rig.facts.values["fleet.nodes_out"]
    await rig.start("small")

    await rig.say("approve", "n011")

    assert "not known" in rig.run.step("drain").why
    assert site.acted == []


async def test_a_collector_that_observes_does_nothing() -> None:
    """Dry runs and reasons are all that is left."""
    rig, site = site_rig(Policy(mode="observe"))
    await rig.start("small")
    await rig.say("dry_run")

    with pytest.raises(ValueError, match="only observes"):
        await rig.say("approve", "n011")
    await rig.say("skip", "done elsewhere")

    assert site.acted == []
    assert rig.run.current == "over" or rig.run.state == "handed_over"


async def test_automatic_approves_its_risk_class_and_leaves_the_rest() -> None:
    """R1 is done by itself, R2 waits for a person."""
    rig, site = site_rig(Policy(mode="automatic"))
    await rig.start("small")
    await rig.pass_time(1)
    assert site.acted == ["scheduler.drain"]
    assert site.calls[0].approved_by == "ringwatch (automatic)"

    await rig.say("answer", "reset it")
    await rig.pass_time(1)

    assert rig.run.step("reset").phase == "approval"
    assert site.acted == ["scheduler.drain"]


async def test_what_automatic_may_not_do_now_waits_with_the_reason() -> None:
    """A limit does not fail the run: a person decides."""
    rig, site = site_rig(Policy(mode="automatic"))
    rig.facts.values |= {"fleet.nodes_out": 5.0}

    await rig.start("small")

    assert rig.run.step("drain").why.startswith("not done by itself: 5 of 100 nodes")
    assert site.acted == []


async def test_the_breaker_opens_on_automatic_failures_and_closes_only_by_a_person() -> None:
    """It stays open over a restart, and nothing is done by itself meanwhile."""
    rig, site = site_rig(Policy(mode="automatic", trip_after=2))
    site.outcome = VerbOutcome(status="failed", text="it did not work")
    for number in (1, 2):
        on_node(rig, number)
        await rig.engine.start(f"I-{number}", "small", "ana")
        await rig.pass_time(1)
    assert rig.engine.world.breaker.open
    assert "2 automatic actions went wrong" in rig.engine.troubles[0]
    assert [record["actor"] for record in rig.audit.of("breaker.open")] == ["ringwatch"]
    rig.clock.seconds += 30 * 86400.0
    await rig.pass_time(1)
    await rig.restart()
    rig.engine.world.repairs, rig.engine.world.policy = site, Policy(mode="automatic")
    assert rig.engine.world.breaker.open

    on_node(rig, 3)
    run = await rig.engine.start("I-3", "small", "ana")
    assert "the circuit breaker is open" in run.step("drain").why

    bo = Person(name="bo", proven=True, approves=True, rules=False)
    with pytest.raises(ValueError, match="takes the role admin"):
        await rig.engine.keeper.set(open=False, why="looked at it", person=bo)
    await rig.engine.keeper.set(open=False, why="looked at it", person=replace(bo, rules=True))
    await rig.pass_time(1)

    assert [record["actor"] for record in rig.audit.of("breaker.close")] == ["bo"]
    assert "circuit breaker" not in " ".join(rig.engine.troubles)


async def test_the_breaker_is_written_again_with_each_run() -> None:
    """A restart reads the newest documents only."""
    rig, _ = site_rig()
    await rig.engine.keeper.set(open=True, why="forty nodes at once", person=Person(name="ana"))
    rig.journal.documents.clear()

    await rig.start("small")

    assert "breaker" in rig.journal.documents


async def test_a_person_can_open_the_breaker_and_has_to_say_why() -> None:
    """Freezing comes first when many nodes are unwell."""
    rig, site = site_rig(Policy(mode="automatic"))
    with pytest.raises(ValueError, match="who, and why"):
        await rig.engine.keeper.set(open=True, why=" ", person=Person(name="ana"))

    await rig.engine.keeper.set(open=True, why="forty nodes at once", person=Person(name="ana"))
    await rig.start("small")

    assert "forty nodes at once" in rig.run.step("drain").why
    assert site.acted == []


async def test_a_breaker_that_cannot_be_written_does_not_stop_the_runs() -> None:
    """It is told, and tried again."""
    rig, site = site_rig(Policy(mode="automatic", trip_after=1))
    site.outcome = VerbOutcome(status="failed", text="it did not work")
    await rig.start("small")
    await rig.pass_time(0.5)
    rig.engine.world.breaker = replace(rig.engine.world.breaker, open=False, since_s=0.0)
    rig.journal.broken = True
    await rig.pass_time(1)
    assert any("the disk is full" in trouble for trouble in rig.engine.troubles)

    rig.journal.broken = False
    await rig.pass_time(1)

    assert rig.engine.world.breaker.open


async def test_a_damaged_breaker_is_told_and_taken_as_open() -> None:
    """What cannot be read must not let things happen."""
    rig, _ = site_rig()
    engine = RunEngine(rig.engine.world, ('{"kind": "breaker", "open": false, "colour": "red"}',))

    assert engine.world.breaker.open
    assert "cannot be read" in " ".join(engine.troubles)


async def test_a_done_action_is_taken_back() -> None:
    """The same arguments, another call, and its own line in the audit log."""
    rig, site = site_rig()
    await rig.start("small")
    await rig.say("approve", "n011")
    await rig.pass_time(1)
    site.outcome = VerbOutcome(status="done", text="before IDLE+DRAIN, after IDLE")

    with pytest.raises(ValueError, match="the target is 'n011'"):
        await rig.engine.answer("R-1", "drain", "undo", "n012", "bo")
    await rig.engine.answer("R-1", "drain", "undo", "n011", "bo")

    assert site.acted == ["scheduler.drain", "scheduler.resume"]
    assert dict(site.calls[-1].arguments) == {"node": "n011"}
    assert rig.run.step("drain").undone == "done by bo"
    assert [record["result"] for record in rig.audit.of("undo.drain_by_call")] == [
        "done: before IDLE+DRAIN, after IDLE"
    ]
    with pytest.raises(ValueError, match="already taken back"):
        await rig.engine.answer("R-1", "drain", "undo", "n011", "bo")


async def test_a_cordon_is_not_taken_back_once_something_was_repaired_behind_it() -> None:
    """From then on only proof returns the node."""
    rig, site = site_rig()
    await rig.start("small")
    await rig.say("approve", "n011")
    await rig.pass_time(1)
    await rig.say("answer", "reset it")
    await rig.say("approve", "n011")
    await rig.pass_time(1)

    with pytest.raises(ValueError, match="prove the node and return it instead"):
        await rig.engine.answer("R-1", "drain", "undo", "n011", "bo")

    assert site.acted == ["scheduler.drain", "script.reset_gpu"]


async def test_an_undo_under_another_run_of_the_same_node_is_refused() -> None:
    """An ended run does not pull the node from under the one that works on it."""
    rig, site = site_rig()
    await rig.start("small")
    await rig.say("approve", "n011")
    await rig.pass_time(1)
    await rig.say("answer", "hand over")
    rig.cases.incidents["I-2"] = incident(id="I-2")
    await rig.engine.start("I-2", "small", "bo")

    with pytest.raises(ValueError, match="take it back from there"):
        await rig.engine.answer("R-1", "drain", "undo", "n011", "bo")

    assert site.acted == ["scheduler.drain"]


async def test_an_undo_that_a_crash_cut_off_is_told_as_not_known() -> None:
    """It is never shown as done, and may be asked for again."""
    rig, site = site_rig()
    await rig.start("small")
    await rig.say("approve", "n011")
    await rig.pass_time(1)
    site.outcome = VerbOutcome(status="done", text="back")

    async def crash(call: RepairCall) -> VerbOutcome:
        raise StoreError(f"killed in {call.name}")

    site_call, site.call = site.call, crash  # type: ignore[method-assign]
    with pytest.raises(StoreError):
        await rig.engine.answer("R-1", "drain", "undo", "n011", "bo")
    await rig.restart()
    site.call = site_call  # type: ignore[method-assign]
    rig.engine.world.repairs = site
    assert rig.run.step("drain").undone.startswith("not known")

    await rig.engine.answer("R-1", "drain", "undo", "n011", "bo")

    assert rig.run.step("drain").undone == "done by bo"


async def test_a_plan_tries_every_action_dry_and_begins_no_run() -> None:
    """Its own command: what would be done, and what forbids it now."""
    rig, site = site_rig()
    rig.facts.values |= {"fleet.nodes_out": 5.0}

    planned = await rig.engine.plan("I-1", "small", "ana")

    assert planned.state == "planned"
    assert planned.step("drain").outcome == "would be refused now"
    assert planned.step("reset").outcome == "may be done, after its approval"
    assert planned.step("reset").output[-1] == "done: would script.reset_gpu"
    assert [call.dry_run for call in site.calls] == [True, True]
    assert rig.engine.all() == ()
    assert rig.journal.documents == {}
    assert rig.cases.incidents["I-1"].run == ""


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (Person(name="Ana ", proven=True), "already did"),
        (Person(name="bo", proven=True, approves=False), "takes the role approver"),
        (Person(name="bo"), "both who approve have to be proven"),
    ],
)
async def test_a_second_approval_needs_another_proven_approver(second: Person, words: str) -> None:
    """A name that anyone can type does not stand beside a certificate."""
    drain = "  - {id: drain, kind: action, title: Drain it, uses: drain, then: act, on_fail: over}"
    cycle = "  - {id: act, kind: action, title: Cycle it, uses: power_cycle, then: over, on_fail: over}"
    rig = Rig(library=small_library(drain, cycle, END))
    await rig.start("small")
    await rig.say("approve", "n011")
    await rig.say("answer", "done")
    await rig.engine.answer("R-1", "act", "approve", "n011", Person(name="ana", proven=True, approves=False))

    with pytest.raises(ValueError, match=words):
        await rig.engine.answer("R-1", "act", "approve", "n011", second)
    assert rig.run.step("act").phase == "second"

    await rig.engine.answer("R-1", "act", "approve", "n011", Person(name="bo", proven=True))
    assert rig.run.step("act").phase == "confirm"


async def test_a_verification_that_fails_after_an_automatic_action_counts_against_it() -> None:
    """Done is not mended."""
    rig = repair_rig()
    rig.engine.world.policy = Policy(mode="automatic", trip_after=1)
    await rig.start("small")
    await rig.pass_time(62)

    assert rig.cases.incidents["I-1"].state is IncidentState.NEW
    assert rig.engine.world.breaker.open
    assert "not proved" in rig.engine.world.breaker.why


async def test_a_runbook_that_nobody_linted_is_held_to_the_same_rules() -> None:
    """No reset without a cordon, no close without a verification: the engine looks again."""
    cycle = "  - {id: act, kind: action, title: Cycle it, uses: power_cycle, then: fixed, on_fail: over}"
    rig = Rig(library=small_library(cycle, FIXED, END))
    await rig.start("small")
    await rig.say("approve", "n011")
    await rig.say("approve", "n011", author="bo")
    assert "needs the node out of service first" in rig.run.step("act").why

    ask = "  - {id: ask, kind: ask, title: Ask, question: Well, options: [{answer: "
    rig = Rig(library=small_library(ask + "well, goto: fixed}, {answer: ill, goto: over}]}", FIXED, END))
    rig.cases.change("I-1", active=False)
    await rig.start("small")
    await rig.say("answer", "well")

    assert rig.run.state == "waiting"
    assert "not seen healthy for its time" in rig.run.step("fixed").why
    assert rig.cases.incidents["I-1"].state is IncidentState.NEW
