"""The lab on this machine: a real job, a real fault, and nothing left afterwards."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

LAB = (sys.executable, "-m", "ringwatch.main", "lab")


def leftovers() -> list[str]:
    namespaces = Path("/run/netns")
    names = [each.name for each in namespaces.iterdir()] if namespaces.exists() else []
    groups = [each.name for each in Path("/sys/fs/cgroup").glob("**/ringwatch-lab-*")]
    return [name for name in names if name.startswith("rwlab-")] + groups


@pytest.mark.root
@pytest.mark.torch
def test_a_stopped_rank_is_named_and_the_machine_is_left_as_it_was() -> None:
    """Network namespaces, agents, a job over Gloo, SIGSTOP; one JSON line."""
    done = subprocess.run(
        [*LAB, "--fault", "hang", "--json", "--wait", "30"],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    line = json.loads(done.stdout)
    assert line["correct"]
    assert line["incident"]["kind"] == "job.hang"
    assert line["incident"]["culprit"]["node"] == line["target"]
    assert leftovers() == []
