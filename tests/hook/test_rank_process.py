"""A process seen from outside: this machine's /proc, and cgroup files of both versions."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringwatch_agent.sources.rank_process import GONE, RankProcess


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def test_a_stopped_process_is_seen_by_its_letter_and_its_share(sleeper: subprocess.Popen[bytes]) -> None:
    """T while it is stopped, and a share of the looks at it."""
    looked = RankProcess(sleeper.pid)
    os.kill(sleeper.pid, 19)
    while looked.state() != "T":
        time.sleep(0.01)
    looked.usage(1.0)
    usage = looked.usage(2.0)
    assert usage.state == "T"
    assert usage.stopped_share == 1.0
    assert usage.cpu_cores == 0.0
    assert usage.rss_mib > 0.0


def test_the_signal_that_killed_it_can_be_told_while_it_is_not_reaped(
    sleeper: subprocess.Popen[bytes],
) -> None:
    """The kernel keeps the exit code until the parent asks for it."""
    looked = RankProcess(sleeper.pid)
    sleeper.kill()
    while looked.state() != "Z":
        time.sleep(0.01)
    assert looked.death().get("signal") == "9"
    sleeper.wait()
    assert looked.usage(1.0) == GONE
    assert looked.death() == {}


def make_proc(root: Path, cgroup: str) -> None:
    folder = root / "proc" / "7"
    folder.mkdir(parents=True)
    fields = ["R", *["0"] * 10, "100", "50", *["0"] * 6, "12345", "0", "256", *["0"] * 30]
    (folder / "stat").write_text(f"7 (a (b) c) {' '.join(fields)}")
    (folder / "cgroup").write_text(cgroup)
    (folder / "task" / "7").mkdir(parents=True)
    (folder / "task" / "7" / "schedstat").write_text("0 500000000 3")


@pytest.mark.parametrize(
    ("cgroup", "file", "before", "after"),
    [
        ("0::/job/rank\n", "job/cpu.stat", "throttled_usec 100", "throttled_usec 250100"),
        (
            "4:cpu,cpuacct:/job/rank\n",
            "cpu,cpuacct/job/cpu.stat",
            "throttled_time 7",
            "throttled_time 250000007",
        ),
        ("1:cpu:/job\n0::/\n", "cpu/job/cpu.stat", "throttled_time 7", "throttled_time 250000007"),
    ],
)
def test_throttling_counts_wherever_above_the_process_the_quota_is(
    tmp_path: Path, cgroup: str, file: str, before: str, after: str
) -> None:
    """Version 2, version 1 and both at once; 250 ms of a second."""
    make_proc(tmp_path, cgroup)
    path = tmp_path / "cgroup" / file
    path.parent.mkdir(parents=True)
    path.write_text(f"nr_periods 5\n{before}\n")
    looked = RankProcess(7, tmp_path / "proc", tmp_path / "cgroup")
    looked.usage(10.0)
    path.write_text(f"nr_periods 9\n{after}\n")
    (tmp_path / "proc" / "7" / "task" / "7" / "schedstat").write_text("0 900000000 4")
    usage = looked.usage(11.0)
    assert usage.throttled_share == pytest.approx(0.25)
    assert usage.runqueue_share == pytest.approx(0.4)
    assert usage.cpu_cores == 0.0


def test_a_process_that_is_moved_to_another_cgroup_is_followed(tmp_path: Path) -> None:
    """The counters of two cgroups are never subtracted from each other."""
    make_proc(tmp_path, "0::/\n")
    looked = RankProcess(7, tmp_path / "proc", tmp_path / "cgroup")
    assert looked.usage(10.0).throttled_share != looked.usage(11.0).throttled_share
    path = tmp_path / "cgroup" / "held" / "cpu.stat"
    path.parent.mkdir(parents=True)
    path.write_text("throttled_usec 9000000\n")
    (tmp_path / "proc" / "7" / "cgroup").write_text("0::/held\n")
    moved = looked.usage(12.0)
    assert moved.throttled_share != moved.throttled_share
    path.write_text("throttled_usec 9500000\n")
    assert looked.usage(13.0).throttled_share == pytest.approx(0.5)


def test_an_out_of_memory_kill_in_its_cgroup_is_told(tmp_path: Path) -> None:
    """One that happened since the process was first seen."""
    make_proc(tmp_path, "0::/job\n")
    path = tmp_path / "cgroup" / "job" / "memory.events"
    path.parent.mkdir(parents=True)
    path.write_text("oom 1\noom_kill 2\n")
    looked = RankProcess(7, tmp_path / "proc", tmp_path / "cgroup")
    assert "oom" not in looked.death()
    path.write_text("oom 2\noom_kill 3\n")
    assert looked.death()["oom"] == "1"


def test_a_pid_that_was_given_to_another_is_not_taken_for_it(tmp_path: Path) -> None:
    """Start times differ."""
    make_proc(tmp_path, "")
    looked = RankProcess(7, tmp_path / "proc", tmp_path / "cgroup")
    stat = tmp_path / "proc" / "7" / "stat"
    stat.write_text(stat.read_text().replace("12345", "99999"))
    assert looked.state() == ""
    assert looked.usage(1.0) == GONE
