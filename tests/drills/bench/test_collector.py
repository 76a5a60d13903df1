"""The collector's bench in its short form: real wire, real collector, nothing lost."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from ringwatch_drills.bench import collector_frames as frames
from ringwatch_drills.bench.collector import main
from ringwatch_drills.bench.collector_messages import (
    FIRST_SEQUENCE,
    Load,
    Templates,
    hello,
    steps_now,
    with_event,
)
from ringwatch_drills.bench.tick import at_cadence
from ringwatch_drills.bench.tick import main as tick
from ringwatch_proto.signals import Table
from ringwatch_proto.v1 import telemetry_pb2 as wire


def _batch(template: Templates, number: int) -> bytes:
    row = np.frombuffer(template.message, np.uint8)[None, :].copy()
    template.fill(row, number=number, wall_ns=10**18, monotonic_ns=5)
    return row.tobytes()


def test_a_patched_template_is_the_batch_that_protobuf_would_make() -> None:
    """It parses, names its number and time, and holds a step of each rank only when it should."""
    for stepping in (False, True):
        made = wire.AgentMessage.FromString(_batch(Templates(Load(nodes=1), stepping=stepping), 77)).batch
        assert (made.sequence, made.wall_ns, made.monotonic_ns) == (FIRST_SEQUENCE + 77, 10**18, 5)
        assert [block.table for block in made.blocks] == [int(table) for table in Table]
        assert bool(made.steps) == stepping
        assert len(made.rank_states) > 0


def test_an_event_that_is_appended_joins_the_batch() -> None:
    """Protobuf merges what comes twice; readings and sequence stay."""
    message = with_event(_batch(Templates(Load(nodes=1)), 3), 3, 10**18)
    made = wire.AgentMessage.FromString(message).batch
    assert made.sequence == FIRST_SEQUENCE + 3
    assert [event.id for event in made.events] == [3]
    assert len(made.blocks) == 4


def test_all_nodes_of_a_job_end_their_step_in_the_same_batch() -> None:
    """A job's ranks wait for each other."""
    load = Load(nodes=300, job_nodes=128, step_s=5.0)
    stepping = np.stack([steps_now(load, np.arange(300), number) for number in range(5)])
    assert (stepping.sum(axis=0) == 1).all()
    assert (stepping[:, :128] == stepping[:, :1]).all()


def test_a_hello_names_what_batches_hold() -> None:
    """Columns and ranks of the two agree."""
    load = Load(nodes=200, gpus=4)
    said = wire.AgentMessage.FromString(hello(load, 130)).hello
    made = wire.AgentMessage.FromString(_batch(Templates(load), 1)).batch
    shapes = {table.table: (len(table.devices), len(table.signals)) for table in said.tables}
    assert shapes == {block.table: (block.rows, block.columns) for block in made.blocks}
    assert [rank.rank for rank in said.ranks] == [8, 9, 10, 11]


def test_frames_that_come_in_pieces_are_read_whole_and_windows_are_kept() -> None:
    """A message may lie over several frames, and a frame over several reads."""
    got: list[tuple[int, bytes]] = []
    ended: list[int] = []
    reader = frames.FrameReader(lambda stream, message: got.append((stream, message)), ended.append)
    reader.window = 100
    first = frames.data_frame(1, b"hello")
    cut = frames.frame_header(3, 0, 0, 3) + struct.pack(">BI", 0, 2)[:3]
    rest = frames.frame_header(4, 0, 0x1, 3) + struct.pack(">BI", 0, 2)[3:] + b"ok"
    ping = frames.frame_header(8, 6, 0, 0) + b"12345678"
    update = frames.frame_header(4, 8, 0, 0) + struct.pack(">I", 50)
    for byte in first + cut + ping + update + rest:
        reader.feed(bytes([byte]))
    assert got == [(1, b"hello"), (3, b"ok")]
    assert ended == [3]
    assert reader.window == 150
    assert bytes(reader.replies) == frames.frame_header(8, 6, 1, 0) + b"12345678"


def test_a_small_fleet_is_taken_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """The bench prints its one object, and no batch is lost."""
    assert main(["--nodes", "20", "--seconds", "3", "--connections", "4", "--event-every-s", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == [
        "nodes", "gpus", "batches_sent", "batches_taken", "lost", "cpu_cores", "rss_mb",
        "tick_ms_p50", "tick_ms_p99", "lag_ms_p99",
    ]  # fmt: skip
    assert (found["batches_sent"], found["batches_taken"], found["lost"]) == (60, 60, 0)
    assert found["tick_ms_p50"] > 0


def test_a_fleet_of_real_connections_comes_back_after_a_kill(capsys: pytest.CaptureFixture[str]) -> None:
    """Every node reports again, and what was sent meanwhile is not lost."""
    assert main(["--nodes", "30", "--connections", "30", "--seconds", "20", "--kill-after", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["lost"] == 0
    assert found["all_reporting_again_s"] >= found["serving_again_s"]


def test_a_look_is_measured_part_by_part(capsys: pytest.CaptureFixture[str]) -> None:
    """Every detector has its figure, and a healthy fleet none to find."""
    assert tick(["--ranks", "64", "--jobs", "2", "--seconds", "2", "--warm", "3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["findings"] == 0
    assert {"gather", "write", "view", "straggler.compute", "learn"} <= found["ms_per_s"].keys()


def test_the_cost_of_costly_rules_is_that_of_their_cadence() -> None:
    """600 ms a sweep, twice a second, are 240 ms a second when they are asked every 2.5 s."""
    assert at_cadence({"cheap": 4.0, "costly": 1200.0}) == pytest.approx(4.0 + 240.0)
    assert at_cadence({"cheap": 4.0, "cheap too": 2.0}) == 6.0
