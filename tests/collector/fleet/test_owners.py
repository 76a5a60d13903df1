"""Who uses each GPU, by the Hellos of the nodes."""

from __future__ import annotations

from ringwatch_collector.fleet.owners import Owners
from ringwatch_proto.v1 import telemetry_pb2 as wire


def test_the_newest_hello_of_a_node_counts_and_leaves_others_alone() -> None:
    """Jobs end, and GPUs go to the next one."""
    owners = Owners()
    owners.hello(
        "a", [wire.GpuOwner(gpu="GPU-1", job="x", rank=0), wire.GpuOwner(gpu="GPU-1", job="y", rank=-1)]
    )
    owners.hello("b", [wire.GpuOwner(gpu="GPU-1", job="z", rank=4)])
    seen = {key: [(user.job, user.rank) for user in users] for key, users in owners.view().items()}
    assert seen == {("a", "GPU-1"): [("x", 0), ("y", -1)], ("b", "GPU-1"): [("z", 4)]}
    owners.hello("a", [])
    assert list(owners.view()) == [("b", "GPU-1")]
