"""Grids and means: gaps stay gaps."""

import numpy as np

from ringwatch_collector.history.grid import MOST_POINTS, grid, means


def test_a_grid_ends_where_the_window_ends_and_is_as_fine_as_it_may_be() -> None:
    """Coarser than was asked for where it has to be."""
    asked = grid(1000.0, 1060.0, 10.0, 1.0)
    assert (asked.points, asked.first_s, asked.last_s) == (6, 1010.0, 1060.0)
    assert grid(1000.0, 1060.0, 10.0, 30.0).step_s == 30.0
    assert grid(0.0, 1e6, 1.0, 1.0).points == MOST_POINTS
    assert grid(1000.0, 1300.0, 0.0, 1.0).points == 300
    assert grid(1000.0, 1000.5, 0.0, 1.0).points == 1


def test_each_step_has_the_mean_of_what_falls_into_it_and_an_empty_one_is_a_gap() -> None:
    """A reading on the edge belongs to the step that ends there."""
    over = grid(1000.0, 1040.0, 10.0, 1.0)
    at_s = np.array([999.0, 1001.0, 1010.0, 1010.5, 1039.0, 1041.0])
    values = np.array([[9.0], [1.0], [3.0], [5.0], [np.nan], [9.0]], np.float32)
    assert np.array_equal(means(over, at_s, values)[:, 0], [2.0, 5.0, np.nan, np.nan], equal_nan=True)
