"""What runs in the lab: a collector, an agent a node, and one real job across the nodes."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ringwatch_drills.lab.cgroups import CpuGroup, make_cpu_group
from ringwatch_drills.lab.errors import LabError
from ringwatch_drills.lab.network import DEVICE, LabNode, build_network, run
from ringwatch_drills.lab.relay import PORT, Relay
from ringwatch_drills.lab.undo import UndoRecord, kill_all_in, process_mark
from ringwatch_drills.processes import RINGWATCH, Process, free_port, start

JOB: Final = "lab"
_MASTER_PORT: Final = 29533
# What an operator needs to let a stopped rank go on; nothing that ends or loads anything.
_POLICY: Final = 'allow = ["gpu.inspect", "node.inspect", "process.inspect", "process.continue"]\n'
_ENTER: Final = (sys.executable, "-m", "ringwatch_drills.lab.enter")


class Lab:
    """The parts that stay from run to run: network, cgroups, relay."""

    def __init__(self, count: int, undo: UndoRecord) -> None:
        self.undo = undo
        self.nodes = build_network(count, undo)
        self.groups = {node.number: make_cpu_group(f"n{node.number}", undo) for node in self.nodes}
        self.relay = Relay(self.nodes)

    def close(self) -> None:
        """Stop the relay; the undo record takes down the rest."""
        self.relay.close()


class Cluster:
    """What is new in every run: data, collector, agents and job, so that no verdict can leak."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.folder = Path(tempfile.mkdtemp(prefix="ringwatch-lab-"))
        lab.undo.note("folder", str(self.folder))
        self.address = f"127.0.0.1:{free_port()}"
        self.collector: Process | None = None
        self.agents: dict[int, Process] = {}
        self.job: dict[int, Process] = {}
        self.control({})

    @property
    def control_file(self) -> Path:
        """Return the file that the job follows."""
        return self.folder / "control.json"

    def control(self, trouble: Mapping[str, float]) -> None:
        """Tell the job what to do wrong from now on."""
        whole = self.control_file.with_suffix(".new")
        whole.write_text(json.dumps(trouble))
        whole.replace(self.control_file)

    def start(self) -> None:
        """Start collector, agents and job."""
        self.start_collector()
        for node in self.lab.nodes:
            self.start_agent(node)
        self._wait_for_sockets(15.0)
        for node in self.lab.nodes:
            self._start_rank(node)

    def start_collector(self) -> None:
        """Start the collector, or start it again over the same data."""
        data = str(self.folder / "collector")
        command = (*RINGWATCH, "collector", "run", "--listen", self.address, "--data-dir", data)
        self.collector = self._start("collector", command)
        host, _, port = self.address.partition(":")
        self.lab.relay.lead_to(host, int(port))

    def start_agent(self, node: LabNode) -> None:
        """Start the agent of a node."""
        policy = self.folder / "policy.toml"
        policy.write_text(_POLICY)
        command = (
            *self._inside(node, None),
            *(*RINGWATCH, "agent", "run", "--node", node.name, "--collector", f"127.0.0.1:{PORT}"),
            *("--state-dir", str(self.folder / node.name), "--hook-socket", str(self._socket(node))),
            *("--metrics", "off", "--labels", "class=lab", "--kmsg-pci", node.pci_address),
            *("--policy", str(policy)),
        )
        (self.folder / node.name).mkdir(exist_ok=True)
        self.agents[node.number] = self._start(f"agent-{node.name}", command)

    def _start_rank(self, node: LabNode) -> None:
        torchrun = (
            *(sys.executable, "-m", "torch.distributed.run", "--nnodes", str(len(self.lab.nodes))),
            *("--nproc-per-node", "1", "--node-rank", str(node.number), "--local-addr", node.address),
            *("--master-addr", self.lab.nodes[0].address, "--master-port", str(_MASTER_PORT)),
            *("-m", "ringwatch_drills.workload", "--control", str(self.control_file)),
        )
        environment = {
            "RINGWATCH_SOCKET": str(self._socket(node)),
            "RINGWATCH_JOB": JOB,
            "GLOO_SOCKET_IFNAME": DEVICE,
            "TP_SOCKET_IFNAME": DEVICE,
            "OMP_NUM_THREADS": "1",
        }
        command = (*self._inside(node, self.lab.groups[node.number]), *RINGWATCH, "exec", "--", *torchrun)
        self.job[node.number] = self._start(f"job-{node.name}", command, environment)

    def worker_pid(self, node: LabNode) -> int:
        """Return the pid of the training process of a node; raise LabError when there is none."""
        for pid in run("ip", "netns", "pids", node.namespace).split():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
                variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            except OSError:
                continue
            is_worker = any(each.startswith(b"LOCAL_RANK=") for each in variables)
            if is_worker and str(self.control_file) in words:
                return int(pid)
        raise LabError(f"no training process on {node.name}")

    def check_alive(self) -> None:
        """Raise LabError with its last words when something that should run has ended."""
        running = [self.collector, *self.agents.values(), *self.job.values()]
        for process in running:
            if process is not None and process.ended is not None:
                raise LabError(f"{process.name} ended with {process.ended}:\n{process.last_words()}")

    def close(self) -> None:
        """End everything: the job killed, agents and collector asked, then whatever is left."""
        for process in self.job.values():
            process.end(gently=False)
        for process in (*self.agents.values(), *([self.collector] if self.collector else [])):
            process.popen.terminate()
        for process in (*self.agents.values(), *([self.collector] if self.collector else [])):
            process.end()
        for node in self.lab.nodes:
            kill_all_in(node.namespace)

    def _inside(self, node: LabNode, group: CpuGroup | None) -> tuple[str, ...]:
        return (*_ENTER, node.namespace, str(group.procs) if group else "", "--")

    def _socket(self, node: LabNode) -> Path:
        return self.folder / node.name / "hook.sock"

    def _start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> Process:
        process = start(name, command, self.folder, environment=environment)
        # Processes inside a namespace die with it; noting all of them keeps one rule.
        self.lab.undo.note("process", process_mark(process.pid))
        return process

    def _wait_for_sockets(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not all(self._socket(node).exists() for node in self.lab.nodes):
            self.check_alive()
            if time.monotonic() > deadline:
                raise LabError("the agents do not open their hook sockets")
            time.sleep(0.1)


def require_root_and_torch() -> None:
    """Raise LabError with a sentence when this machine or user cannot run the lab."""
    if os.geteuid() != 0:
        raise LabError("the lab makes network namespaces and cgroups: run it as root")
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise LabError("the lab runs a real PyTorch job: install ringwatch[train]")
