"""Tests of the node verb: who may ask for a probe, when it is refused, and how long it may take."""

from __future__ import annotations

from typing import Any

import pytest

from ringwatch_agent.probe.node import ProbeFailed
from ringwatch_agent.verbs import NodeFacts, Verbs
from ringwatch_proto.v1 import telemetry_pb2 as pb
from ringwatch_proto.verbs import BY_NAME


class Probe:
    """A probe that says what a test wants."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[tuple[str, float]] = []
        self._error = error

    def __call__(self, level: str, timeout_s: float, /) -> tuple[str, dict[str, str]]:
        self.asked.append((level, timeout_s))
        if self._error is not None:
            raise self._error
        return "5 checks passed in 9 s", {"result": "{}", "passed": "yes"}


def verbs(probe: Probe, pids: dict[int, int] | None = None, allowed: str = "node.probe") -> Verbs:
    """Return the verbs of a node with these training processes."""
    facts: Any = NodeFacts(
        inspect_gpu=lambda _gpu: {}, inspect_node=dict, reset_clocks=lambda _gpu: None,
        training_pids=lambda: pids or {}, probe=probe,
    )  # fmt: skip
    return Verbs(frozenset({allowed}), facts)


def request(level: str = "full", **what: Any) -> pb.VerbRequest:
    """Return an approved request."""
    fields = {"requested_by": "ana", "approved_by": "bo", "timeout_s": 300.0, **what}
    return pb.VerbRequest(id="1", verb="node.probe", arguments={"level": level}, **fields)


async def test_an_idle_node_is_probed_for_as_long_as_it_takes() -> None:
    """Longer than other verbs may."""
    probe = Probe()

    result = await verbs(probe)(request())

    assert (result.status, result.text) == (pb.VERB_STATUS_DONE, "5 checks passed in 9 s")
    assert probe.asked == [("full", 300.0)]
    assert BY_NAME["node.probe"].longest_s > BY_NAME["gpu.inspect"].longest_s


async def test_a_node_that_trains_is_not_loaded() -> None:
    """Not even with an approval."""
    probe = Probe()

    result = await verbs(probe, {4711: 0})(request())

    assert result.status == pb.VERB_STATUS_REFUSED
    assert "1 training processes work on this node" in result.text
    assert probe.asked == []


@pytest.mark.parametrize(
    ("allowed", "what", "words"),
    [
        ("gpu.inspect", {}, "the policy of this node does not allow node.probe"),
        ("node.probe", {"approved_by": ""}, "nobody approved it"),
        ("node.probe", {"level": "forever"}, "is not quick or full"),
        ("node.probe", {"level": "full; reboot"}, "is not quick or full"),
    ],
)
async def test_what_does_not_fit_is_refused(allowed: str, what: dict[str, Any], words: str) -> None:
    """Policy, approval and the form of the argument."""
    probe = Probe()

    result = await verbs(probe, allowed=allowed)(request(**what))

    assert result.status == pb.VERB_STATUS_REFUSED
    assert words in result.text
    assert probe.asked == []


async def test_a_dry_run_loads_nothing() -> None:
    """It says what it would do."""
    probe = Probe()

    result = await verbs(probe)(request(dry_run=True, approved_by=""))

    assert result.text.startswith("dry run: would load this node")
    assert probe.asked == []


async def test_a_probe_that_found_something_fails_with_its_result() -> None:
    """The collector keeps what was found."""
    result = await verbs(Probe(ProbeFailed("gemm: wrong", {"result": "{...}"})))(request())

    assert (result.status, result.text, result.facts["result"]) == (
        pb.VERB_STATUS_FAILED, "gemm: wrong", "{...}",
    )  # fmt: skip
