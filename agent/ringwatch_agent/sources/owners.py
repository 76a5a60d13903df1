"""The ``jobs`` source: which job, rank and user each GPU of this node belongs to, with no hook in the job.

Joins what processes hold open, what their environment says, what NVML counts and what the kubelet gave out.
Judges nothing: each owner says how it is known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

from ringwatch_agent.sources.base import GpuOwner, Reading
from ringwatch_agent.sources.gpu_holders import GpuHolders, gpu_minors
from ringwatch_agent.sources.job_env import JobProcess, read_process
from ringwatch_agent.sources.kept_files import children
from ringwatch_agent.sources.pod_devices import PodDevice, PodDevices
from ringwatch_proto.errors import SourceError, SourceUnsupported

MAX_OWNERS: Final = 1024
# UUID of each GPU -> the processes that NVML counts on it.
Seen = Callable[[], Mapping[str, Collection[int]]]


def _nothing() -> Mapping[str, Collection[int]]:
    return {}


class JobsSource:
    """Looks every fifteen seconds. ``seen`` is NVML's word, where there is one."""

    name = "jobs"

    def __init__(
        self,
        *,
        proc: Path = Path("/proc"),
        kubelet: Path = Path("/var/lib/kubelet/pod-resources/kubelet.sock"),
        seen: Seen = _nothing,
        period_s: float = 15.0,
    ) -> None:
        self.period_s = period_s
        self._proc = proc
        self._seen = seen
        self._holders = GpuHolders(proc)
        self._pods = PodDevices(kubelet)

    def open(self) -> None:
        """Raise SourceUnsupported on a machine without NVIDIA's driver."""
        if not children(self._proc / "driver/nvidia/gpus"):
            raise SourceUnsupported("the NVIDIA driver shows no GPU under /proc/driver/nvidia/gpus")

    def close(self) -> None:
        """Let go of the channel to the kubelet."""
        self._pods.close()

    def read(self) -> Reading:
        """Return the owners of every GPU now."""
        minors = gpu_minors(self._proc)
        dropped: dict[str, int] = {}
        try:
            pods = self._pods.list() or []
        except SourceError:  # the processes are told all the same; that the pods are missing is counted
            pods, dropped = [], {"jobs.kubelet": 1}
        owners = sorted(
            self._owners(minors, pods), key=lambda owner: (owner.gpu, owner.rank, owner.pid, owner.pod)
        )
        if len(owners) > MAX_OWNERS:
            dropped["jobs.owners"] = len(owners) - MAX_OWNERS
        return Reading(owners=tuple(owners[:MAX_OWNERS]), dropped=dropped)

    def _owners(self, minors: Mapping[int, str], pods: list[PodDevice]) -> list[GpuOwner]:
        given = {_uuid(each.device, minors): each for each in pods}
        owners = self._processes(minors, given)
        told = {owner.gpu for owner in owners}
        return owners + [
            GpuOwner(gpu=gpu, job=each.pod, pod=each.pod, container=each.container, how="kubelet")
            for gpu, each in given.items()
            if gpu not in told
        ]

    def _processes(self, minors: Mapping[int, str], given: Mapping[str, PodDevice]) -> list[GpuOwner]:
        held = {
            pid: [minors[each] for each in sorted(numbers) if each in minors]
            for pid, numbers in self._holders.look().items()
        }
        counted: dict[int, list[str]] = {}
        for gpu, pids in self._seen().items():
            for pid in pids:
                counted.setdefault(pid, []).append(gpu)
        owners: list[GpuOwner] = []
        for pid in held.keys() | counted.keys():
            process = read_process(pid, self._proc)
            if process is None or (pid not in counted and _is_a_daemon(process)):
                continue
            gpus, how = (counted[pid], "nvml") if pid in counted else _placed(process, held[pid])
            owners += [_owner(process, gpu, how, given.get(gpu)) for gpu in gpus]
        return owners


def _is_a_daemon(process: JobProcess) -> bool:
    """Tell NVIDIA's own daemons, and this agent, from users: all of them hold every GPU open."""
    return process.program.startswith(("nvidia-", "nv-", "nvsm", "dcgm", "ringwatch"))


def _placed(process: JobProcess, held: list[str]) -> tuple[list[str], str]:
    """Return the GPUs that a process uses, and how that is known."""
    visible, at = process.visible, max(process.local_rank, 0)
    if process.rank >= 0 and len(held) > 1:
        if len(visible) == 1 and visible[0] in held:
            return [visible[0]], "environment"
        if at < len(visible) and visible[at] in held:
            return [visible[at]], "environment"
        if at < len(held) and process.local_rank >= 0:
            # Torch's own rule: the n-th process of a node takes the n-th GPU that it sees.
            return [held[at]], "local rank"
    return held, "open device"


def _owner(process: JobProcess, gpu: str, how: str, pod: PodDevice | None) -> GpuOwner:
    return GpuOwner(
        gpu=gpu,
        pid=process.pid,
        job=process.job or (pod.pod if pod else ""),
        user=process.user,
        rank=process.rank,
        world_size=process.world_size,
        program=process.program,
        pod=pod.pod if pod else "",
        container=pod.container if pod else "",
        how=how,
    )


def _uuid(device: str, minors: Mapping[int, str]) -> str:
    return minors.get(int(device), device) if device.isdecimal() else device
