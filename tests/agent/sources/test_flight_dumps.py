"""Dumps of the flight recorder: of a real job, and of one that hangs."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.agent.sources.detected import Collector

from ringwatch_agent.sources.flight_dumps import FlightDumpsSource
from ringwatch_agent.sources.outsiders import Roster
from ringwatch_collector.detectors.hang import Hang
from ringwatch_proto.layout import COLLECTIVE, RANK_STATE, STEP, Phase

JOB = """
import os, pickle, sys, time, torch, torch.distributed as dist
from torch._C._distributed_c10d import _dump_fr_trace
rank, folder, port = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
for _ in range(8):
    dist.all_reduce(torch.ones(1000))
    dist.all_reduce(torch.ones(10))
pending = dist.all_reduce(torch.ones(7), async_op=True) if rank == 0 else None
for _ in range(500):  # completions are noted on a thread of their own
    data = _dump_fr_trace(True, False, False)
    if sum(entry["retired"] for entry in pickle.loads(data)["entries"]) >= 16:
        break
    time.sleep(0.02)
with open(f"{folder}/trace_rank_{rank}", "wb") as file:
    file.write(data)
print("dumped", flush=True)
sys.stdin.read()
os._exit(0)
"""


def source(folder: Path) -> FlightDumpsSource:
    """Return the source over a folder of dumps."""
    return FlightDumpsSource({"llm": f"{folder}/*rank_*"}, Roster())


def settled(folder: Path) -> None:
    """Let the dumps look as if they were written two seconds ago."""
    for path in folder.iterdir():
        os.utime(path, (time.time() - 2, time.time() - 2))


def states(packed: bytes) -> dict[int, tuple[int, int, int]]:
    """Return (phase, launched, completed) by row."""
    return {
        row: (phase, launched, completed)
        for row, phase, _, _, _, _, _, _, launched, completed, *_ in RANK_STATE.iter_unpack(packed)
    }


@pytest.mark.torch
def test_the_dump_of_a_real_job_tells_who_waits(tmp_path: Path, unused_tcp_port: int) -> None:
    """PyTorch's own recorder under gloo: rank 0 is inside a collective that rank 1 has not begun."""
    environment = os.environ | {"TORCH_FR_BUFFER_SIZE": "200"}
    command = [sys.executable, "-c", JOB]
    arguments = [str(tmp_path), str(unused_tcp_port)]
    ranks = [
        subprocess.Popen([*command, str(rank), *arguments], env=environment, stdin=-1, stdout=-1)
        for rank in (0, 1)
    ]
    try:
        for rank in ranks:
            assert rank.stdout is not None
            assert rank.stdout.readline() == b"dumped\n"
        settled(tmp_path)
        reading = source(tmp_path).read()
    finally:
        for rank in ranks:
            rank.kill()
            rank.communicate()
    assert reading.dropped == {}
    assert reading.outsiders is not None
    row_of = {record.rank: record.row for record in reading.outsiders.ranks}
    assert states(reading.rank_states) == {
        row_of[0]: (Phase.COLLECTIVE, 17, 16),
        row_of[1]: (Phase.COMPUTE, 16, 16),
    }


def dump(rank: int, *, done: int, pending: bool, now_s: float, stuck_s: float = 700.0) -> dict[str, Any]:
    """Return a dump as NCCL's watchdog writes it, with timing: a step a second, two collectives each."""
    entries = []
    for number in range(1, done + 1 + pending):
        created_s = now_s - stuck_s - 0.5 * (done + 1 - number)
        over = number <= done
        entries.append({
            "record_id": number, "pg_id": 0, "process_group": ["0", "default_pg"],
            "collective_seq_id": number, "p2p_seq_id": 0, "op_id": number,
            "profiling_name": "nccl:all_reduce", "is_p2p": False,
            "input_sizes": [[1000 if number % 2 else 10]], "time_created_ns": int(created_s * 1e9),
            "state": "completed" if over else "started", "retired": over,
            "time_discovered_started_ns": int(created_s * 1e9) if over else None,
            "time_discovered_completed_ns": int((created_s + 0.1) * 1e9) if over else None,
            **({"duration_ms": 40.0} if over else {}),
        })  # fmt: skip
    status = {"last_enqueued_collective": done + pending, "last_started_collective": done + pending}
    return {
        "version": "2.10", "pg_config": {}, "rank": rank, "entries": entries,
        "pg_status": {"0": status | {"last_completed_collective": done}},
    }  # fmt: skip


