"""A scan in words and as JSON: who uses the GPUs, what the running agent lost."""

from __future__ import annotations

import json

from ringwatch_agent.look import Look
from ringwatch_agent.scan import Scan
from ringwatch_agent.scan_words import objects, screen
from ringwatch_agent.sources.base import GpuOwner

LOOK = Look(
    health={},
    tables={},
    events=(),
    owners=(
        GpuOwner(gpu="GPU-1", pid=7, job="slurm-812", user="ada", rank=3, world_size=8, how="nvml"),
        GpuOwner(gpu="GPU-2", pid=8, job="slurm-812", user="ada", rank=4, world_size=8, how="nvml"),
        GpuOwner(gpu="GPU-2", pid=9, program="nsys", user="bob"),
    ),
)


def test_the_screen_has_a_line_a_job() -> None:
    """Its user, and which rank is on which GPU; who has no job is named by his program."""
    text = screen("n1", LOOK, Scan(troubles=()), {})
    assert "used by slurm-812 of ada: GPU-1 rank 3, GPU-2 rank 4" in text
    assert "used by nsys of bob: GPU-2" in text


def test_json_has_an_object_for_each_who_uses_a_gpu() -> None:
    """With the way by which it is known."""
    told = [json.loads(line) for line in objects("n1", LOOK, Scan(troubles=()), {}).splitlines()]
    owners = [each["owner"] for each in told if "owner" in each]
    assert [(each["gpu"], each["job"], each["rank"], each["how"]) for each in owners] == [
        ("GPU-1", "slurm-812", 3, "nvml"),
        ("GPU-2", "slurm-812", 4, "nvml"),
        ("GPU-2", "", -1, ""),
    ]


def test_a_scan_tells_what_the_running_agent_dropped() -> None:
    """By kind, on the screen and in JSON; an agent that dropped nothing is not spoken of."""
    lost = {"spool.blocks": 12, "kmsg.lines": 0}
    assert "the running agent has dropped since it started: 12 spool.blocks\n" in screen(
        "n1", LOOK, Scan(troubles=()), lost
    )
    assert "dropped" not in screen("n1", LOOK, Scan(troubles=()), {"spool.blocks": 0})
    *_, whole = objects("n1", LOOK, Scan(troubles=()), lost).splitlines()
    assert json.loads(whole)["dropped"] == lost
