"""What must not be said: long noisy runs of healthy jobs, simulated and measured."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.collector.detectors.builders import NOW, Array, JobSpec, fleet, job, states

from ringwatch_collector.detectors.all import ALL
from ringwatch_collector.view import CollectiveSlot, FleetView, JobView
from ringwatch_proto.layout import Collective
from ringwatch_proto.records import Finding, Severity

# Measured with torch 2.13: 4 ranks of a small model over Gloo on two cores that other programs used too
# (load average 11), 120 ms a step. ``steps`` is (T, rank, field): wall, data, compute, three collectives,
# pause, step, in seconds. Between the two times ``stopped_s`` rank 2 was stopped for 100 of each 180 ms.
TRACE = Path(__file__).parent / "data" / "gloo_two_cores.npz"
WARM, LEARNED = 5, 60


def everything(view: FleetView) -> list[Finding]:
    """Run all detectors; keep what would wake somebody. That noise is uneven work may be said aside."""
    return [finding for rule in ALL for finding in rule.look(view) if finding.severity > Severity.INFO]


@pytest.mark.parametrize("noise", [0.05, 0.3])
def test_two_thousand_noisy_windows_say_nothing(noise: float) -> None:
    """Each step of a long run ends a window of its own; t(3) noise, 4 ranks."""
    said = []
    for seed in range(4):
        spec = JobSpec(seed=seed, noise=noise, steps=620)
        whole = job(spec)
        for end in range(120, 620, 2):
            said += everything(fleet(_cut(whole, max(0, end - 256), end)))
    assert said == []


def _cut(whole: JobView, first: int, end: int) -> JobView:
    """Return the job as it was seen at the end of one step."""
    rows = slice(first, end)
    return replace(
        whole,
        steps=whole.steps[rows],
        ended_s=whole.ended_s[rows] + (NOW - 0.2 - whole.ended_s[end - 1].max()),
        step_s=whole.step_s[rows],
        data_s=whole.data_s[rows],
        compute_s=whole.compute_s[rows],
        pause_s=whole.pause_s[rows],
        flags=whole.flags[rows],
        collective_start_s=whole.collective_start_s[rows],
        collective_s=whole.collective_s[rows],
    )


@pytest.mark.parametrize("seed", range(3))
def test_large_healthy_jobs_say_nothing(seed: int) -> None:
    """256 ranks are 256 chances to be wrong at each look."""
    assert everything(fleet(job(JobSpec(seed=seed, ranks=256, per_node=8, steps=100, noise=0.1)))) == []


def test_ranks_that_drift_for_a_while_are_not_accused() -> None:
    """Neighbouring steps on a busy host are alike: such noise looks like a fault for seconds."""
    said = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        drift = np.zeros((250, 4))
        for step in range(1, 250):
            drift[step] = 0.8 * drift[step - 1] + 0.1 * rng.standard_t(3, 4)

        def drifting(base: Array, drift: Array = drift) -> Array:
            return base * np.exp(np.clip(drift, -1.0, 1.5))

        said += len(everything(fleet(job(JobSpec(seed=seed, noise=0.1, slow=drifting)))))
    assert said <= 1


def test_a_real_job_on_busy_cores_is_quiet_until_it_is_disturbed() -> None:
    """No finding in the healthy part; from the fault on only the stopped rank, within 20 s."""
    with np.load(TRACE) as trace:
        steps, stopped_s = trace["steps"].astype(np.float64), trace["stopped_s"]
    ended = np.median(steps[:, :, 0], axis=1)
    before, first = [], None
    for end in range(WARM + LEARNED + 20, steps.shape[0], 4):
        found = everything(fleet(_measured(steps, end)))
        if ended[end - 1] < stopped_s[0]:
            before += found
        elif first is None and found:
            first = float(ended[end - 1] - stopped_s[0])
            assert [finding.culprit.rank for finding in found] == [2]
    assert before == []
    assert first is not None
    assert first < 20.0


def _measured(steps: Array, end: int) -> JobView:
    """Return the measured job as seen after ``end`` steps, its reference learned from its first ones."""
    rows = steps[max(0, end - 256) : end]
    healthy = steps[WARM : WARM + LEARNED]
    collective = rows[:, :, 3:6].transpose(0, 2, 1).astype(np.float32)
    usual = healthy[:, :, 3:6].transpose(0, 2, 1)
    least = usual.min(axis=2)
    members = np.ones(4, np.bool_)
    return replace(
        job(JobSpec(steps=6, reference=False)),
        steps=np.arange(rows.shape[0]),
        ended_s=rows[:, :, 0] + (NOW - 0.2 - rows[-1, :, 0].max()),
        data_s=rows[:, :, 1].astype(np.float32),
        compute_s=rows[:, :, 2].astype(np.float32),
        pause_s=rows[:, :, 6].astype(np.float32),
        step_s=rows[:, :, 7].astype(np.float32),
        flags=np.zeros(rows.shape[:2], np.int64),
        slots=[
            CollectiveSlot(
                communicator="world", slot=at, kind=Collective.ALL_REDUCE, bytes=1 << 22, members=members
            )
            for at in range(3)
        ],
        collective_start_s=np.zeros_like(collective),
        collective_s=collective,
        states=states(4, runqueue_share=np.full(4, 0.35, np.float32)),
        reference_steps=LEARNED,
        reference_step_s=float(np.median(healthy[:, :, 7])),
        reference_compute_s=np.median(healthy[:, :, 2], axis=0),
        reference_data_s=np.median(healthy[:, :, 1], axis=0),
        reference_transfer_s=np.median(least, axis=0),
        reference_wait_s=np.median(usual - least[:, :, None], axis=0),
    )
