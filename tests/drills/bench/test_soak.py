"""Short forms of the long benches of the agent: real processes, a few seconds."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ringwatch_drills.bench.agent import Course, measure
from ringwatch_drills.bench.soak import soak
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
    assert soaked.processes_peak <= 3


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
