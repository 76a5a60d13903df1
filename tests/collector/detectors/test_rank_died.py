"""Of ranks that die together the first is the cause, and what killed it is said."""

from dataclasses import replace

import numpy as np
import pytest
from tests.collector.detectors.builders import NOW, JobSpec, event, fleet, job, nodes

from ringwatch_collector.detectors.rank_died import RankDied
from ringwatch_collector.view import FleetView, SeenEvent
from ringwatch_proto import events
from ringwatch_proto.records import Finding, Verdict


def died(rank: int, ago_s: float, **fields: str) -> SeenEvent:
    """Return a death without a goodbye."""
    told = {"job": "llm", "rank": str(rank), "pid": str(1000 + rank)} | fields
    return event(events.RANK_DIED, f"n{rank:03d}", ago_s, fields=told)


def left(rank: int, ago_s: float, reason: str) -> SeenEvent:
    """Return a goodbye."""
    told = {"job": "llm", "rank": str(rank), "pid": str(1000 + rank), "reason": reason}
    return event(events.RANK_LEFT, f"n{rank:03d}", ago_s, fields=told)


def view_of(*seen: SeenEvent) -> FleetView:
    """Return a fleet in which these events happened."""
    return fleet(job(JobSpec(steps=20)), events=sorted(seen, key=lambda each: each.at_s))


def only(view: FleetView) -> Finding:
    """Return the one finding."""
    (finding,) = RankDied().look(view)
    return finding


LOST = "exception: RuntimeError: [gloo] Connection closed by peer"


def test_the_killed_rank_is_named_and_the_others_are_victims() -> None:
    """The exceptions of the survivors are stamped a moment before the loss was seen."""
    finding = only(view_of(left(0, 2.05, LOST), left(3, 2.04, LOST), died(1, 2.0), died(2, 1.5)))
    assert (finding.culprit.rank, finding.cause) == (1, "killed")
    assert {victim.rank for victim in finding.victims if victim.kind == "rank"} == {0, 2, 3}
    assert len(finding.ruled_out) == 3
    assert finding.latched


def test_a_rank_that_the_launcher_terminated_is_a_victim() -> None:
    """SIGTERM comes from who cleans up."""
    finding = only(view_of(died(0, 2.4, signal="15"), died(1, 2.2, signal="9")))
    assert finding.culprit.rank == 1


def test_close_deaths_of_two_nodes_have_no_sure_order() -> None:
    """Within clock error the order is said to be uncertain and the confidence is lower."""
    finding = only(view_of(died(0, 2.0), died(1, 1.9)))
    assert finding.confidence < only(view_of(died(0, 3.0), died(1, 1.9))).confidence
    assert finding.evidence[0].order_uncertain


def test_the_kernels_oom_kill_is_the_cause() -> None:
    """The process id joins the two."""
    oom = event(events.KERNEL_OOM, "n001", 2.1, fields={"pid": "1001"})
    other = event(events.KERNEL_OOM, "n001", 2.1, fields={"pid": "77"})
    assert only(view_of(oom, died(1, 2.0))).cause == "oom"
    assert only(view_of(other, died(1, 2.0))).cause == "killed"


def test_the_applications_gpu_exception_is_the_cause() -> None:
    """Xid 31 before the end is the program's own fault."""
    fault = event(events.GPU_XID, "n001", 2.5, code=31, fields={"pid": "1001"}, text="MMU Fault")
    finding = only(view_of(fault, died(1, 2.0)))
    assert (finding.cause, finding.verdict) == ("gpu_exception", Verdict.SOFTWARE)


@pytest.mark.parametrize(
    ("fields", "cause", "verdict"),
    [
        ({"signal": "9"}, "killed", Verdict.CANNOT_TELL),
        ({"signal": "11"}, "killed", Verdict.SOFTWARE),
        ({"exit_code": "1"}, "exited", Verdict.SOFTWARE),
        ({}, "killed", Verdict.CANNOT_TELL),
    ],
)
def test_what_is_known_of_the_end_is_said(fields: dict[str, str], cause: str, verdict: Verdict) -> None:
    """A signal, an exit code, or nothing."""
    finding = only(view_of(died(2, 2.0, **fields)))
    assert (finding.cause, finding.verdict) == (cause, verdict)


def test_the_first_exception_of_its_own_is_the_cause() -> None:
    """Nobody was killed: who raised something else than a lost peer began it."""
    finding = only(
        view_of(left(0, 2.1, LOST), left(3, 2.0, "exception: ValueError: loss is NaN"), left(1, 1.9, LOST))
    )
    assert (finding.culprit.rank, finding.cause, finding.verdict) == (3, "exception", Verdict.SOFTWARE)


def test_when_all_say_that_a_peer_went_nobody_is_named() -> None:
    """The first to go was not seen."""
    finding = only(view_of(left(0, 2.1, LOST), left(3, 2.0, LOST)))
    assert (finding.culprit.kind, finding.verdict) == ("none", Verdict.CANNOT_TELL)


def test_watchdogs_that_speak_minutes_later_belong_to_the_first_death() -> None:
    """NCCL's time-out is ten minutes: who only lost a peer by then follows from the one that went first."""
    watchdog = "exception: NCCL watchdog: collective timed out"
    finding = only(view_of(died(1, 605.0), left(0, 4.0, watchdog), left(2, 3.0, watchdog)))
    assert (finding.culprit.rank, finding.cause) == (1, "killed")


def test_a_job_that_finished_is_nothing() -> None:
    """A goodbye without an exception is how jobs end."""
    assert RankDied().look(view_of(left(0, 2.0, "finished"), left(1, 2.0, "finished"))) == []


def test_an_old_death_and_one_from_before_the_agent_are_nothing() -> None:
    """Backfill is history, and so is what came a minute ago."""
    old = died(1, 120.0)
    past = replace(died(1, 2.0), backfill=True)
    assert RankDied().look(view_of(old)) == []
    assert RankDied().look(view_of(past)) == []


def test_a_rank_that_joined_again_is_not_dead() -> None:
    """After a restart the story is over."""
    back = event(events.RANK_JOINED, "n001", 1.0, fields={"job": "llm", "rank": "1"})
    assert RankDied().look(view_of(died(1, 2.0), back)) == []


def test_an_earlier_death_may_still_be_on_its_way() -> None:
    """Until every node was heard since, or a second and a half passed, nobody is named."""
    recent = replace(died(1, 0.6), received_s=NOW - 0.1)
    late = nodes(4, last_batch_s=np.array([NOW - 0.9, NOW - 0.1, NOW - 0.8, NOW - 0.1]))
    heard = nodes(4, last_batch_s=np.full(4, NOW - 0.1))
    view = view_of(recent)
    assert RankDied().look(replace(view, nodes=late)) == []
    assert len(RankDied().look(replace(view, nodes=heard))) == 1


def test_deaths_of_two_jobs_are_two_findings() -> None:
    """One job's death explains nothing in another."""
    found = RankDied().look(view_of(died(1, 2.0), died(2, 2.0, job="other")))
    assert {finding.culprit.job for finding in found} == {"llm", "other"}
