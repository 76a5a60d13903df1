"""Short forms of the long benches of the agent: real processes, a few seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from ringwatch_drills.bench.agent import Course, measure
from ringwatch_drills.bench.process_cost import Memory
from ringwatch_drills.bench.soak import Soaked, Trend, soak
from ringwatch_drills.bench.soak_trouble import Plan


def test_random_faults_and_collector_kills_lose_no_event(tmp_path: Path) -> None:
    """Every kernel line that was written is in the collector's store exactly once."""
    plan = Plan(
        seconds=15.0, seed=7, lines_per_s=2.0, faults_per_s=1.0, fault_s=4.0, kills_per_s=0.25, away_s=3.0
    )
    soaked = soak(plan, tmp_path)
    assert soaked.lines > 10
    assert soaked.collector_kills >= 1
    assert sum(soaked.faults.values()) > 5
    assert (soaked.lost, soaked.twice) == (0, 0)
    assert soaked.is_bounded
    assert 0 < soaked.main.threads_peak < soaked.threads_peak


def _samples(megabytes: Iterable[float], threads: int = 30) -> list[tuple[float, Memory]]:
    """Return a sample each five seconds of half an hour."""
    return [
        (
            5.0 * number,
            Memory(rss_mb=0, pss_mb=0, uss_mb=0, anonymous_mb=size_mb, processes=1, threads=threads),
        )
        for number, size_mb in enumerate(megabytes)
    ]


def test_what_grows_for_long_is_not_right() -> None:
    """3 MB an hour over half an hour is a leak; a step in the first minutes and noise are none."""
    leak = Trend.of(_samples(20 + 3 * 5 * number / 3600 for number in range(360)))
    assert leak.anonymous_mb_per_hour == pytest.approx(3.0)
    assert not Soaked(seconds=1800, seed=1, main=leak).is_right
    settled = Trend.of(_samples(20 + (number > 40) * 0.5 + (number % 7) / 20 for number in range(360)))
    assert Soaked(seconds=1800, seed=1, main=settled).is_right


def test_threads_that_pile_up_are_not_right() -> None:
    """In the main process, and in all together."""
    many = Trend.of(_samples([20.0] * 9, threads=60))
    assert not Soaked(seconds=60, seed=1, main=many).is_right
    assert not Soaked(seconds=60, seed=1, threads_peak=200).is_right
    assert not Soaked(seconds=60, seed=1, processes_peak=9).is_right
    assert Soaked(seconds=60, seed=1, threads_peak=60, processes_peak=4).is_right


def test_the_cost_bench_counts_what_the_agent_reads_and_what_it_keeps_while_cut_off() -> None:
    """Connected, scraped, away and catching up; the collector holds everything at the end."""
    course = Course(gpus=2, seconds=1.0, away_s=3.0, with_peers=False, settle_s=4.0)
    measured = asyncio.run(measure(course))
    assert measured["signals"] > 40
    assert measured["readings_per_s"] > 100
    assert measured["wire_bytes_per_s"] > 0
    assert measured["away"]["spooled_batches"] >= 2
    assert measured["catch_up"]["left_batches"] <= 2
    assert measured["catch_up"]["dropped"] == []
