"""``ringwatch bench NAME --json``: Ringwatch measured, each bench where the thing it measures lies."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

# Name -> (module:function, what it measures). A bench takes argv and returns an exit code.
BENCHES: Final[dict[str, tuple[str, str]]] = {
    "hook": ("ringwatch_drills.bench.hook:main", "step time of a real job with and without the hook"),
    "collector": ("ringwatch_drills.bench.collector:main", "ingest and detection under a simulated fleet"),
    "tick": ("ringwatch_drills.bench.tick:main", "CPU of a look at up to 100,000 ranks, part by part"),
    "bus": ("ringwatch_drills.bench.bus:main", "a node's cost when collectors work as one over NATS"),
    "agent": (
        "ringwatch_drills.bench.agent:main",
        "what the agent costs beside two exporters: connected, cut off, catching up",
    ),
    "soak": ("ringwatch_drills.bench.soak:main", "the agent under random faults: memory, threads, losses"),
    "kernel-lines": (
        "ringwatch_drills.bench.kernel_lines:main",
        "kernel logs of cases with known answers: events expected against events seen",
    ),
    "fuzz": ("ringwatch_drills.bench.fuzz:main", "diagnose, fed by a coverage-guided fuzzer"),
    "console": ("ringwatch_drills.bench.console:main", "the console in a real terminal, by fleet size"),
    "faults": (
        "ringwatch_drills.bench.agent_faults:main",
        "GPU faults of an emulated driver: what scan, /metrics and collector show, and after how long",
    ),
    "detection": (
        "ringwatch_drills.bench.detection.cli:main",
        "detectors on simulated fleets and public traces, beside published rules",
    ),
    "cases": (
        "ringwatch_drills.bench.cases:main",
        "diagnose, scored on a folder of cases with known answers",
    ),
}


def main(argv: Sequence[str]) -> int:
    """Run the named bench and return its exit code."""
    if not argv or argv[0] not in BENCHES:
        lines = [f"  {name:<13} {what}" for name, (_, what) in BENCHES.items()]
        print("usage: ringwatch bench NAME [--json]\n\n" + "\n".join(lines), file=sys.stderr)
        return 2
    module, _, function = BENCHES[argv[0]][0].partition(":")
    code: int = getattr(import_module(module), function)(list(argv[1:]))
    return code
