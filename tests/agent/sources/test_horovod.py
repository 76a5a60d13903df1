"""Horovod timelines that are written while they are read."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tests.agent.sources.detected import Collector

from ringwatch_agent.sources.base import Reading
from ringwatch_agent.sources.file_steps import FileStepsSource
from ringwatch_agent.sources.horovod import horovod_source
from ringwatch_agent.sources.outsiders import FIRST_ROW, Roster
from ringwatch_collector.detectors.all import ALL
from ringwatch_collector.detectors.straggler_compute import ComputeStraggler
from ringwatch_proto.layout import COLLECTIVE, STEP, Collective

TENSORS, RANKS = 3, 4


def header(epoch_s: float) -> str:
    """Return the begin of a timeline, as Horovod 0.28 writes it."""
    start = {"start_time_since_epoch_in_micros": int(epoch_s * 1e6)}
    return "[\n" + json.dumps({"name": "process_name", "ph": "M", "pid": 0, "args": start}) + ",\n"


def step(begin_us: float, late_us: dict[int, float]) -> str:
    """Return one step: each tensor negotiated and reduced in turn; ``late_us`` puts ranks behind."""
    lines, at_us = [], begin_us
    for tensor in range(1, TENSORS + 1):
        ready = sorted((at_us + 20 * rank + late_us.get(rank, 0.0) / TENSORS, rank) for rank in range(RANKS))
        lines.append({"ph": "B", "name": "NEGOTIATE_ALLREDUCE", "ts": ready[0][0], "pid": tensor})
        lines += [{"ph": "X", "name": str(rank), "ts": when, "pid": tensor, "dur": 0} for when, rank in ready]
        over_us = ready[-1][0]
        lines.append({"ph": "E", "ts": over_us, "pid": tensor})
        lines.append({"ph": "B", "name": "ALLREDUCE", "ts": over_us, "pid": tensor})
        lines.append({"ph": "B", "name": "NCCL_ALLREDUCE", "ts": over_us + 100, "pid": tensor})
        lines += [{"ph": "E", "ts": over_us + 5_000, "pid": tensor}] * 2
        at_us = over_us + 5_000 + 20_000  # back-propagation until the next gradient
    return "".join(json.dumps(line) + ",\n" for line in lines)


def source(path: Path, *, all_ranks: bool = True) -> FileStepsSource:
    """Return the source over one timeline."""
    return horovod_source({"llm": str(path)}, Roster(), all_ranks=all_ranks)


def steps(reading: Reading) -> list[tuple[int, int]]:
    """Return (row, step) of each packed step."""
    return [(row, number) for row, _, number, *_ in STEP.iter_unpack(reading.steps)]


def test_each_rank_has_its_steps_and_its_way_through_the_operations(tmp_path: Path) -> None:
    """In the operation from when it was ready; the first step is start-up, the last one is not over."""
    path = tmp_path / "timeline.json"
    path.write_text(header(1e9) + "".join(step(100_000.0 * number, {}) for number in range(4)))
    reading = source(path).read()
    assert sorted(steps(reading)) == [
        (FIRST_ROW + rank, number) for rank in range(RANKS) for number in (1, 2)
    ]
    row, _, number, ended_ns, step_s, data_s, compute_s, *_ = next(STEP.iter_unpack(reading.steps))
    assert (row, number, step_s) == (FIRST_ROW, 1, pytest.approx(0.1))
    assert ended_ns == pytest.approx((1e9 + 0.2) * 1e9, abs=1e6)
    assert data_s != data_s
    assert compute_s == pytest.approx(0.1 - TENSORS * 0.00506, abs=1e-4)
    found = list(COLLECTIVE.iter_unpack(reading.collectives))
    assert len(found) == 2 * RANKS * TENSORS
    assert {slot for _, _, slot, *_ in found} == {0, 1, 2}
    assert {kind for _, _, _, kind, *_ in found} == {Collective.ALL_REDUCE}


def test_only_rank_0_is_shown_where_others_may_be_on_other_nodes(tmp_path: Path) -> None:
    """A timeline does not say where a rank runs; a wrong node would be blamed."""
    path = tmp_path / "timeline.json"
    path.write_text(header(1e9) + "".join(step(100_000.0 * number, {}) for number in range(4)))
    assert {row for row, _ in steps(source(path, all_ranks=False).read())} == {FIRST_ROW}


def test_a_timeline_that_is_torn_or_foreign_loses_that_line_only(tmp_path: Path) -> None:
    """Half a line waits, a broken one is counted, a new timeline begins anew."""
    path = tmp_path / "timeline.json"
    text = header(1e9) + step(0.0, {}) + '{"ph": "B, broken\n[[[[\n"text",\n' + step(100_000.0, {})
    path.write_text(text)
    reader = source(path)
    assert reader.read().dropped == {"horovod.bad_line": 2}
    more = step(200_000.0, {}) + step(300_000.0, {})
    with path.open("a") as file:
        file.write(more[:333])
    first = reader.read()
    with path.open("a") as file:
        file.write(more[333:])
    assert len(steps(first)) + len(steps(reader.read())) == 2 * RANKS
    path.write_text(header(1e9) + "".join(step(100_000.0 * number, {}) for number in range(3)))
    assert len(steps(reader.read())) == RANKS


def test_a_straggler_of_a_timeline_is_found_by_the_collectors_own_detector(tmp_path: Path) -> None:
    """The whole way: timeline, records, wire, checks, fleet, detector."""
    path = tmp_path / "timeline.json"
    healthy, slow, usual_us, late_us = 150, 150, 90_000.0, 60_000.0
    path.write_text(header(time.time() - (healthy * usual_us + slow * (usual_us + late_us)) / 1e6))
    reader, collector, at_us = source(path), Collector(), 0.0
    for number in range(healthy + slow):
        late = {2: late_us} if number >= healthy else {}
        with path.open("a") as file:
            file.write(step(at_us, late))
        at_us += usual_us + sum(late.values())
        if number % 10 == 9:
            collector.take(reader.read())
            if number < healthy:
                collector.learn()
    job = collector.job()
    assert (job.job, job.ranks.tolist()) == ("llm", [0, 1, 2, 3])
    waits = job.collective_s[-2][:, 0] - job.collective_s[-2].min(axis=1)
    assert waits.sum() == pytest.approx(0.06, rel=0.1)
    assert len(job.slots) == TENSORS
    (finding,) = collector.findings(ComputeStraggler())
    assert (finding.culprit.job, finding.culprit.rank) == ("llm", 2)


def test_a_healthy_job_without_a_hook_raises_nothing(tmp_path: Path) -> None:
    """What the hook would tell besides is absent, and absent is no fault: all detectors are quiet."""
    path = tmp_path / "timeline.json"
    count, usual_us = 200, 90_000.0
    path.write_text(header(time.time() - count * usual_us / 1e6))
    reader, collector = source(path), Collector()
    for number in range(count):
        with path.open("a") as file:
            file.write(step(number * usual_us, {number % RANKS: 300.0 * (number % 3)}))
        if number % 10 == 9:
            collector.take(reader.read())
            collector.learn()
    assert collector.job().reference_steps > 0
    assert collector.findings(*ALL) == []
