"""The demo as a newcomer runs it, without a terminal."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

DEMO = (sys.executable, "-m", "ringwatch.main", "demo")


def processes_of(session_marks: set[str]) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if any(mark in words for mark in session_marks):
                found.append(words)
    return found


def test_the_headless_demo_names_culprit_and_cause_and_ends_with_zero() -> None:
    """Its last line says which incident it was."""
    done = subprocess.run(
        [*DEMO, "--headless", "--json", "--nodes", "16"],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )

    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stdout + done.stderr
    begun = next(event for event in events if event.get("phase") == "fault_begun")
    named = [event for event in events if event["event"].startswith("incident_")][-1]
    assert events[-1]["correct"]
    assert named["culprit"]["node"] == begun["node"]
    assert named["cause"] == "thermal_slowdown"


def test_a_demo_that_is_told_to_end_leaves_nothing_behind() -> None:
    """Neither processes nor folders."""
    with subprocess.Popen(
        [*DEMO, "--headless", "--json", "--nodes", "4"], stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        address = json.loads(demo.stdout.readline())["address"]
        assert json.loads(demo.stdout.readline())["phase"] == "fleet_started"
        assert len(processes_of({address})) == 3

        os.kill(demo.pid, signal.SIGTERM)

        assert demo.wait(30) == 130
    assert processes_of({address}) == []
