"""A real drain, probe and resume through a runbook: collector, Slurm and probe as they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.collector.repair.cluster import NODES, Cluster, running_cluster
from tests.collector.rig import Client, Rig, batch, running
from tests.collector.test_runs import incident_of, lost_hello, state_block, until_waiting

from ringwatch_agent.probe.node import run_probe
from ringwatch_agent.verbs import NodeFacts, Verbs
from ringwatch_proto.signals import GpuState
from ringwatch_proto.v1 import query_pb2, runs_pb2, runs_pb2_grpc

pytestmark = [pytest.mark.root, pytest.mark.torch]

WALK = """\
schema: runbook/v1
id: slurm-walk
revision: 1
title: {en: Drain it prove it return it, zh: 排空、验证、恢复}
first_rule: {en: The scheduler has the last word, zh: 以调度器为准}
severity: critical
triggers: [{kind: gpu.off_bus, causes: ["*"]}]
never: [return a node that was not proved]
sources: ["https://slurm.schedmd.com/scontrol.html"]
steps:
  - id: placed
    kind: check
    title: What does the scheduler say?
    call: scheduler.state
    timeout_s: 20
    expect: nobody else has taken it out
    branch:
      - {when: {timeout: true}, goto: over}
      - when:
          all:
            - {fact: scheduler.out, op: "==", value: "yes"}
            - {fact: scheduler.ours, op: "==", value: "no"}
        goto: over
      - {when: {else: true}, goto: drain}
  - {id: drain, kind: action, title: Stop new work on the node, uses: drain_node, then: move, on_fail: over}
  - {id: move, kind: action, title: Move the work off the node, uses: move_jobs, then: gone, on_fail: over}
  - {id: gone, kind: verify, title: Is it gone, healthy_s: 1, timeout_s: 60, then: prove, on_fail: over}
  - {id: prove, kind: action, title: Prove it under load, uses: prove_node, then: back, on_fail: over}
  - {id: back, kind: action, title: Return the node, uses: return_node, then: fixed, on_fail: over}
  - {id: fixed, kind: end, outcome: resolved, note: It was proved and returned}
  - {id: over, kind: end, outcome: handed_over, note: Others have it}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run Slurm."""
    with running_cluster(tmp_path_factory.mktemp("slurm")) as made:
        yield made


class Agent:
    """A node of the cluster: it reports, and its verbs are the agent's own."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._sequence = 1
        self.lost = True
        facts: Any = NodeFacts(
            inspect_gpu=lambda _gpu: {},
            inspect_node=dict,
            reset_clocks=lambda _gpu: None,
            training_pids=dict,
            # A process of its own, as ever; quick, and three of five tests, so that this one is quick.
            probe=lambda _level, timeout_s: run_probe("quick", timeout_s, ("gemm", "memory", "storage")),
        )
        self._verbs = Verbs(frozenset({"node.probe", "node.inspect"}), facts)

    async def report(self) -> None:
        """Send a batch twice a second."""
        while True:
            self._sequence += 1
            state = GpuState.LOST if self.lost else GpuState.OK
            await self._client.send(batch(self._sequence, blocks=[state_block(state)]))
            await asyncio.sleep(0.5)

    async def obey(self) -> None:
        """Answer what the collector asks for."""
        while await self._client.receive() is not None:
            while self._client.requests:
                await self._client.send(await self._verbs(self._client.requests.pop(0)))


@asynccontextmanager
async def reporting(rig: Rig) -> AsyncIterator[Agent]:
    """Run the agent until the end of the block."""
    greeting = lost_hello()
    greeting.node = "n1"
    agent = Agent(await rig.agent(greeting))
    tasks = [asyncio.create_task(agent.report()), asyncio.create_task(agent.obey())]
    try:
        yield agent
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_node_is_drained_proved_and_resumed_and_the_dry_run_changes_nothing(
    tmp_path: Path, cluster: Cluster
) -> None:
    """Slurm's own word before and after; the audit log says who, why, before and after."""
    library, data = tmp_path / "library", tmp_path / "data"
    library.mkdir()
    (library / "slurm-walk.yaml").write_text(WALK, encoding="utf-8")
    settings = {
        "repair": {"scheduler": "slurm", "slurm_conf": str(cluster.conf)},
        "runbooks": {"library": str(library)},
    }
    job = cluster.submit("n1")
    async with running(data, **settings) as rig, reporting(rig) as agent:
        runs: Any = runs_pb2_grpc.RunsStub(rig.channel)
        incident = await incident_of(rig.query)
        request = runs_pb2.StartRunRequest(incident=incident.id, runbook="slurm-walk", author="ana")
        everything = [cluster.show(node) for node in NODES], cluster.jobs()

        plan = await runs.PlanRun(request)
        steps = {step.id: step for step in plan.steps}
        assert plan.state == "planned"
        assert "would drain it with reason" in "\n".join(steps["drain"].output)
        assert f"would requeue: 1 jobs run there ({job})" in "\n".join(steps["move"].output)
        assert ([cluster.show(node) for node in NODES], cluster.jobs()) == everything

        run = await until_waiting(runs, (await runs.StartRun(request)).id)

        async def say(step: str, action: str, text: str = "") -> runs_pb2.Run:
            answer = runs_pb2.AnswerRequest(run=run.id, step=step, action=action, text=text, author="ana")
            await runs.Answer(answer)
            return await until_waiting(runs, run.id, patience_s=100.0)

        await say("drain", "dry_run")
        assert ([cluster.show(node) for node in NODES], cluster.jobs()) == everything
        now = await say("drain", "approve", "n1")
        assert now.current == "move"
        assert cluster.state("n1") in ("draining", "drained")
        agent.lost = False
        now = await say("move", "approve", "n1")
        assert now.current == "prove", now
        assert [each[1] for each in cluster.jobs()] == ["PENDING"]
        assert cluster.state("n1") == "drained"
        now = await say("prove", "approve", "n1")
        assert now.current == "back", "\n".join(line for step in now.steps for line in step.output)
        now = await say("back", "approve", "n1")

        assert (now.state, now.path[-1]) == ("succeeded", "fixed")
        assert cluster.state("n1") == "idle"
        log = await rig.query.ListAudit(query_pb2.ListAuditRequest())
        check_audit(log, incident.id)


def check_audit(log: query_pb2.AuditList, incident: str) -> None:
    """Assert that every act has who, why, before and after, in an unbroken chain."""
    assert log.chain_intact
    told = {each.action: each for each in log.records if each.result.startswith("done: ")}
    drained, moved = told["action.drain_node"], told["action.move_jobs"]
    proved, returned = told["action.prove_node"], told["action.return_node"]
    for each in (drained, moved, proved, returned):
        assert (each.actor, each.target, each.incident) == ("ana", "n1", incident)
        assert "because n1 GPU-aaaabbbb" in each.reason
    assert drained.result.startswith("done: n1: before ")
    assert (
        f", after {'MIXED' if 'MIXED' in drained.result else 'ALLOCATED'}+DRAIN (ringwatch {incident}"
        in drained.result
    )
    assert "before 1 jobs, after 0" in moved.result
    assert "checks in" in proved.result
    assert "after IDLE" in returned.result
