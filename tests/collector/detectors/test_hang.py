"""A hang names who is waited for; whatever still moves, pauses or died is no hang."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.collector.detectors.builders import NOW, JobSpec, Op, fleet, gpus, job, stalled, states

from ringwatch_collector.detectors.hang import Hang
from ringwatch_collector.view import FleetView, RankStates
from ringwatch_proto.layout import Collective, Phase
from ringwatch_proto.records import Finding, Severity, Verdict

STOPPED = np.array([ord("S"), ord("S"), ord("T"), ord("S")])


def view_of(seen: RankStates, still_s: float, **spec: Any) -> FleetView:
    """Return a fleet whose job made its last step ``still_s`` ago."""
    made = JobSpec(**({"steps": 60} | spec))
    return fleet(job(made, now_s=NOW - still_s, states=seen), gpu=gpus(4, 1))


def look(view: FleetView) -> list[Finding]:
    """Run the detector once."""
    return Hang().look(view)


def test_a_stopped_process_is_named_within_three_seconds() -> None:
    """The process table is believed at once."""
    (finding,) = look(view_of(stalled(4, [2], 2.4, process_state=STOPPED), 2.4))
    assert (finding.culprit.rank, finding.cause) == (2, "process_stopped")
    assert finding.severity is Severity.CRITICAL
    assert finding.confidence > 0.9
    assert finding.gpus_held == 4


def test_a_rank_stopped_inside_the_collective_is_named_too() -> None:
    """All ranks hold the collective in flight; the stopped one is the reason."""
    (finding,) = look(view_of(stalled(4, [], 2.4, process_state=STOPPED), 2.4))
    assert finding.culprit.rank == 2


def test_a_stop_that_is_too_short_is_no_hang() -> None:
    """Stop signals in a duty cycle slow a job; they do not hang it."""
    assert look(view_of(stalled(4, [2], 1.2, process_state=STOPPED), 1.2)) == []


def test_who_never_came_is_named_after_ten_seconds() -> None:
    """First a warning, then critical after twice the time."""
    assert look(view_of(stalled(4, [1], 8.0), 8.0)) == []
    (early,) = look(view_of(stalled(4, [1], 12.0), 12.0))
    (late,) = look(view_of(stalled(4, [1], 22.0), 22.0))
    assert (early.culprit.rank, early.cause, early.severity) == (1, "never_launched", Severity.WARNING)
    assert late.severity is Severity.CRITICAL


def test_a_job_whose_collectives_take_long_needs_more_patience() -> None:
    """Twelve seconds are nothing where ranks wait five in every step; a long step alone is no reason."""
    waits = (Op(name="world", groups=[range(4)], transfer_s=5.0, share=1.0),)
    assert look(view_of(stalled(4, [1], 12.0), 12.0, ops=waits)) == []
    assert len(look(view_of(stalled(4, [1], 12.0), 12.0, work_s=2.0))) == 1


@pytest.mark.parametrize(
    ("letter", "phase", "cause"),
    [
        ("D", Phase.COMPUTE, "process_blocked"),
        ("Z", Phase.COMPUTE, "process_ended"),
        ("S", Phase.DATA, "dataloader"),
        ("R", Phase.COMPUTE, "never_launched"),
    ],
)
def test_what_the_missing_rank_does_is_the_cause(letter: str, phase: Phase, cause: str) -> None:
    """Process state and phase of the one that never came say why."""
    seen = stalled(4, [1], 15.0)
    seen.process_state[1] = ord(letter)
    seen.phase[1] = phase
    (finding,) = look(view_of(seen, 15.0))
    assert (finding.culprit.rank, finding.cause) == (1, cause)


def test_one_left_behind_in_a_collective_that_the_peers_have_left() -> None:
    """It launched fewer than its peers: the device or the network is stuck there."""
    seen = stalled(4, [], 15.0)
    seen.launched[3] = seen.completed[3] = 700
    seen.completed[3] = 699
    (finding,) = look(view_of(seen, 15.0))
    assert (finding.culprit.rank, finding.cause) == (3, "stuck_in_collective")


def test_all_in_the_same_collective_is_cannot_tell() -> None:
    """Nothing separates the ranks: nobody is named."""
    (finding,) = look(view_of(stalled(4, [], 15.0), 15.0))
    assert (finding.culprit.kind, finding.verdict) == ("none", Verdict.CANNOT_TELL)
    assert finding.unsure


def test_most_ranks_missing_is_something_that_they_share() -> None:
    """Three of four that have not come are no culprits."""
    (finding,) = look(view_of(stalled(4, [0, 1, 2], 15.0), 15.0))
    assert finding.culprit.kind == "none"


def test_a_silent_node_is_named_when_all_that_report_wait() -> None:
    """What happens there is not seen, and that is where the others wait for."""
    seen = stalled(4, [], 15.0)
    seen.received_s[2] = NOW - 14.0
    (finding,) = look(view_of(seen, 15.0))
    assert (finding.culprit.node, finding.cause) == ("n002", "node_silent")


def test_a_job_that_moves_is_no_hang() -> None:
    """One rank whose step still advances is enough."""
    seen = stalled(4, [1], 30.0)
    seen.beat_age_s[3] = 0.2
    assert look(view_of(seen, 30.0)) == []


def test_a_pause_outside_collectives_is_no_hang() -> None:
    """A checkpoint of all ranks waits for nobody."""
    still = np.full(4, 40.0, np.float32)
    seen = states(4, phase=np.full(4, int(Phase.PAUSE)), beat_age_s=still, phase_age_s=still)
    assert look(view_of(seen, 40.0)) == []


def test_a_dead_rank_is_another_story() -> None:
    """The others wait for one who is gone: that is said elsewhere."""
    seen = stalled(4, [1], 30.0)
    seen.alive[1] = False
    assert look(view_of(seen, 30.0)) == []


def test_ranks_that_finished_do_not_hang() -> None:
    """An ended job stands still for good."""
    seen = stalled(4, [1], 30.0, phase=np.full(4, int(Phase.ENDED)), alive=np.zeros(4, np.bool_))
    assert look(view_of(seen, 30.0)) == []


def test_a_blind_collector_sees_no_hang() -> None:
    """States that are all old say nothing about now."""
    seen = replace(stalled(4, [1], 30.0), received_s=np.full(4, NOW - 30.0))
    assert look(view_of(seen, 30.0)) == []


def test_the_first_step_may_take_its_time() -> None:
    """Compilation and connections come before the first step."""
    fresh = stalled(4, [1], 40.0, step=np.zeros(4, np.int64))
    view = view_of(fresh, 40.0)
    empty = replace(view.jobs[0], step_s=np.full_like(view.jobs[0].step_s, np.nan))
    assert look(replace(view, jobs=(empty,))) == []


def test_in_a_pipeline_the_stage_that_never_came_is_named() -> None:
    """Stages launch different numbers of collectives; who has nothing in flight is missing."""
    stages = [range(4), range(4, 8)]
    ops = (Op(name="dp", groups=stages, transfer_s=0.01, share=1.0, kind=Collective.ALL_REDUCE),)
    seen = stalled(8, [6], 15.0)
    seen.launched[:4] += 1000
    seen.completed[:4] += 1000
    view = fleet(job(JobSpec(ranks=8, steps=40, ops=ops), now_s=NOW - 15.0, states=seen))
    (finding,) = look(view)
    assert finding.culprit.rank == 6
