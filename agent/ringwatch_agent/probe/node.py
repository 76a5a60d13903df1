"""Runs the probe for the agent, in a process of its own that can be ended. Loads no torch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol

from ringwatch_proto import probe
from ringwatch_proto.errors import VerbError, WireError

# The fact that carries what was found, as one line; the collector judges it against the fleet.
RESULT: Final = "result"
_NO_TORCH: Final = 3


class ProbeFailed(VerbError):
    """Something is wrong with the node; the facts say what was found."""

    def __init__(self, text: str, facts: dict[str, str]) -> None:
        super().__init__(text)
        self.facts = facts


class ProbeNode(Protocol):
    """Proves the node at a level, within a time."""

    def __call__(self, level: str, timeout_s: float, /) -> tuple[str, dict[str, str]]:
        """Return text and facts; raise ProbeFailed when something is wrong, VerbError when it cannot run."""
        ...


def run_probe(level: str, timeout_s: float, /, only: Sequence[str] = ()) -> tuple[str, dict[str, str]]:
    """Run ``ringwatch probe``, or only some of its tests, and return what it found."""
    argv = [
        sys.executable, "-m", "ringwatch_agent.probe", f"--level={level}", "--json", "--no-results",
        f"--timeout-s={max(1.0, timeout_s - 2.0)}", *(f"--only={name}" for name in only),
    ]  # fmt: skip
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that its ranks end with it
    )
    try:
        out, error = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as late:
        raise VerbError(f"the probe has not come back for {timeout_s:.0f} s: a device hangs") from late
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode == _NO_TORCH:
        raise VerbError(error.strip()[-200:])
    return read_result(out, error)


def read_result(out: str, error: str) -> tuple[str, dict[str, str]]:
    """Return text and facts of what a probe printed; raise VerbError when that is no result."""
    try:
        data = json.loads(out.splitlines()[-1])
        reasons = [str(each) for each in data.pop("reasons")]
        data.pop("compared")
        result = probe.from_json(json.dumps(data))
    except (IndexError, ValueError, KeyError, AttributeError, TypeError, WireError) as wrong:
        raise VerbError(f"the probe said nothing that can be read: {error.strip()[-200:]}") from wrong
    facts = {RESULT: probe.to_json(result), "passed": "no" if reasons else "yes"}
    if reasons:
        raise ProbeFailed("; ".join(reasons)[:1000], facts)
    return f"{len(result.measures)} checks passed in {result.seconds:.0f} s", facts
