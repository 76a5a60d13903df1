"""The statistics hold up under heavy tails and under the fault that they measure."""

import numpy as np
import pytest

from ringwatch_collector.detectors.robust import (
    block_means,
    block_starts,
    cusum,
    cusum_threshold,
    flat_median,
    median,
    sigma_of,
    step_noise,
)


def test_threshold_grows_with_the_number_of_streams() -> None:
    """More streams watched at once need a higher bar for the same false alarms together."""
    assert cusum_threshold(4096) == pytest.approx(13.0)
    assert cusum_threshold(16384) > cusum_threshold(4096) > cusum_threshold(256)
    assert cusum_threshold(4) >= 9.0


def test_sigma_of_gaussian_noise_is_its_deviation() -> None:
    """The robust deviation agrees with the plain one where both are defined."""
    noise = np.random.default_rng(1).normal(0.0, 0.2, 20_000)
    assert sigma_of(noise, 0.0) == pytest.approx(0.2, rel=0.05)
    assert sigma_of(noise, 0.5) == 0.5


def test_one_change_of_level_is_not_noise() -> None:
    """The noise of differences does not grow with the size of a step change."""
    rng = np.random.default_rng(2)
    quiet = rng.normal(0.0, 0.1, 200)
    changed = quiet + np.where(np.arange(200) >= 100, 5.0, 0.0)
    assert step_noise(changed, 0.0) == pytest.approx(step_noise(quiet, 0.0), rel=0.1)


def test_blocks_are_of_equal_time_and_end_at_the_newest_row() -> None:
    """Short rows are averaged, a long row is a block of its own."""
    ended_s = np.array([0.1, 0.2, 0.3, 0.4, 2.0, 4.0])
    starts = block_starts(ended_s, 0.5)
    assert starts.tolist() == [0, 4, 5]
    assert block_means(np.array([1.0, 2.0, 3.0, 4.0, 9.0, 8.0]), starts).tolist() == [2.5, 9.0, 8.0]


def test_cusum_rises_with_a_shift_and_remembers_where_it_began() -> None:
    """A lasting shift alarms, and the sum began to rise with it."""
    z = np.zeros((40, 2))
    z[25:, 1] = 3.0
    sums, began = cusum(z)
    assert sums[0] == 0.0
    assert sums[1] > 13.0
    assert began[1] == 25


def test_one_wild_value_moves_the_sum_by_the_clip_at_most() -> None:
    """A thousand-sigma step is one step."""
    z = np.zeros((10, 1))
    z[9] = 1000.0
    assert cusum(z)[0][0] == 2.0


@pytest.mark.parametrize("streams", [4, 256])
def test_heavy_tailed_noise_seldom_alarms(streams: int) -> None:
    """Over 100,000 samples of t(3) noise, scaled by its MAD, the pager stays silent."""
    rng = np.random.default_rng(3)
    noise = rng.standard_t(3, (100_000 // streams, streams))
    sums, _ = cusum(noise / sigma_of(noise, 0.0))
    assert (sums <= cusum_threshold(streams)).all()


def test_the_median_by_sorting_is_that_of_numpy() -> None:
    """Along either axis, for odd and even counts, for both widths, NaN where there is one."""
    dice = np.random.default_rng(5)
    for shape in ((7, 12), (8, 5), (1, 3)):
        values = dice.standard_normal(shape)
        values[0, -1] = np.nan
        for array in (values, values.astype(np.float32)):
            for axis in (0, 1):
                np.testing.assert_allclose(median(array, axis), np.median(array, axis=axis))
    assert flat_median(np.arange(10.0).reshape(2, 5)) == 4.5
