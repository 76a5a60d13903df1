"""Runs the tests of a plan one by one. A test that breaks is a finding, not the end. Judges nothing."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any, Final

from ringwatch_agent.probe.copies import copies
from ringwatch_agent.probe.gemm import gemm
from ringwatch_agent.probe.memory import memory
from ringwatch_agent.probe.pairs import pairs
from ringwatch_agent.probe.plan import Plan, Test
from ringwatch_agent.probe.storage import storage
from ringwatch_proto.probe import Measure, ProbeResult

# Memory and arithmetic first: what they find explains the rest.
TESTS: Final[Mapping[str, Test]] = {
    "gemm": gemm,
    "memory": memory,
    "copies": copies,
    "pairs": pairs,
    "storage": storage,
}


def probe(
    torch: Any,  # noqa: ANN401  (loaded late, has no types)
    plan: Plan,
    node: str,
    only: Collection[str] = (),
    tests: Mapping[str, Test] = TESTS,
) -> ProbeResult:
    """Return what every test of the plan found."""
    begun_s, measures, skipped = time.monotonic(), [], []
    for name, test in tests.items():
        if only and name not in only:
            continue
        found = _found(torch, plan, name, test)
        measures += found
        skipped += [] if found else [f"{name}: there is nothing here to measure it with"]
    return ProbeResult(
        node=node,
        at_s=time.time(),
        level=plan.level,
        seconds=time.monotonic() - begun_s,
        measures=tuple(measures),
        skipped=tuple(skipped),
    )


def _found(torch: Any, plan: Plan, name: str, test: Test) -> list[Measure]:  # noqa: ANN401  (as above)
    try:
        return list(test(torch, plan))
    except Exception as error:  # noqa: BLE001  (a device that fails raises anything; that is the finding)
        kind = plan.devices[0].kind if plan.devices else ""
        return [Measure(name=name, device="node", kind=kind, wrong=f"{type(error).__name__}: {error}"[:300])]
    finally:
        # What a test has freed belongs to the next one, and to the ranks of the pair test.
        if any(device.is_gpu for device in plan.devices):
            torch.cuda.empty_cache()
