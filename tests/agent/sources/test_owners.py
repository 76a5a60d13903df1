"""Who uses each GPU: processes out of a tree, pods from a real kubelet's socket."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from tests.agent.sources.test_job_env import process

from ringwatch_agent.kubelet import podresources_pb2 as messages
from ringwatch_agent.sources.gpu_holders import GpuHolders, gpu_minors
from ringwatch_agent.sources.owners import MAX_OWNERS, JobsSource
from ringwatch_agent.sources.pod_devices import PodDevices
from ringwatch_proto.errors import SourceError, SourceUnsupported

UUID = "GPU-0000000{}-1111-2222-3333-444444444444"


def gpus(proc: Path, count: int) -> None:
    """Write what the driver shows of its GPUs."""
    for at in range(count):
        folder = proc / f"driver/nvidia/gpus/0000:0{at}:00.0"
        folder.mkdir(parents=True)
        text = f"Model: \t\t NVIDIA H100\nGPU UUID: \t {UUID.format(at)}\nDevice Minor: \t {at}\n"
        (folder / "information").write_text(text)


def holds(proc: Path, pid: int, *minors: int) -> None:
    """Let a process hold device files open."""
    folder = proc / str(pid) / "fd"
    folder.mkdir(parents=True, exist_ok=True)
    targets = ["/dev/null", "/dev/nvidiactl", "/dev/nvidia-uvm", *(f"/dev/nvidia{each}" for each in minors)]
    for at, target in enumerate(targets):
        (folder / str(at)).unlink(missing_ok=True)
        (folder / str(at)).symlink_to(target)


class Kubelet:
    """A gRPC server with the method that the kubelet has."""

    def __init__(self, socket: Path) -> None:
        self.answer = messages.ListPodResourcesResponse()
        self._server = grpc.server(futures.ThreadPoolExecutor(1))
        method = grpc.unary_unary_rpc_method_handler(
            lambda _request, _context: self.answer,
            request_deserializer=messages.ListPodResourcesRequest.FromString,
            response_serializer=messages.ListPodResourcesResponse.SerializeToString,
        )
        handler = grpc.method_handlers_generic_handler("v1.PodResourcesLister", {"List": method})
        self._server.add_generic_rpc_handlers((handler,))
        self._server.add_insecure_port(f"unix:{socket}")
        self._server.start()

    def give(self, pod: str, *devices: str, resource: str = "nvidia.com/gpu") -> None:
        """Give devices to a pod of the namespace ml."""
        container = messages.ContainerResources(name="train")
        container.devices.add(resource_name=resource, device_ids=devices)
        self.answer.pod_resources.add(name=pod, namespace="ml", containers=[container])

    def stop(self) -> None:
        """End it."""
        self._server.stop(0).wait()


@pytest.fixture
def kubelet(tmp_path: Path) -> Iterator[Kubelet]:
    """A kubelet that listens on a socket."""
    server = Kubelet(tmp_path / "kubelet.sock")
    yield server
    server.stop()


def source(proc: Path, tmp_path: Path, **more: object) -> JobsSource:
    """Return the source over a tree, with the socket of the fixture."""
    return JobsSource(proc=proc, kubelet=tmp_path / "kubelet.sock", **more)  # type: ignore[arg-type] # in a test


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A procfs with four GPUs."""
    folder = tmp_path / "proc"
    folder.mkdir()
    gpus(folder, 4)
    return folder


def test_each_gpu_has_its_rank_job_and_user(proc: Path, tmp_path: Path) -> None:
    """Every rank holds all devices open, and the local rank says which one is its own."""
    for rank in range(4):
        process(
            proc, 100 + rank, RANK=str(4 + rank), LOCAL_RANK=str(rank), WORLD_SIZE="8", SLURM_JOB_ID="812"
        )
        holds(proc, 100 + rank, 0, 1, 2, 3)
    owners = source(proc, tmp_path).read().owners
    assert owners is not None
    assert [(owner.gpu, owner.rank, owner.job, owner.pid, owner.how) for owner in owners] == [
        (UUID.format(at), 4 + at, "slurm-812", 100 + at, "local rank") for at in range(4)
    ]


def test_a_uuid_in_the_environment_and_a_single_open_device_are_better_known(
    proc: Path, tmp_path: Path
) -> None:
    """And are said to be."""
    process(proc, 100, RANK="0", LOCAL_RANK="0", CUDA_VISIBLE_DEVICES=UUID.format(3))
    holds(proc, 100, 0, 3)
    process(proc, 101, SLURM_JOB_ID="9")
    holds(proc, 101, 2)
    owners = source(proc, tmp_path).read().owners
    assert owners is not None
    assert [(owner.gpu, owner.pid, owner.how) for owner in owners] == [
        (UUID.format(2), 101, "open device"),
        (UUID.format(3), 100, "environment"),
    ]


