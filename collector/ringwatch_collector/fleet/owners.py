"""Who uses each GPU, as the agents see it from outside the jobs, by node and GPU. Blames nobody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ringwatch_collector.view import GpuUser
from ringwatch_proto.v1 import telemetry_pb2 as wire


class Owners:
    """The users of the GPUs of all nodes, as their newest Hellos name them."""

    def __init__(self) -> None:
        self._by_gpu: dict[tuple[str, str], tuple[GpuUser, ...]] = {}
        self._of_node: dict[str, list[tuple[str, str]]] = {}

    def hello(self, node: str, owners: Iterable[wire.GpuOwner]) -> None:
        """Take the users of one node's GPUs in place of those named before."""
        for key in self._of_node.pop(node, ()):
            self._by_gpu.pop(key, None)
        found: dict[tuple[str, str], list[GpuUser]] = {}
        for owner in owners:
            found.setdefault((node, owner.gpu), []).append(_user(owner))
        if found:
            self._of_node[node] = list(found)
            self._by_gpu.update({key: tuple(users) for key, users in found.items()})

    def view(self) -> Mapping[tuple[str, str], tuple[GpuUser, ...]]:
        """Return the users by (node, GPU); it changes with the next Hello."""
        return self._by_gpu


def _user(owner: wire.GpuOwner) -> GpuUser:
    return GpuUser(
        job=owner.job, user=owner.user, rank=owner.rank, pid=owner.pid, program=owner.program, pod=owner.pod,
        how=owner.how,
    )  # fmt: skip
