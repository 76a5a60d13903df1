"""Tests of the engine: the way of a run, its proof, and what survives a crash."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from ringwatch_proto.errors import StoreError
from ringwatch_proto.records import IncidentState, Subject
from ringwatch_runbooks.model import Library

from .rig import TARGET, Rig, incident, repair_rig, small_library


async def test_an_approved_action_is_done_proved_and_closes_the_incident() -> None:
    """The whole way: consent, verb, healthy signal, close."""
    rig = repair_rig()
    await rig.start("small")
    assert rig.run.state == "waiting"
    assert rig.node.calls == []

    await rig.say("approve", "n011")
    await rig.pass_time(1)
    assert rig.node.acted == ["gpu.reset_clocks"]
    assert rig.node.calls[0].approved_by == "ana"
    rig.cases.change("I-1", active=False)
    rig.facts.values["gpu.sm_clock_ratio_to_peers"] = 0.98
    await rig.pass_time(12)

    assert rig.run.state == "succeeded"
    assert rig.cases.incidents["I-1"].state is IncidentState.RESOLVED
    assert rig.run.path == ("act", "proof", "fixed")


async def test_a_failed_verification_comes_back_to_the_operator() -> None:
    """The incident stays open, and what was done is tried again only when a person says so."""
    rig = repair_rig()
    await rig.start("small")
    await rig.say("approve", "n011")
    await rig.pass_time(90, step_s=5)

    assert rig.run.current == "still"
    assert rig.run.step("proof").state == "failed"
    assert "still seen" in rig.run.step("proof").why
    assert rig.cases.incidents["I-1"].state is IncidentState.NEW
    await rig.say("answer", "try again")
    assert rig.run.step("act").phase == "approval"
    assert rig.run.step("act").attempts == 2
    assert rig.node.acted == ["gpu.reset_clocks"]


async def test_a_signal_that_comes_back_starts_the_proof_again() -> None:
    """Healthy has to be healthy without a break."""
    rig = repair_rig()
    await rig.start("small")
    await rig.say("approve", "n011")
    rig.cases.change("I-1", active=False)
    rig.facts.values["gpu.sm_clock_ratio_to_peers"] = 0.98
    await rig.pass_time(8)
    rig.facts.values["gpu.sm_clock_ratio_to_peers"] = 0.5
    await rig.pass_time(1)
    rig.facts.values["gpu.sm_clock_ratio_to_peers"] = 0.98
    await rig.pass_time(8)

    assert rig.run.current == "proof"
    await rig.pass_time(4)
    assert rig.run.state == "succeeded"


async def test_a_verification_never_passes_on_an_absent_reading() -> None:
    """No reading is not a healthy reading."""
    rig = repair_rig()
    await rig.start("small")
    await rig.say("approve", "n011")
    rig.cases.change("I-1", active=False)
    del rig.facts.values["gpu.sm_clock_ratio_to_peers"]

    await rig.pass_time(90, step_s=5)

    assert rig.run.current == "still"
    assert "absent" in rig.run.step("proof").why


async def test_a_close_that_is_refused_waits_for_a_person() -> None:
    """The signal may come back between the proof and the close."""
    rig = repair_rig()
    await rig.start("small")
    await rig.say("approve", "n011")
    rig.cases.change("I-1", active=False)
    rig.facts.values["gpu.sm_clock_ratio_to_peers"] = 0.98
    resolve = rig.cases.resolve

    async def refuse(*_: str) -> None:
        raise ValueError("I-1 is still seen")

    rig.cases.resolve = refuse  # type: ignore[method-assign,assignment]
    await rig.pass_time(12)
    assert rig.run.state == "waiting"
    assert "cannot be closed: I-1 is still seen" in rig.run.step("fixed").why

    rig.cases.resolve = resolve  # type: ignore[method-assign]
    await rig.say("retry")
    assert rig.run.state == "succeeded"


async def test_waiting_for_a_person_takes_no_time() -> None:
    """A question may wait for the morning shift."""
    rig = repair_rig()
    await rig.start("small")

    await rig.pass_time(86_400, step_s=3600)

    assert rig.run.state == "waiting"
    assert rig.run.current == "act"


async def test_a_crash_in_the_middle_of_an_action_asks_instead_of_repeating() -> None:
    """Whether it happened is not known; doing it again is for a person to decide."""
    rig = repair_rig()
    rig.node.gate = asyncio.Event()
    await rig.start("small")
    await rig.say("approve", "n011")
    await rig.pass_time(1)
    assert rig.run.step("act").phase == "acting"

    await rig.restart()
    rig.node.gate = None
    await rig.pass_time(30)

    step = rig.run.step("act")
    assert (step.state, step.phase) == ("waiting", "unknown")
    assert len(rig.node.calls) == 1
    assert '"phase": "unknown"' in rig.journal.documents["R-1"]
    await rig.say("retry")
    assert rig.run.step("act").phase == "approval"
    await rig.say("approve", "n011")
    await rig.pass_time(1)
    assert len(rig.node.calls) == 2


@pytest.mark.parametrize(("word", "goes_to"), [("done", "proof"), ("failed", "over")])
async def test_a_person_says_how_a_cut_off_action_ended(word: str, goes_to: str) -> None:
    """They looked at the target."""
    rig = repair_rig()
    rig.node.gate = asyncio.Event()
    await rig.start("small")
    await rig.say("approve", "n011")
    await rig.restart()

    await rig.say("answer", word)

    assert goes_to in rig.run.path


async def test_an_action_is_journalled_before_it_is_sent() -> None:
    """With a full disk nothing is done."""
    rig = repair_rig()
    await rig.start("small")
    rig.journal.broken = True

    with pytest.raises(StoreError):
        await rig.say("approve", "n011")
    await rig.pass_time(5)

    assert rig.node.calls == []
    assert rig.run.step("act").phase == "approval"


async def test_a_result_that_cannot_be_written_does_not_send_the_verb_again() -> None:
    """The disk fills up between the order and its result."""
    rig = repair_rig()
    rig.node.gate = asyncio.Event()
    await rig.start("small")
    await rig.say("approve", "n011")
    rig.journal.broken = True
    rig.node.gate.set()
    await rig.pass_time(5)
    assert rig.run.step("act").phase == "acting"
    assert rig.engine.troubles

    rig.journal.broken = False
    await rig.pass_time(1)

    assert len(rig.node.calls) == 1
    assert rig.run.current == "proof"
    assert rig.engine.troubles == []


async def test_a_run_goes_on_after_a_restart() -> None:
    """Runs outlive the collector; a proof begins again, because nobody looked meanwhile."""
    rig = repair_rig()
    await rig.start("small")
    await rig.say("approve", "n011")
    rig.cases.change("I-1", active=False)
    rig.facts.values["gpu.sm_clock_ratio_to_peers"] = 0.98
    await rig.pass_time(8)
    rig.clock.seconds += 3600

    await rig.restart()
    await rig.pass_time(8)
    assert rig.run.current == "proof"
    await rig.pass_time(4)

    assert rig.run.state == "succeeded"


async def test_a_runbook_that_changed_ends_its_runs() -> None:
    """A run must not go on with steps that nobody agreed to."""
    rig = repair_rig()
    await rig.start("small")
    book = rig.library.runbooks["small"]
    rig.library = Library(runbooks={"small": replace(book, digest="another")}, actions=rig.library.actions)

    await rig.restart()

    assert rig.run.state == "failed"
    assert "changed since it was started" in rig.run.result


async def test_a_stored_run_that_cannot_be_read_is_told_and_harms_no_other() -> None:
    """One broken row must not keep the collector from starting."""
    rig = repair_rig()
    await rig.start("small")
    rig.journal.documents["R-0"] = json.dumps({"id": "R-0"})

    await rig.restart()

    assert [run.id for run in rig.engine.all()] == ["R-1"]
    assert "cannot be read" in rig.engine.troubles[0]


async def test_two_runs_never_share_a_target() -> None:
    """Two operators, one GPU."""
    rig = repair_rig()
    others = {
        "I-2": replace(TARGET, rank=91, device="GPU-other"),
        "I-3": Subject(kind="node", node="n011"),
        "I-4": Subject(kind="rank", node="n099", job="llm-70b", rank=3),
    }
    for id, culprit in others.items():
        rig.cases.incidents[id] = incident(culprit=culprit, id=id)
    await rig.start("small")

    with pytest.raises(ValueError, match="R-1 already works"):
        await rig.engine.start("I-1", "small", "bo")
    with pytest.raises(ValueError, match="never share a target"):
        await rig.engine.start("I-3", "small", "bo")
    assert (await rig.engine.start("I-2", "small", "bo")).id == "R-2"
    assert (await rig.engine.start("I-4", "small", "bo")).id == "R-3"
    await rig.engine.answer("R-1", "act", "abort", "", "ana")
    await rig.engine.answer("R-2", "act", "abort", "", "ana")
    assert (await rig.engine.start("I-3", "small", "bo")).state == "waiting"


async def test_a_run_is_not_ended_under_an_action() -> None:
    """Its result has to be written down."""
    rig = repair_rig()
    rig.node.gate = asyncio.Event()
    await rig.start("small")
    await rig.say("approve", "n011")

    with pytest.raises(ValueError, match="under way"):
        await rig.say("abort")
    rig.node.gate.set()
    await rig.pass_time(1)
    await rig.say("abort")

    assert rig.run.state == "aborted"


@pytest.mark.parametrize(
    ("incident_id", "runbook", "author", "error"),
    [
        ("I-9", "small", "ana", KeyError),
        ("I-1", "nothing", "ana", KeyError),
        ("I-1", "small", " ", ValueError),
    ],
)
async def test_a_start_that_makes_no_sense_is_refused(
    incident_id: str, runbook: str, author: str, error: type[Exception]
) -> None:
    """With a sentence for a person."""
    rig = repair_rig()

    with pytest.raises(error):
        await rig.engine.start(incident_id, runbook, author)

    assert rig.engine.all() == ()


@pytest.mark.parametrize(("step", "action"), [("proof", "approve"), ("act", "sing"), ("act", "answer")])
async def test_an_answer_that_nothing_waits_for_is_refused(step: str, action: str) -> None:
    """A console that is behind must not move a run that has gone on."""
    rig = repair_rig()
    await rig.start("small")

    with pytest.raises(ValueError, match=r"not open|nothing"):
        await rig.engine.answer("R-1", step, action, "n011", "ana")

    assert rig.run.current == "act"


async def test_the_audit_tells_who_did_what_where_and_how_it_went() -> None:
    """Before and after."""
    rig = repair_rig()
    await rig.start("small")
    await rig.say("approve", "n011")
    await rig.pass_time(1)

    records = rig.audit.of("action.reset_clocks")
    assert [record["result"] for record in records] == ["asked for", "done: done"]
    assert {record["actor"] for record in records} == {"ana"}
    assert {record["target"] for record in records} == {"n011"}
    assert "gpu.reset_clocks gpu=GPU-0a1b2c3d on n011" in records[0]["reason"]
    assert [record["action"] for record in rig.audit.records][:2] == ["run.start", "run.approve"]


CHECK = """\
  - id: look
    kind: check
    title: How is it?
    timeout_s: 10
    expect: like its peers
    branch:
      - {when: {timeout: true}, goto: blind}
      - {when: {fact: gpu.temperature_celsius, op: ">=", value: 85}, goto: hot}
      - when: {all: [{fact: gpu.state, op: "==", value: 0}, {fact: gpu.processes, op: "==", value: 0}]}
        goto: idle
      - {when: {else: true}, goto: fine}
  - {id: blind, kind: end, outcome: handed_over, note: Nothing to see}
  - {id: hot, kind: end, outcome: mitigated, note: It is hot}
  - {id: idle, kind: end, outcome: no_fault, note: It is idle}
  - {id: fine, kind: end, outcome: no_fault, note: It is fine}"""


@pytest.mark.parametrize(
    ("values", "waits_s", "goes_to"),
    [
        ({"gpu.temperature_celsius": 90.0}, 0, "hot"),
        ({"gpu.temperature_celsius": 60.0, "gpu.state": 0.0, "gpu.processes": 0.0}, 0, "idle"),
        ({"gpu.temperature_celsius": 60.0, "gpu.state": 0.0, "gpu.processes": 3.0}, 0, "fine"),
        ({"gpu.temperature_celsius": 60.0, "gpu.state": 1.0}, 0, "fine"),
        ({"gpu.temperature_celsius": 60.0, "gpu.state": 0.0}, 11, "blind"),
        ({"gpu.temperature_celsius": float("nan"), "gpu.state": 1.0}, 11, "blind"),
        ({}, 11, "blind"),
        ({"gpu.temperature_celsius": "hot"}, 11, "blind"),
    ],
)
async def test_a_check_takes_the_branch_that_is_certain(
    values: dict[str, float], waits_s: float, goes_to: str
) -> None:
    """What is not known leads to the time-out and never to "else"."""
    rig = Rig(library=small_library(CHECK))
    rig.facts.values |= values
    await rig.start("small")
    if waits_s:
        assert rig.run.state == "running"
        await rig.pass_time(waits_s)

    assert rig.run.path[-1] == goes_to


async def test_an_ended_run_is_not_moved() -> None:
    """What is over is over."""
    rig = Rig(library=small_library(CHECK))
    rig.facts.values["gpu.temperature_celsius"] = 90.0
    await rig.start("small")

    with pytest.raises(ValueError, match="is over"):
        await rig.engine.answer("R-1", "hot", "abort", "", "ana")
    await rig.pass_time(5)

    assert rig.run.state == "mitigated"
    assert rig.run.path == ("look", "hot")
