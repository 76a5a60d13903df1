"""What was learned comes back to the same run, in whatever order it is seen again, and to no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.collector.rig import Rig, batch, collective, eventually, hello, running, step

from ringwatch_collector.fleet.learned import LearnedJob, flows_content, read_flows, read_job
from ringwatch_collector.fleet.references import Reference

WHO = frozenset({(0, "n1", 100), (1, "n1", 101), (2, "n2", 100)})
LEARNED = LearnedJob(
    who=WHO,
    ranks=(0, 1, 2),
    slots=(("dp", (), 0), ("tp", (0, 1), 3)),
    reference=Reference(
        steps=40,
        step_s=0.25,
        compute_s=np.array([1.0, 2.0, np.nan], np.float32),
        data_s=np.array([0.1, 0.2, 0.3], np.float32),
        transfer_s=np.array([0.01, 0.02], np.float32),
        wait_s=np.array([[1, 2, 3], [4, 5, 6]], np.float32),
    ),
)


def test_a_job_comes_back_from_its_bytes() -> None:
    """Gaps stay gaps."""
    again = read_job(LEARNED.content())
    assert (again.who, again.ranks, again.slots) == (LEARNED.who, LEARNED.ranks, LEARNED.slots)
    assert again.reference.step_s == 0.25
    assert np.array_equal(again.reference.compute_s, LEARNED.reference.compute_s, equal_nan=True)
    assert np.array_equal(again.reference.wait_s, LEARNED.reference.wait_s)


def test_ranks_and_slots_in_another_order_get_what_is_theirs_and_new_ones_nothing() -> None:
    """Slots are numbered as they are seen, and a restart sees them in another order."""
    fitted = LEARNED.fitted([2, 0, 7], [("tp", (0, 1), 3), ("pp", (), 0), ("dp", (), 0)])
    assert np.array_equal(fitted.data_s, np.array([0.3, 0.1, np.nan], np.float32), equal_nan=True)
    assert np.array_equal(fitted.transfer_s, np.array([0.02, np.nan, 0.01], np.float32), equal_nan=True)
    wanted = np.array([[6, 4, np.nan], [np.nan] * 3, [3, 1, np.nan]], np.float32)
    assert np.array_equal(fitted.wait_s, wanted, equal_nan=True)


def test_flows_come_back_from_their_bytes() -> None:
    """By node and peer address."""
    rows = [("n1", b"\x01" * 16, 5e9), ("n2", b"\x02" * 16, 1e9)]
    assert read_flows(flows_content(rows)) == {(node, peer): value for node, peer, value in rows}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04rubbish", flows_content([])])
def test_bytes_that_are_no_job_are_refused(content: bytes) -> None:
    """Counted by the caller, and never unpickled."""
    with pytest.raises(ValueError, match="not"):
        read_job(content)


async def _train(rig: Rig, *, steps: range, first_pid: int = 100, step_s: float = 0.1) -> None:
    """Report steps of a job of two ranks."""
    agent = await rig.agent(
        hello(spool=f"s{first_pid}", ranks=2, first_pid=first_pid, communicator_ranks=(0, 1))
    )
    for at, number in enumerate(steps):
        both = b"".join(step(row, number, step_s) for row in (0, 1))
        waits = b"".join(collective(row, number, 0, 0.01) for row in (0, 1))
        await agent.send(batch(at + 1 + steps.start, blocks=[], steps=both, collectives=waits))
    taken = rig.collector.counters
    await eventually(lambda: taken.batches_taken >= len(steps))
    await agent.close()


def _reference_s(rig: Rig) -> float:
    rig.collector.fleet.settle()
    return rig.collector.fleet.jobs.get("train").reference.step_s  # type: ignore[union-attr]


async def test_a_job_that_runs_through_a_restart_keeps_its_reference(tmp_path: Path) -> None:
    """And does not take a slow present for its healthy past."""
    async with running(tmp_path, tick_s=0.1) as rig:
        await _train(rig, steps=range(1, 60))
        await eventually(lambda: _reference_s(rig) == pytest.approx(0.1))
    async with running(tmp_path, tick_s=0.1) as rig:
        await _train(rig, steps=range(60, 120), step_s=0.5)
        await eventually(lambda: rig.collector.fleet.jobs.get("train").reference.steps > 0)  # type: ignore[union-attr]
        assert _reference_s(rig) == pytest.approx(0.1)


async def test_another_run_of_the_same_name_learns_anew(tmp_path: Path) -> None:
    """It may have another batch size."""
    async with running(tmp_path, tick_s=0.1) as rig:
        await _train(rig, steps=range(1, 60))
        await eventually(lambda: _reference_s(rig) == pytest.approx(0.1))
    async with running(tmp_path, tick_s=0.1) as rig:
        await _train(rig, steps=range(1, 60), first_pid=900, step_s=0.5)
        await eventually(lambda: _reference_s(rig) == pytest.approx(0.5))
