"""GPUs that follow their work."""

import numpy as np
import pytest

from ringwatch_drills.fleet.gpus import COLUMNS, Gpus


@pytest.fixture
def gpus() -> Gpus:
    gpus = Gpus(8, seed=1)
    run(gpus, 60)
    return gpus


def run(gpus: Gpus, seconds: int) -> None:
    for _ in range(seconds):
        gpus.advance(np.full(8, 0.75), 1.0)


def test_healthy_gpus_work_at_full_clock(gpus: Gpus) -> None:
    """And give no reason for anything else."""
    assert (gpus.slowness == 1.0).all()
    assert (gpus.reasons() == 0).all()


def test_a_gpu_without_air_gets_hot_then_slow_and_says_why(gpus: Gpus) -> None:
    """Heat first, clocks after it, the others untouched."""
    gpus.airflow[2] = 0.3
    run(gpus, 2)
    early = gpus.temperature_c[2]
    run(gpus, 30)

    assert early > np.delete(gpus.temperature_c, 2).max()
    assert gpus.slowness[2] > 1.3
    assert gpus.reasons()[2] == 0x8 | 0x20 | 0x40
    assert (np.delete(gpus.slowness, 2) == 1.0).all()


def test_a_gpu_that_gets_its_air_back_gets_its_clock_back(gpus: Gpus) -> None:
    """Without anybody's help."""
    gpus.airflow[2] = 0.3
    run(gpus, 40)
    gpus.airflow[2] = 1.0
    run(gpus, 40)

    assert gpus.slowness[2] == 1.0
    assert gpus.reasons()[2] == 0


def test_a_braked_board_draws_less_power(gpus: Gpus) -> None:
    """The reason is the hardware power brake."""
    before = gpus.power_w.mean()
    gpus.brake[:] = True
    run(gpus, 3)

    assert gpus.power_w.mean() < 0.7 * before
    assert (gpus.reasons() == 0x8 | 0x80).all()


def test_a_lost_gpu_has_a_state_and_no_readings(gpus: Gpus) -> None:
    """Absent is NaN, never the last value."""
    gpus.lost[5] = True

    table = gpus.table()

    assert table[5, COLUMNS.index("state")] == 1.0
    assert np.isnan(table[5, 2:]).all()
    assert np.isfinite(np.delete(table, 5, axis=0)).all()
