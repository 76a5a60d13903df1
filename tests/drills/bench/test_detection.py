"""The detection bench on a few small runs: what it simulates, how it judges, what it prints."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ringwatch_drills.bench.detection import cli, traces
from ringwatch_drills.bench.detection.baselines import BASELINES, Seen
from ringwatch_drills.bench.detection.draw import PLANS, runs
from ringwatch_drills.bench.detection.physics import Job
from ringwatch_drills.bench.detection.report import Outcome, as_object, as_text
from ringwatch_drills.bench.detection.run import Ran, Run
from ringwatch_drills.bench.detection.scenario import GUILTY, INNOCENT, Scenario, Shape, Trouble
from ringwatch_drills.bench.detection.score import ANSWERS, score
from ringwatch_drills.bench.detection.troubles import BEGIN


def ran(kind: str, *, shape: Shape | None = None, size: float = 0.3, step_s: float = 0.5) -> Ran:
    """Run one trouble on a small job."""
    warm_s = 40 * step_s + 10.0
    trouble = Trouble(kind=kind, rank=3, size=size, after_s=warm_s)
    return Run(
        Scenario(
            name=kind, seed=5, shape=shape or Shape(data=8), step_s=step_s, transport="tcp",
            troubles=(trouble,), lasts_s=warm_s + 30.0, dense_s=15.0,
        )
    ).go()  # fmt: skip


@pytest.mark.parametrize("kind", ["thermal", "dataloader", "hang_blocked", "gpu_off_bus"])
def test_what_was_done_is_named_with_its_cause(kind: str) -> None:
    """From the simulated world through fleet state, rules, fusion and book to the right answer."""
    result = score("faults", ran(kind))
    (found,) = result.found
    assert (found.named, found.top1, found.cause_right) == (True, True, True)
    assert (result.right_pages, result.false_pages) == (1, ())


def test_a_healthy_run_with_red_herrings_pages_nobody() -> None:
    """Notices, followers and hot parts that slow nobody are no fault."""
    assert score("innocent", ran("red_herrings")).false_pages == ()


def test_a_wrong_name_is_a_false_page() -> None:
    """The same incidents against another truth: precision has to fall."""
    right = ran("gpu_slow")
    other = Trouble(kind="gpu_slow", rank=6, size=0.3, after_s=right.scenario.onset_s)
    scenario = Scenario(
        name="gpu_slow", seed=5, shape=Shape(data=8), step_s=0.5, transport="tcp", troubles=(other,)
    )
    wrong = Ran(
        scenario=scenario, paged_s=right.paged_s, last=right.last, series=right.series,
        onset_s=right.onset_s, steps_ended_s=right.steps_ended_s, looks=right.looks,
    )  # fmt: skip
    result = score("faults", wrong)
    assert len(result.false_pages) == 1
    assert not result.found[0].named


def test_every_kind_has_a_way_to_begin_and_guilt_has_an_answer() -> None:
    """The tables of the bench cover each other."""
    assert set(BEGIN) == {*GUILTY, *INNOCENT}
    assert set(ANSWERS) == set(GUILTY)


def test_one_seed_gives_the_same_runs() -> None:
    """What is reported can be run again."""
    first, again = (list(runs(PLANS["smoke"], 7)) for _ in range(2))
    assert first == again
    assert first != list(runs(PLANS["smoke"], 8))


def test_a_rank_that_is_held_holds_up_all_that_wait_for_it() -> None:
    """Infinity spreads through the groups, and nowhere else."""
    job = Job(Scenario(name="x", seed=1, shape=Shape(data=2, tensor=2), step_s=1.0, transport="tcp"), 0.0)
    job.hold_now(0, 0)
    assert np.isinf(job.now.ends_s[0]).tolist() == [True, True, False, False]
    assert np.isinf(job.now.ends_s[-1]).all()


def test_published_rules_see_a_rank_that_is_twice_as_slow() -> None:
    """Each of them names it, so that beating them is no matter of a broken copy."""
    rng = np.random.default_rng(0)
    own = np.exp(0.01 * rng.standard_normal((120, 16)))
    own[60:, 5] *= 2.5
    step = own.max(axis=1)
    wait = step[:, None] - own
    seen = Seen(
        own_s=own, wait_s=wait, step_s=step, ended_s=np.cumsum(10 * step),
        stage_of=np.zeros(16, np.int64), node_of=np.arange(16),
    )  # fmt: skip
    assert {name for name, rule in BASELINES.items() if set(rule(seen)) == {5}} == set(BASELINES)


def test_the_report_is_tables_and_one_object() -> None:
    """The keys that others read are there, and absent figures are null."""
    outcome = Outcome(seed=1, scale="smoke", results=[score("faults", ran("thermal"))])
    told = json.loads(json.dumps(as_object(outcome)))
    keys = {"precision", "recall", "top1", "cause_accuracy", "delay_steps_p50", "delay_s_p95",
            "false_pages_per_1000_rank_days", "by_kind", "baselines"}  # fmt: skip
    assert keys <= set(told)
    assert (told["recall"], told["false_pages_per_1000_rank_days"]) == (1.0, None)
    assert "by kind" in as_text(outcome)


def test_a_replayed_step_moves_what_waits_for_longer_work() -> None:
    """Two workers meet in a reduction: the work of one that is doubled moves the other's end."""
    step = traces.TraceStep(
        worker=np.array([0, 1, 0, 1]),
        compute=np.array([True, True, False, False]),
        start_s=np.array([0.0, 0.0, 1.0, 1.2]),
        end_s=np.array([1.0, 1.2, 1.3, 1.3]),
        group=np.array([-1, -1, 0, 0]),
        role=np.array(["forward-compute"] * 2 + [traces.REDUCE] * 2, dtype=object),
        after=((), (), (0,), (1,)),
    )
    as_it_was = traces.replay(step, 2)
    slowed = traces.replay(step, 2, np.array([2.0, 1.0]))
    assert as_it_was.length_s == pytest.approx(1.3)
    assert slowed.length_s == pytest.approx(2.1)
    assert slowed.lasts_s[traces.REDUCE].tolist() == pytest.approx([0.1, 0.9])


def test_an_unknown_scale_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The scales are a closed list."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["--scale", "huge"])
    assert stop.value.code == 2
    assert "huge" in capsys.readouterr().err
