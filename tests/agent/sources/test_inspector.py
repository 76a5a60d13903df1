"""Files of NCCL's Inspector, and the steps that the order of collectives tells."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from tests.agent.sources.detected import Collector

from ringwatch_agent.sources.base import Reading
from ringwatch_agent.sources.file_steps import FileStepsSource
from ringwatch_agent.sources.inspector import inspector_source, parse
from ringwatch_agent.sources.outsiders import FIRST_ROW, Roster
from ringwatch_agent.sources.sequences import Call, Period
from ringwatch_collector.detectors.slow_collective import SlowCollective
from ringwatch_proto.layout import COLLECTIVE, STEP, Collective

HOST = "gpu-node-01"
# What a step of a job reduces: four buckets, the last one smaller.
BUCKETS = (25_000_000, 25_000_000, 25_000_000, 7_000_000)


def line(rank: int, number: int, ended_s: float, *, took_us: int = 400, size: int = 0, **changed: Any) -> str:
    """Return one line as version 4 of the format has it."""
    values = {"id": "0x7f8c496ae9f661", "host": HOST, "coll": "AllReduce", "ranks": 4} | changed
    said = {
        "header": {"id": values["id"], "rank": rank, "n_ranks": values["ranks"], "nnodes": 1},
        "metadata": {
            "inspector_output_format_version": "v4.0",
            "git_rev": "",
            "rec_mechanism": "nccl_profiler_interface",
            "dump_timestamp_us": int(ended_s * 1e6),
            "hostname": values["host"],
            "pid": 4000 + rank,
        },
        "coll_perf": {
            "coll": values["coll"],
            "coll_sn": number,
            "coll_msg_size_bytes": size or BUCKETS[number % 4],
            "coll_exec_time_us": took_us,
            "coll_timing_source": "kernel_gpu",
            "coll_algobw_gbs": 200.0,
            "coll_busbw_gbs": 350.0,
        },
    }
    return json.dumps(said) + "\n"


def calls(rank: int, numbers: range, begin_s: float, **changed: Any) -> str:
    """Return a rank's lines: four collectives, 20 ms apart, every 100 ms."""
    return "".join(
        line(rank, number, begin_s + 0.1 * (number // 4) + 0.02 * (number % 4), **changed)
        for number in numbers
    )


def source(folder: Path) -> FileStepsSource:
    """Return the source over a folder of dumps."""
    return inspector_source({"llm": f"{folder}/*.log"}, Roster(), host=HOST)


def steps(reading: Reading) -> list[tuple[int, int]]:
    """Return (row, step) of each packed step."""
    return [(row, number) for row, _, number, *_ in STEP.iter_unpack(reading.steps)]


def test_steps_are_found_in_the_order_of_the_collectives(tmp_path: Path) -> None:
    """Four buckets a step; numbers of the step follow from those of the collectives, on every rank alike."""
    for rank in (0, 1):
        (tmp_path / f"rank{rank}.log").write_text(calls(rank, range(400, 440), 1e9))
    reading = source(tmp_path).read()
    found = steps(reading)
    assert {row for row, _ in found} == {FIRST_ROW, FIRST_ROW + 1}
    assert {number for _, number in found} >= {104, 105, 106, 107, 108}
    _, _, number, _, step_s, _, compute_s, *_ = next(STEP.iter_unpack(reading.steps))
    assert step_s == pytest.approx(0.1, abs=1e-3)
    assert compute_s == pytest.approx(0.1 - 4 * 0.0004, abs=1e-3)
    of_step = [
        each
        for each in COLLECTIVE.iter_unpack(reading.collectives)
        if each[5] == number and each[0] == FIRST_ROW
    ]
    assert [(slot, kind, size) for _, _, slot, kind, _, _, size, _, _ in of_step] == [
        (slot, Collective.ALL_REDUCE, size) for slot, size in enumerate(BUCKETS)
    ]
    assert reading.outsiders is not None
    assert [(each.rank, each.pid, each.world_size) for each in reading.outsiders.ranks] == [
        (0, 4000, 4),
        (1, 4001, 4),
    ]


def test_lines_of_other_hosts_are_theirs_to_read(tmp_path: Path) -> None:
    """A folder that nodes share holds the files of all of them."""
    (tmp_path / "other.log").write_text(calls(5, range(400, 440), 1e9, host="gpu-node-02", ranks=8))
    reading = source(tmp_path).read()
    assert (reading.steps, reading.dropped) == (b"", {})


def test_one_sequence_stands_for_the_job(tmp_path: Path) -> None:
    """That of the most ranks and bytes: steps of different sequences do not agree."""
    world = calls(0, range(400, 440), 1e9)
    pair = calls(0, range(400, 440), 1e9, id="0xaa", ranks=2)
    small = calls(0, range(400, 440), 1e9, coll="Broadcast", size=8)
    (tmp_path / "a.log").write_text(world + pair + small)
    reading = source(tmp_path).read()
    assert {kind for _, _, _, kind, *_ in COLLECTIVE.iter_unpack(reading.collectives)} == {
        Collective.ALL_REDUCE
    }
    assert reading.outsiders is not None
    assert len(reading.outsiders.communicators) == 1


def test_a_torn_line_is_counted_and_loses_nothing_else(tmp_path: Path) -> None:
    """Half a line waits; a broken one is left out; a rotated file is read to its end."""
    path = tmp_path / "a.log"
    text = calls(0, range(400, 440), 1e9)
    path.write_text(text[:-30])
    reader = source(tmp_path)
    first = reader.read()
    assert first.dropped == {}
    with path.open("a") as file:
        file.write(text[-30:] + '{"header": {"id": 1}}\nnonsense\n')
    assert reader.read().dropped == {"inspector.bad_line": 2}
    with path.open("a") as file:
        file.write(calls(0, range(440, 448), 1e9))
    path.rename(tmp_path / "a.log.1")
    path.write_text(calls(0, range(448, 460), 1e9))
    found = [*steps(reader.read()), *steps(reader.read())]
    assert [number for _, number in found] == [109, 110, 111, 112, 113]


@pytest.mark.parametrize(
    "changed",
    [
        {"header": {"id": "x", "rank": 9, "n_ranks": 4}},
        {"coll_perf": {"coll": "AllReduce", "coll_sn": -1, "coll_msg_size_bytes": 1, "coll_exec_time_us": 1}},
        {"coll_perf": {"coll": "a\x1b", "coll_sn": 1, "coll_msg_size_bytes": 1, "coll_exec_time_us": 1}},
        {
            "coll_perf": {
                "coll": "AllReduce",
                "coll_sn": 1,
                "coll_msg_size_bytes": 1,
                "coll_exec_time_us": 1e30,
            }
        },
        {"metadata": []},
    ],
)
def test_a_line_that_means_nothing_is_none(changed: dict[str, object]) -> None:
    """Ranks outside the group, absurd times, control characters."""
    said = json.loads(line(0, 1, 1e9)) | changed
    assert parse(json.dumps(said).encode()) is None


def test_the_verbose_form_gives_the_kernels_own_end() -> None:
    """The line was written later."""
    said = json.loads(line(0, 1, 1e9))
    said["coll_perf"]["event_trace_ts"] = {
        "kernel_events": [{"channel_id": 0, "kernel_start_ts": 1, "kernel_stop_ts": 999_999_999_000_000}]
    }
    found = parse(json.dumps(said).encode())
    assert found is not None
    assert found.call.ended_s == pytest.approx(999_999_999.0)


def period_of(shapes: list[int]) -> int:
    """Return the period of a sequence of sizes."""
    period = Period()
    for number, size in enumerate(shapes):
        period.note(Call(number=number, kind=Collective.ALL_REDUCE, size=size, ended_s=1.0, duration_s=0.0))
    return period.length()


@pytest.mark.parametrize(
    ("shapes", "length"),
    [
        ([1, 2, 3] * 12, 3),
        ([5] * 12, 1),
        ([9, 9] + [1, 2, 3] * 12, 3),  # a start-up that is unlike the rest
        ([1, 2, 3], 0),
        (list(range(100)), 0),
        ([1, 1, 1, 2] * 12, 4),
    ],
)
def test_a_period_is_what_repeats_at_the_end(shapes: list[int], length: int) -> None:
    """Three times over, the shortest one."""
    assert period_of(shapes) == length


def test_a_gap_in_the_numbers_begins_anew() -> None:
    """A file of which lines were lost says nothing of the step that they were in."""
    period = Period()
    for number in (*range(12), *range(20, 23)):
        period.note(
            Call(number=number, kind=Collective.ALL_REDUCE, size=number % 3, ended_s=1.0, duration_s=0.0)
        )
    assert period.length() == 0


def test_a_slow_network_is_found_by_the_collectors_own_detector(tmp_path: Path) -> None:
    """The whole way: files, records, wire, checks, fleet, detector."""
    healthy, slow = 150, 200
    at_s = time.time() - 0.1 * healthy - 0.132 * slow
    reader, collector = source(tmp_path), Collector()
    for step in range(100, 100 + healthy + slow):
        is_slow = step >= 100 + healthy
        took_us, gap_s = (12_000, 0.033) if is_slow else (4_000, 0.025)
        for rank in range(4):
            with (tmp_path / f"rank{rank}.log").open("a") as file:
                for place in range(4):
                    noise_us = 100 * ((step * 7 + rank + place) % 5)
                    ended_s = at_s + gap_s * (place + 1)
                    file.write(line(rank, 4 * step + place, ended_s, took_us=took_us + noise_us))
        at_s += 4 * gap_s
        if step % 10 == 9:
            collector.take(reader.read())
            if not is_slow:
                collector.learn()
    assert collector.job().ranks.tolist() == [0, 1, 2, 3]
    assert len(collector.job().slots) == 4
    (finding,) = collector.findings(SlowCollective())
    assert finding.detector == SlowCollective().name
