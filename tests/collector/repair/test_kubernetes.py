"""Tests of the Kubernetes adapter: the official client against an API server over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
from kubernetes import client

from ringwatch_collector.repair.kubernetes import LABEL, TAINT, Kubernetes, api_of
from ringwatch_collector.repair.kubernetes_node import ANNOTATION
from ringwatch_collector.repair.switchboard import Switchboard
from ringwatch_proto.errors import ConfigError
from ringwatch_runbooks.base import RepairCall

from .kube import Cluster, running_kube


@pytest.fixture
def kube() -> Iterator[Cluster]:
    """Serve two nodes; on n1 are a job's pods, a daemon, the mirror of a file, and one that has ended."""
    with running_kube() as cluster:
        for name in ("n1", "n2"):
            cluster.add_node(name)
        cluster.add_pod("rank-0", "n1", owner="Job")
        cluster.add_pod("rank-1", "n1", owner="Job")
        cluster.add_pod("exporter", "n1", owner="DaemonSet")
        cluster.add_pod("done", "n1", owner="Job", phase="Succeeded")
        cluster.add_pod("mirror", "n1", owner="Node")
        cluster.pods["mirror"]["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
        cluster.add_pod("elsewhere", "n2")
        yield cluster


@pytest.fixture
def board(kube: Cluster, tmp_path: Path) -> Switchboard:
    """Return the calls of the cluster, as a kubeconfig names it."""
    file = tmp_path / "kubeconfig"
    file.write_text(
        f"""\
apiVersion: v1
kind: Config
current-context: test
contexts: [{{name: test, context: {{cluster: test, user: test}}}}]
clusters: [{{name: test, cluster: {{server: "{kube.url}"}}}}]
users: [{{name: test, user: {{token: secret-token}}}}]
"""
    )
    return Switchboard([Kubernetes(api_of(str(file)))])


def asked(name: str, node: str = "n1", timeout_s: float = 9.0) -> RepairCall:
    """Return an approved call."""
    return RepairCall(
        name=name, arguments={"node": node}, timeout_s=timeout_s, requested_by="ana", approved_by="ana",
        incident="I-1", run="R-1",
    )  # fmt: skip


async def test_a_node_is_cordoned_emptied_and_returned(board: Switchboard, kube: Cluster) -> None:
    """Daemons, mirrors and what has ended stay; the incident stands on the node until it returns."""
    drained = await board.call(asked("scheduler.drain"))
    assert (drained.status, drained.text) == (
        "done", "n1: before Ready, after Ready,SchedulingDisabled,for I-1",
    )  # fmt: skip
    assert kube.nodes["n1"]["spec"] == {"unschedulable": True}
    assert (await board.call(asked("scheduler.state"))).facts["work"] == "2"

    moved = await board.call(asked("scheduler.move"))
    assert moved.status == "done", moved.text
    assert sorted(kube.pods) == ["done", "elsewhere", "exporter", "mirror"]

    returned = await board.call(asked("scheduler.resume"))
    assert returned.status == "done"
    spec = kube.nodes["n1"]["spec"]
    assert spec["unschedulable"] is False
    assert ANNOTATION not in kube.nodes["n1"]["metadata"]["annotations"]


@pytest.mark.parametrize(
    "name",
    [
        "scheduler.state", "scheduler.drain", "scheduler.move", "kubernetes.taint", "kubernetes.untaint",
        "kubernetes.label", "kubernetes.unlabel",
    ],
)  # fmt: skip
async def test_a_dry_run_is_asked_of_the_server_and_changes_nothing(
    board: Switchboard, kube: Cluster, name: str
) -> None:
    """The server itself tries it: dryRun=All."""
    before = deepcopy((kube.nodes, kube.pods))

    outcome = await board.call(replace(asked(name), dry_run=True))

    assert outcome.status == "done", outcome.text
    assert (kube.nodes, kube.pods) == before


async def test_an_eviction_waits_for_a_disruption_budget(board: Switchboard, kube: Cluster) -> None:
    """429 is asked again; the pod goes when its budget lets it."""
    await board.call(asked("scheduler.drain"))
    kube.budgets["rank-1"] = 1

    moved = await board.call(asked("scheduler.move"))

    assert moved.status == "done", moved.text
    assert sum(path.endswith("/rank-1/eviction") for _, path, _ in kube.requests) == 2


async def test_a_budget_that_never_lets_go_fails_and_nothing_is_forced(
    board: Switchboard, kube: Cluster
) -> None:
    """No pod is deleted past its budget."""
    await board.call(asked("scheduler.drain"))
    kube.budgets["rank-1"] = -1

    moved = await board.call(asked("scheduler.move", timeout_s=6.5))

    assert moved.status == "failed"
    assert "train/rank-1: its disruption budget does not allow it" in moved.text
    assert "rank-1" in kube.pods
    assert all(method != "DELETE" for method, _, _ in kube.requests)


async def test_a_pod_without_a_controller_is_not_evicted(board: Switchboard, kube: Cluster) -> None:
    """It would not come back."""
    await board.call(asked("scheduler.drain"))
    kube.add_pod("by-hand", "n1", owner="")

    moved = await board.call(asked("scheduler.move"))

    assert moved.status == "refused"
    assert {"by-hand", "rank-0", "rank-1"} <= set(kube.pods)


async def test_a_node_in_service_is_not_emptied(board: Switchboard, kube: Cluster) -> None:
    """Pods would come back to it."""
    assert (await board.call(asked("scheduler.move"))).status == "refused"
    assert "rank-0" in kube.pods


async def test_a_cordon_of_someone_else_stays(board: Switchboard, kube: Cluster) -> None:
    """Neither changed nor taken back, and one for another incident neither."""
    kube.nodes["n1"]["spec"]["unschedulable"] = True
    assert (await board.call(asked("scheduler.drain"))).status == "done"
    assert (await board.call(asked("scheduler.resume"))).status == "refused"
    kube.nodes["n1"]["metadata"]["annotations"][ANNOTATION] = "I-7"

    refused = await board.call(asked("scheduler.resume"))

    assert "taken out for I-7" in refused.text
    assert kube.nodes["n1"]["spec"]["unschedulable"] is True


async def test_a_taint_keeps_those_of_others_and_survives_a_conflict(
    board: Switchboard, kube: Cluster
) -> None:
    """The list is changed as one, on the version that was read."""
    kube.nodes["n1"]["spec"]["taints"] = [{"key": "team", "value": "a", "effect": "NoExecute"}]
    kube.conflicts = 1

    tainted = await board.call(asked("kubernetes.taint"))

    assert tainted.status == "done", tainted.text
    assert [taint["key"] for taint in kube.nodes["n1"]["spec"]["taints"]] == ["team", TAINT]
    await board.call(asked("kubernetes.untaint"))
    assert [taint["key"] for taint in kube.nodes["n1"]["spec"]["taints"]] == ["team"]


async def test_a_label_names_the_incident(board: Switchboard, kube: Cluster) -> None:
    """It is what people select by."""
    await board.call(asked("kubernetes.label"))
    assert kube.nodes["n1"]["metadata"]["labels"] == {LABEL: "I-1"}

    await board.call(asked("kubernetes.unlabel"))
    assert kube.nodes["n1"]["metadata"]["labels"] == {}


async def test_what_the_server_refuses_is_told_and_not_raised(board: Switchboard) -> None:
    """A node that is not there, in the server's words."""
    outcome = await board.call(asked("scheduler.drain", node="n9"))

    assert outcome.status == "failed"
    assert "404" in outcome.text


async def test_a_server_that_is_not_there_is_told() -> None:
    """The token is in no message."""
    api = api_of_port_that_nobody_has()

    outcome = await Switchboard([Kubernetes(api)]).call(asked("scheduler.drain"))

    assert outcome.status == "failed"
    assert "cannot be asked" in outcome.text


def api_of_port_that_nobody_has() -> client.CoreV1Api:
    """Return the API of a cluster whose server is gone."""
    settings = client.Configuration(host="http://127.0.0.1:9")
    settings.retries = False
    return client.CoreV1Api(client.ApiClient(settings))


def test_a_kubeconfig_that_cannot_be_read_is_a_config_error(tmp_path: Path) -> None:
    """The collector does not start half set up."""
    with pytest.raises(ConfigError, match="kubeconfig"):
        api_of(str(tmp_path / "nothing"))
