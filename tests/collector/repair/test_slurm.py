"""Tests of the Slurm adapter against a real slurmctld and three slurmd."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ringwatch_collector.repair.slurm import Slurm
from ringwatch_collector.repair.slurm_node import parse_node
from ringwatch_collector.repair.switchboard import Switchboard
from ringwatch_runbooks.base import RepairCall

from .cluster import NODES, PATH, Cluster

pytestmark = pytest.mark.root


@pytest.fixture
def board(cluster: Cluster) -> Iterator[Switchboard]:
    """Return the calls of the cluster, and leave it calm."""
    scontrol, squeue = shutil.which("scontrol", path=PATH), shutil.which("squeue", path=PATH)
    assert scontrol
    assert squeue
    yield Switchboard([Slurm(scontrol=scontrol, squeue=squeue, environment=cluster.environment)])
    cluster.calm()


def asked(name: str, timeout_s: float = 30.0, **arguments: str) -> RepairCall:
    """Return an approved call."""
    return RepairCall(
        name=name, arguments=arguments, timeout_s=timeout_s, requested_by="ana", approved_by="ana",
        incident="I-1", run="R-1",
    )  # fmt: skip


async def test_a_drain_is_seen_by_slurm_itself_and_says_before_and_after(
    board: Switchboard, cluster: Cluster
) -> None:
    """Another command than the adapter's own tells the state."""
    outcome = await board.call(asked("scheduler.drain", node="n1"))

    assert outcome.status == "done", outcome.text
    assert outcome.text.startswith("n1: before IDLE, after IDLE+DRAIN")
    assert cluster.state("n1") == "drained"
    assert "Reason=ringwatch I-1 R-1 by ana" in cluster.show("n1")
    assert [cluster.state(node) for node in NODES[1:]] == ["idle", "idle"]

    back = await board.call(asked("scheduler.resume", node="n1"))

    assert back.status == "done", back.text
    assert cluster.state("n1") == "idle"


@pytest.mark.parametrize("name", ["scheduler.drain", "scheduler.move", "scheduler.resume", "scheduler.state"])
async def test_a_dry_run_changes_nothing_in_slurm(board: Switchboard, cluster: Cluster, name: str) -> None:
    """Everything that Slurm says of every node and job is as before."""
    cluster.submit("n2")
    before = [cluster.show(node) for node in NODES], cluster.jobs()

    outcome = await board.call(replace(asked(name, node="n2"), dry_run=True))

    assert outcome.status == "done", outcome.text
    assert ([cluster.show(node) for node in NODES], cluster.jobs()) == before
    assert "n2 is " in outcome.text


async def test_work_moves_off_a_drained_node_and_comes_back_elsewhere(
    board: Switchboard, cluster: Cluster
) -> None:
    """A node that is not drained is left alone: the work would come back to it."""
    job = cluster.submit("n1")
    refused = await board.call(asked("scheduler.move", node="n1"))
    assert refused.status == "refused"
    assert [job, "RUNNING", "n1"] in cluster.jobs()

    await board.call(asked("scheduler.drain", node="n1"))
    assert (await board.call(asked("scheduler.state", node="n1"))).facts["work"] == "1"
    moved = await board.call(asked("scheduler.move", node="n1"))

    assert moved.status == "done", moved.text
    assert moved.text.startswith("n1: before 1 jobs, after 0")
    assert [each[1] for each in cluster.jobs() if each[0] == job] == ["PENDING"]


async def test_a_drain_of_someone_else_is_neither_changed_nor_taken_back(
    board: Switchboard, cluster: Cluster
) -> None:
    """A node that people hold out stays out, with their reason."""
    cluster.run("scontrol", "update", "nodename=n3", "state=drain", "reason=bad fan, ask Mia")
    before = cluster.show("n3")

    drained = await board.call(asked("scheduler.drain", node="n3"))
    resumed = await board.call(asked("scheduler.resume", node="n3"))

    assert (drained.status, resumed.status) == ("done", "refused")
    assert "ask who did" in resumed.text
    assert cluster.show("n3") == before


async def test_a_node_that_another_incident_holds_stays_out(board: Switchboard, cluster: Cluster) -> None:
    """Two incidents of one node are two reasons to keep it out."""
    await board.call(replace(asked("scheduler.drain", node="n1"), incident="I-7"))

    resumed = await board.call(asked("scheduler.resume", node="n1"))

    assert (resumed.status, cluster.state("n1")) == ("refused", "drained")
    assert "another incident holds it" in resumed.text


async def test_a_job_is_requeued_by_its_id_or_its_name(board: Switchboard, cluster: Cluster) -> None:
    """Ringwatch calls a job slurm-ID unless it has a name."""
    job, other = cluster.submit("n1", name="llm-70b"), cluster.submit("n2")

    by_name = await board.call(asked("scheduler.requeue", job="llm-70b"))
    by_id = await board.call(asked("scheduler.requeue", job=f"slurm-{other}"))
    nothing = await board.call(asked("scheduler.requeue", job="no-such-job"))

    assert (by_name.status, by_id.status, nothing.status) == ("done", "done", "failed")
    assert by_name.text == f"job {job} was requeued"
    cluster.until(lambda: {each[1] for each in cluster.jobs()} == {"PENDING"}, "both wait to start again")


@pytest.mark.parametrize(
    "node",
    [
        "ALL",
        "all",
        "n[1-3]",
        "n1,n2",
        "-rf",
        "--help",
        "n1 state=down",
        "n1\nstate=down",
        "",
        "n1;reboot",
        "$(id)",
        "n9",
    ],
)
async def test_a_hostile_node_changes_nothing(board: Switchboard, cluster: Cluster, node: str) -> None:
    """Slurm takes ALL and brackets for many nodes: neither reaches it."""
    before = [cluster.show(each) for each in NODES]

    outcome = await board.call(asked("scheduler.drain", node=node))

    assert outcome.status in ("refused", "failed")
    assert [cluster.show(each) for each in NODES] == before


OURS = "ringwatch I-1 R-2 by bo"


@pytest.mark.parametrize(
    ("line", "state", "reason", "out", "ours"),
    [
        ("NodeName=n1 Arch=x86_64 State=IDLE ThreadsPerCore=1", "IDLE", "", False, False),
        (
            f"NodeName=n1 State=MIXED+DRAIN ThreadsPerCore=1 Reason={OURS} [root@2026-11-25T10:00:00]",
            "MIXED+DRAIN",
            OURS,
            True,
            True,
        ),
        ("NodeName=n1 State=DOWN* Reason=Not responding [slurm@x]", "DOWN*", "Not responding", True, False),
        ("NodeName=n1 State=IDLE+DRAIN Reason=ringwatchful [a@b]", "IDLE+DRAIN", "ringwatchful", True, False),
        ("NodeName=n1 State=IDLE+NOT_RESPONDING", "IDLE+NOT_RESPONDING", "", True, False),
    ],
)
def test_a_line_of_scontrol_is_read(line: str, state: str, reason: str, out: bool, ours: bool) -> None:
    """Flags, stars and reasons with blanks."""
    node = parse_node(line)

    assert (node.state, node.reason, node.out, node.ours) == (state, reason, out, ours)
