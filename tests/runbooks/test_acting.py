"""Tests of actions: consent, looking again just before, and what came of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from ringwatch_proto.records import IncidentState
from ringwatch_runbooks.base import VerbOutcome

from .rig import END, FIXED, PROOF, STILL, TARGET, Rig, repair_rig, small_library

UNASKED = """\
  - {id: act, kind: action, title: Take back, uses: reset_clocks_unasked, then: proof, on_fail: over}"""


async def test_nothing_is_done_before_the_target_is_typed() -> None:
    """Consent to something else is no consent."""
    rig = repair_rig()
    await rig.start("small")

    for text in ("", "yes", "n01", "n011 ", "N011"):
        with pytest.raises(ValueError, match="the target is 'n011'"):
            await rig.say("approve", text)
    await rig.pass_time(2)

    assert rig.node.calls == []
    assert rig.run.state == "waiting"
    assert [record["result"][:7] for record in rig.audit.of("run.approve")] == ["refused"] * 5


@pytest.mark.parametrize("value", [False, None])
async def test_a_precondition_that_does_not_hold_refuses_the_action(value: bool | None) -> None:
    """A reading that is absent refuses like one that is wrong."""
    rig = repair_rig()
    await rig.start("small")
    rig.facts.values.pop("node.connected")
    if value is not None:
        rig.facts.values["node.connected"] = value

    await rig.say("approve", "n011")
    await rig.pass_time(2)

    assert rig.node.calls == []
    step = rig.run.step("act")
    assert step.state == "waiting"
    assert step.why.startswith("refused: node.connected")
    assert step.approved_by == ()
    rig.facts.values["node.connected"] = True
    await rig.say("approve", "n011")
    await rig.pass_time(1)
    assert rig.node.acted == ["gpu.reset_clocks"]


async def test_a_stale_reading_is_no_reading() -> None:
    """What was true a minute ago proves nothing about now."""
    rig = repair_rig()
    rig.facts.ages["node.connected"] = 60.0
    await rig.start("small")

    await rig.say("approve", "n011")

    assert "stale" in rig.run.step("act").why
    assert rig.node.calls == []


async def test_the_trigger_is_looked_at_again_before_acting() -> None:
    """A fault that went by itself needs no repair, only its proof."""
    rig = repair_rig()
    await rig.start("small")
    rig.cases.change("I-1", active=False)

    await rig.say("approve", "n011")
    await rig.pass_time(1)

    assert rig.node.calls == []
    assert rig.run.step("act").state == "skipped"
    assert rig.run.current == "proof"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": IncidentState.RESOLVED}, "was closed in the meantime"),
        ({"culprit": replace(TARGET, rank=91)}, "now points at"),
    ],
)
async def test_an_incident_that_changed_refuses_the_action(change: dict[str, object], words: str) -> None:
    """The target that was approved may not be the culprit any more."""
    rig = repair_rig()
    await rig.start("small")
    rig.cases.change("I-1", **change)

    await rig.say("approve", "n011")

    assert words in rig.run.step("act").why
    assert rig.node.calls == []


async def test_a_target_that_changed_under_the_approval_is_shown_again() -> None:
    """Consent was given to what was shown."""
    rig = repair_rig()
    await rig.start("small")
    rig.facts.known["gpu"] = "GPU-ffffffff"

    await rig.say("approve", "n011")

    assert "changed since it was shown" in rig.run.step("act").why
    assert "GPU-ffffffff" in rig.run.step("act").command
    assert rig.node.calls == []


@pytest.mark.parametrize("status", ["refused", "failed", "timed_out"])
async def test_an_action_that_fails_takes_its_own_way(status: str) -> None:
    """The policy of a node may not allow what a person approved."""
    rig = repair_rig()
    rig.node.outcome = VerbOutcome(status=status, text="the policy of this node does not allow it")
    await rig.start("small")
    await rig.say("approve", "n011")
    await rig.pass_time(1)

    assert rig.run.state == "handed_over"
    assert "policy of this node" in rig.run.step("act").why


async def test_a_node_that_never_answers_is_given_up_on() -> None:
    """Nothing stays running for ever."""
    rig = repair_rig()
    rig.node.gate = asyncio.Event()
    await rig.start("small")
    await rig.say("approve", "n011")
    await rig.pass_time(10)
    assert rig.run.state == "running"

    await rig.pass_time(20)

    assert rig.run.state == "handed_over"
    assert len(rig.node.calls) == 1


async def test_a_dry_run_changes_nothing() -> None:
    """It asks the node what it would do, and the action still waits for its approval."""
    rig = repair_rig()
    rig.node.outcome = VerbOutcome(status="done", text="would take back the clocks")
    await rig.start("small")

    await rig.say("dry_run")

    assert [call.dry_run for call in rig.node.calls] == [True]
    assert rig.node.acted == []
    assert rig.run.step("act").output[-1] == "done: would take back the clocks"
    assert rig.run.step("act").phase == "approval"


async def test_an_action_is_left_out_only_with_a_reason() -> None:
    """Whoever reads the run later wants to know why."""
    rig = repair_rig()
    await rig.start("small")

    with pytest.raises(ValueError, match="needs a reason"):
        await rig.say("skip", "  ")
    await rig.say("skip", "the job ends in a minute")

    assert rig.run.step("act").why == "the job ends in a minute"
    assert rig.run.state == "handed_over"


DRAIN = """\
  - {id: drain, kind: action, title: Drain the node, uses: drain, then: cycle, on_fail: over}
  - {id: cycle, kind: action, title: Power cycle it, uses: power_cycle, then: over, on_fail: over}"""


async def test_a_second_person_has_to_be_another_person() -> None:
    """Two approvals of one person are one."""
    rig = Rig(library=small_library(DRAIN, END))
    await rig.start("small")
    await rig.say("approve", "n011")
    await rig.say("answer", "done")
    await rig.say("approve", "n011", author="ana")
    assert rig.run.step("cycle").phase == "second"

    for name in ("ana", "ANA", " ana "):
        with pytest.raises(ValueError, match="second person"):
            await rig.say("approve", "n011", author=name)
    await rig.say("approve", "n011", author="bo")

    step = rig.run.step("cycle")
    assert step.phase == "confirm"
    assert step.approved_by == ("ana", "bo")
    await rig.say("answer", "done", author="bo")
    assert rig.run.state == "handed_over"


async def test_a_manual_action_shows_a_command_and_takes_the_word_of_a_person() -> None:
    """What is run elsewhere is confirmed by who ran it."""
    rig = Rig(library=small_library(DRAIN, END))
    await rig.start("small")
    assert rig.run.step("drain").command == "scontrol update nodename=n011 state=drain reason=I-1"

    await rig.say("approve", "n011")
    with pytest.raises(ValueError, match="done or failed"):
        await rig.say("answer", "maybe")
    await rig.say("answer", "failed")

    assert rig.node.calls == []
    assert rig.run.state == "handed_over"


@pytest.mark.parametrize(
    "value",
    [
        "n1; reboot",
        "$(reboot)",
        "n1\nreboot",
        "--help",
        "n'1",
        'n"1',
        "n 1",
        "",
        "n1`x`",
        "n1|x",
        "节点",
        "a" * 200,
    ],
)
async def test_a_hostile_name_never_reaches_a_command(value: str) -> None:
    """A name that a node made up must not become an option, a quote or a second command."""
    rig = Rig(library=small_library(DRAIN, END))
    rig.facts.known["node"] = value

    await rig.start("small")

    assert rig.run.step("drain").state == "failed"
    assert rig.run.step("drain").command == ""
    assert rig.run.state == "handed_over"


@pytest.mark.parametrize("value", ["GPU-0; x", "--gpu", "GPU 0", "GPU\x1b[2J"])
async def test_a_hostile_device_never_reaches_a_verb(value: str) -> None:
    """Arguments are checked before anything is sent."""
    rig = repair_rig()
    rig.facts.known["gpu"] = value

    await rig.start("small")

    assert rig.run.state == "handed_over"
    assert rig.node.calls == []


async def test_an_action_without_approval_is_seen_to_work_before_it_counts() -> None:
    """A verb that says done is believed when its effect is read."""
    rig = Rig(library=small_library(UNASKED, PROOF, STILL.replace("goto: act", "goto: over"), FIXED, END))
    rig.facts.values |= {"node.connected": True, "gpu.sm_clock_ratio_to_peers": 0.6}
    await rig.start("small")
    await rig.pass_time(5)
    assert rig.run.step("act").phase == "settling"

    await rig.pass_time(10)

    assert rig.run.state == "handed_over"
    assert rig.run.step("act").outcome == "done, but not seen"