def test_nvml_knows_better_than_open_files(proc: Path, tmp_path: Path) -> None:
    """Its count of processes is the driver's own."""
    process(proc, 100, RANK="0", LOCAL_RANK="0")
    holds(proc, 100, 0, 1, 2, 3)
    owners = source(proc, tmp_path, seen=lambda: {UUID.format(2): {100}}).read().owners
    assert owners is not None
    assert [(owner.gpu, owner.how) for owner in owners] == [(UUID.format(2), "nvml")]


def test_daemons_of_the_driver_own_nothing(proc: Path, tmp_path: Path) -> None:
    """They hold every GPU open."""
    process(proc, 100)
    (proc / "100/comm").write_text("nvidia-persiste\n")
    holds(proc, 100, 0, 1, 2, 3)
    assert source(proc, tmp_path).read().owners == ()


def test_a_pod_owns_what_the_kubelet_gave_it(proc: Path, tmp_path: Path, kubelet: Kubelet) -> None:
    """With its processes where they are seen, without where they are not; other devices do not count."""
    kubelet.give("llm-0", UUID.format(0), f"{UUID.format(1)}::2")
    kubelet.give("net-0", "0000:41:00.0", resource="rdma/hca")
    process(proc, 100, RANK="0", LOCAL_RANK="0")
    holds(proc, 100, 0)
    jobs = source(proc, tmp_path)
    owners = jobs.read().owners
    jobs.close()
    assert owners is not None
    assert [(owner.gpu, owner.pid, owner.pod, owner.container, owner.how) for owner in owners] == [
        (UUID.format(0), 100, "ml/llm-0", "train", "open device"),
        (UUID.format(1), 0, "ml/llm-0", "train", "kubelet"),
    ]
    assert owners[1].job == "ml/llm-0"


def test_a_kubelet_that_goes_away_and_comes_back_is_asked_again(
    proc: Path, tmp_path: Path, kubelet: Kubelet
) -> None:
    """The socket is gone with it; one that is there and does not answer is counted."""
    kubelet.give("llm-0", UUID.format(0))
    jobs = source(proc, tmp_path)
    assert len(jobs.read().owners or ()) == 1
    kubelet.stop()
    (tmp_path / "kubelet.sock").unlink(missing_ok=True)
    assert jobs.read().owners == ()
    again = Kubelet(tmp_path / "kubelet.sock")
    again.give("llm-1", UUID.format(1))
    assert [owner.pod for owner in jobs.read().owners or ()] == ["ml/llm-1"]
    jobs.close()
    again.stop()


def test_a_kubelet_without_the_method_is_an_error_of_the_kubelet_only(proc: Path, tmp_path: Path) -> None:
    """Processes are told all the same."""
    server = grpc.server(futures.ThreadPoolExecutor(1))
    server.add_insecure_port(f"unix:{tmp_path / 'kubelet.sock'}")
    server.start()
    pods = PodDevices(tmp_path / "kubelet.sock")
    with pytest.raises(SourceError, match="UNIMPLEMENTED"):
        pods.list()
    pods.close()
    process(proc, 100, SLURM_JOB_ID="1")
    holds(proc, 100, 0)
    jobs = source(proc, tmp_path)
    reading = jobs.read()
    jobs.close()
    server.stop(0).wait()
    assert reading.dropped == {"jobs.kubelet": 1}
    assert [owner.pid for owner in reading.owners or ()] == [100]


def test_too_many_owners_are_bounded_and_counted(proc: Path, tmp_path: Path) -> None:
    """A Hello has an end."""
    seen = {UUID.format(0): range(1000, 1000 + MAX_OWNERS + 3)}
    for pid in seen[UUID.format(0)]:
        process(proc, pid)
    reading = source(proc, tmp_path, seen=lambda: seen).read()
    assert len(reading.owners or ()) == MAX_OWNERS
    assert reading.dropped == {"jobs.owners": 3}


def test_processes_without_a_gpu_are_not_looked_at_each_time(proc: Path) -> None:
    """One that opens a GPU later is found at its next turn."""
    process(proc, 100)
    holders = GpuHolders(proc)
    assert holders.look(0.0) == {}
    holds(proc, 100, 1)
    assert holders.look(5.0) == {}
    assert holders.look(10.0) == {100: frozenset({1})}
    assert holders.look(11.0) == {100: frozenset({1})}


def test_a_gpu_that_was_never_opened_has_no_uuid_yet(tmp_path: Path) -> None:
    """The driver writes question marks."""
    folder = tmp_path / "driver/nvidia/gpus/0000:01:00.0"
    folder.mkdir(parents=True)
    (folder / "information").write_text("GPU UUID: \t GPU-????????-????\nDevice Minor: \t 0\n")
    assert gpu_minors(tmp_path) == {}


def test_a_machine_without_the_driver_has_no_such_source(tmp_path: Path) -> None:
    """And says why."""
    with pytest.raises(SourceUnsupported, match="shows no GPU"):
        JobsSource(proc=tmp_path).open()
