"""Tests of proof: probes are judged against peers, kept over restarts, and believed for their own node."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ringwatch_collector.repair.proof import Proof
from ringwatch_proto.probe import Measure, ProbeResult, from_json, to_json
from ringwatch_runbooks.base import RepairCall, VerbCall, VerbOutcome

NODES = ("n1", "n2", "n3", "n4")


def result(node: str, speed: float = 100.0, wrong: str = "", at_s: float = 1000.0) -> ProbeResult:
    """Return a probe of one GPU."""
    measures = (
        Measure(name="gemm", device="cuda:0", kind="H100", value=speed, unit="TFLOP/s"),
        Measure(name="gemm.correct", device="cuda:0", kind="H100", wrong=wrong),
    )
    return ProbeResult(node=node, at_s=at_s, level="full", seconds=9.0, measures=measures)


class Nodes:
    """Answers node.probe with what a test has set for each node."""

    def __init__(self) -> None:
        self.results: dict[str, ProbeResult] = {}
        self.outcome: VerbOutcome | None = None
        self.calls: list[VerbCall] = []

    async def call(self, call: VerbCall) -> VerbOutcome:
        self.calls.append(call)
        if call.dry_run:
            return VerbOutcome(status="done", text="dry run: would load this node")
        if self.outcome is not None:
            return self.outcome
        found = self.results[call.node]
        status = "failed" if found.wrong else "done"
        return VerbOutcome(status=status, text="probed", facts={"result": to_json(found)})


def asked(node: str, dry_run: bool = False) -> RepairCall:
    """Return an approved call."""
    return RepairCall(
        name="proof.node", arguments={"node": node, "level": "full"}, timeout_s=600.0, requested_by="ana",
        approved_by="bo", incident="I-1", run="R-1", dry_run=dry_run,
    )  # fmt: skip


async def proved(proof: Proof, nodes: Nodes, node: str, **what: object) -> VerbOutcome:
    """Probe a node that finds this."""
    nodes.results[node] = result(node, **what)  # type: ignore[arg-type]
    return await proof.do(asked(node))


async def test_a_node_as_fast_as_its_peers_is_proved() -> None:
    """The text says how much that rests on."""
    nodes = Nodes()
    proof = Proof(nodes, None)
    for node in NODES:
        last = await proved(proof, nodes, node)

    assert (last.status, last.facts["passed"]) == ("done", "yes")
    assert "1 of 1 numbers had enough peers" in last.text
    assert nodes.calls[0].approved_by == "bo"
    assert dict(nodes.calls[0].arguments) == {"level": "full"}


async def test_a_node_slower_than_its_peers_is_not_proved_and_no_peer_of_others() -> None:
    """And the slow one does not pull the others down."""
    nodes = Nodes()
    proof = Proof(nodes, None)
    for node in NODES[:3]:
        await proved(proof, nodes, node)

    slow = await proved(proof, nodes, "n4", speed=70.0)

    assert (slow.status, slow.facts["passed"]) == ("failed", "no")
    assert "WRONG cuda:0 gemm: 70 TFLOP/s, 70% of the median of 3 peers" in slow.text
    assert [kept.passed for kept in proof.results()] == [True, True, True, False]


async def test_a_wrong_product_is_wrong_whatever_the_peers_do() -> None:
    """Correctness is compared with nobody."""
    nodes = Nodes()

    outcome = await proved(Proof(nodes, None), nodes, "n1", wrong="3 of 8 equal products differ")

    assert outcome.status == "failed"
    assert "3 of 8 equal products differ" in outcome.text


async def test_results_outlive_the_collector_and_the_past_counts(tmp_path: Path) -> None:
    """A node that became slower than it was is seen without any peer."""
    file, nodes = tmp_path / "proofs.jsonl", Nodes()
    for at in range(3):
        await proved(Proof(nodes, file), nodes, "n1", at_s=1000.0 + at)

    slower = await proved(Proof(nodes, file), nodes, "n1", speed=80.0, at_s=2000.0)

    assert slower.status == "failed"
    assert "80% of what it did before" in slower.text
    assert len(file.read_text().splitlines()) == 4


async def test_a_line_that_cannot_be_read_is_counted_and_left_out(tmp_path: Path) -> None:
    """A damaged file does not stop the collector."""
    file = tmp_path / "proofs.jsonl"
    file.write_text(to_json(result("n1")) + "\n{broken\n" + to_json(result("n2")) + "\n")

    proof = Proof(Nodes(), file)

    assert (len(proof.results()), proof.unreadable) == (2, 1)


async def test_a_node_speaks_for_itself_only() -> None:
    """It cannot lower what others are measured by under another name."""
    nodes = Nodes()
    proof = Proof(nodes, None)
    nodes.results["n1"] = result("n2")

    await proof.do(asked("n1"))

    assert [kept.node for kept in proof.results()] == ["n1"]


@pytest.mark.parametrize("status", ["refused", "failed", "timed_out"])
async def test_what_keeps_the_probe_from_running_is_the_outcome(status: str) -> None:
    """A refusal by the node's policy is handed on, so that a person can do it."""
    nodes = Nodes()
    nodes.outcome = VerbOutcome(status=status, text="the policy of this node does not allow node.probe")

    assert (await Proof(nodes, None).do(asked("n1"))).status == status


@pytest.mark.parametrize("said", ["", "{}", "[1]", "x" * 300_000, '{"node": 1}'])
async def test_what_is_no_result_proves_nothing(said: str) -> None:
    """A node may say anything."""
    nodes = Nodes()
    nodes.outcome = VerbOutcome(status="done", text="ok", facts={"result": said})
    proof = Proof(nodes, None)

    assert (await proof.do(asked("n1"))).status == "failed"
    assert proof.results() == []


async def test_a_dry_run_asks_the_node_and_loads_nothing() -> None:
    """The node says what it would do."""
    nodes = Nodes()

    outcome = await Proof(nodes, None).plan(asked("n1", dry_run=True))

    assert outcome.text == "dry run: would load this node"
    assert nodes.calls[0].dry_run


def test_a_result_survives_its_line() -> None:
    """And numbers that are none do not."""
    one = replace(result("n1"), skipped=("pairs: nothing",))
    assert from_json(to_json(one)) == one
    with pytest.raises(ValueError, match="Out of range"):
        to_json(result("n1", speed=float("nan")))