def write(folder: Path, **dumps: dict[str, Any]) -> None:
    """Write dumps as JSON and as pickles, in turn."""
    for at, (name, each) in enumerate(dumps.items()):
        (folder / name).write_bytes(pickle.dumps(each) if at % 2 else json.dumps(each).encode())
    settled(folder)


def test_a_hang_is_found_by_the_collectors_own_detector(tmp_path: Path) -> None:
    """The whole way: dumps, states, wire, checks, fleet, detector; the rank that never came is named."""
    now_s = time.time()
    write(
        tmp_path,
        **{f"rank_{rank}": dump(rank, done=20, pending=rank != 2, now_s=now_s) for rank in range(4)},
    )
    collector = Collector()
    reading = source(tmp_path).read()
    collector.take(reading)
    (finding,) = collector.findings(Hang())
    assert (finding.culprit.job, finding.culprit.rank) == ("llm", 2)
    assert finding.why.inputs["ranks_waiting"] == 3


def test_completed_collectives_become_steps(tmp_path: Path) -> None:
    """By the period of their sizes, with the recorder's own durations."""
    write(tmp_path, rank_0=dump(0, done=20, pending=False, now_s=time.time()))
    reading = source(tmp_path).read()
    found = list(STEP.iter_unpack(reading.steps))
    assert len(found) >= 7
    assert all(each[4] == pytest.approx(1.0, abs=1e-3) for each in found)
    assert {each[2] for each in COLLECTIVE.iter_unpack(reading.collectives)} == {0, 1}


def test_a_state_is_told_for_a_moment_only_and_a_dump_is_read_once(tmp_path: Path) -> None:
    """Nothing says that it still holds later."""
    write(tmp_path, rank_0=dump(0, done=4, pending=True, now_s=time.time()))
    old = time.time() - 60
    os.utime(tmp_path / "rank_0", (old, old))
    reader = source(tmp_path)
    assert reader.read().rank_states == b""
    ancient = time.time() - 3600
    write(tmp_path, rank_1=dump(1, done=4, pending=True, now_s=ancient))
    os.utime(tmp_path / "rank_1", (ancient, ancient))
    assert source(tmp_path).read().steps == b""


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (pickle.dumps(dump(0, done=2, pending=False, now_s=1e9))[:-20], "flight.bad_dump"),
        (pickle.dumps(os.system), "flight.bad_dump"),
        (b'{"entries": 5}', "flight.bad_dump"),
        (b'{"entries": [], "rank": -4}', "flight.no_rank"),
    ],
    ids=("torn", "names a function", "no list", "no rank"),
)
def test_a_torn_or_hostile_dump_is_counted_and_the_others_are_read(
    tmp_path: Path, data: bytes, kind: str
) -> None:
    """No pickle runs code here."""
    (tmp_path / "rank_x").write_bytes(data)
    write(tmp_path, rank_1=dump(1, done=4, pending=True, now_s=time.time()))
    reading = source(tmp_path).read()
    assert reading.dropped == {kind: 1}
    assert len(states(reading.rank_states)) == 1


def test_a_dump_that_is_still_being_written_waits(tmp_path: Path) -> None:
    """It is read once it has not grown for a moment."""
    (tmp_path / "rank_0").write_bytes(pickle.dumps(dump(0, done=4, pending=True, now_s=time.time()))[:100])
    reader = source(tmp_path)
    assert reader.read().dropped == {}
