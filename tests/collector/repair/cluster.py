"""A real Slurm cluster on this machine: munged, slurmctld and several slurmd, in one folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

NODES = ("n1", "n2", "n3")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The cluster, and Slurm's own word about it."""

    folder: Path

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": PATH, "SLURM_CONF": str(self.conf), "LC_ALL": "C.UTF-8"}

    def run(self, *argv: str) -> str:
        """Return what one of Slurm's commands says."""
        done = subprocess.run(
            argv, env=self.environment, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout

    def show(self, node: str) -> str:
        """Return what Slurm says of a node, without what changes by itself."""
        words = self.run("scontrol", "--oneliner", "show", "node", node).split()
        moving = ("CPULoad=", "FreeMem=", "LastBusyTime=", "BootTime=", "SlurmdStartTime=", "CurrentWatts=")
        return " ".join(word for word in words if not word.startswith(moving))

    def state(self, node: str) -> str:
        """Return the state of a node by another of Slurm's commands than the adapter uses."""
        return self.run("sinfo", "--noheader", f"--nodes={node}", "--format=%T").split()[0]

    def jobs(self) -> list[list[str]]:
        """Return id, state and node of every job."""
        return [line.split() for line in self.run("squeue", "--noheader", "--format=%i %T %N").splitlines()]

    def submit(self, node: str, name: str = "train") -> str:
        """Start a job that would run for minutes on a node; return its id."""
        out = self.run(
            "sbatch", "--parsable", "--requeue", f"--job-name={name}", f"--nodelist={node}",
            "--output=/dev/null", "--chdir=/tmp", "--wrap=exec sleep 300",
        )  # fmt: skip
        self.until(lambda: [out.strip(), "RUNNING", node] in self.jobs(), f"job {out.strip()} runs on {node}")
        return out.strip()

    def calm(self) -> None:
        """Take every job and every drain away."""
        for job, *_ in self.jobs():
            self.run("scancel", job)
        self.until(lambda: not self.jobs(), "all jobs are gone")
        for node in NODES:
            if not self.state(node).startswith("idle"):
                subprocess.run(
                    ("scontrol", "update", f"nodename={node}", "state=resume"),
                    env=self.environment,
                    check=False,
                )
        self.until(lambda: all(self.state(node) == "idle" for node in NODES), "all nodes are idle")

    def until(self, condition: object, what: str, timeout_s: float = 40.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():  # type: ignore[operator]
            assert time.monotonic() < deadline, f"never came: {what}\n{self.logs()}"
            time.sleep(0.1)

    def logs(self) -> str:
        """Return the end of every log, for a failure."""
        return "\n".join(
            f"== {log.name}\n" + log.read_text(errors="replace")[-1500:] for log in self.folder.glob("*.log")
        )


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _conf(folder: Path) -> str:
    controller, *nodes = _free_ports(1 + len(NODES))
    host = socket.gethostname()
    lines = [
        "ClusterName=ringwatch-test",
        f"SlurmctldHost={host}(127.0.0.1)",
        f"SlurmctldPort={controller}",
        "AuthType=auth/munge",
        f"AuthInfo=socket={folder}/munge.socket",
        "CredType=cred/munge",
        "SlurmUser=root",
        "SlurmdUser=root",
        f"StateSaveLocation={folder}/state",
        f"SlurmdSpoolDir={folder}/spool-%n",
        f"SlurmctldPidFile={folder}/slurmctld.pid",
        f"SlurmdPidFile={folder}/slurmd-%n.pid",
        f"SlurmctldLogFile={folder}/slurmctld.log",
        f"SlurmdLogFile={folder}/slurmd-%n.log",
        f"PlugStackConfig={folder}/plugstack.conf",
        "ProctrackType=proctrack/pgid",
        "TaskPlugin=task/none",
        "JobAcctGatherType=jobacct_gather/none",
        "AccountingStorageType=accounting_storage/none",
        "SelectType=select/linear",
        "SchedulerType=sched/backfill",
        "SchedulerParameters=batch_sched_delay=0,sched_interval=1,requeue_delay=1",
        "MpiDefault=none",
        "ReturnToService=2",
        "SwitchType=switch/none",
        "KillWait=2",
        "MinJobAge=10",
    ]
    lines += [
        f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 State=UNKNOWN"
        for name, port in zip(NODES, nodes, strict=True)
    ]
    lines.append(f"PartitionName=all Nodes={','.join(NODES)} Default=YES MaxTime=INFINITE State=UP")
    return "\n".join(lines) + "\n"


@contextmanager
def _daemon(argv: Sequence[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (
        log.open("wb") as out,
        subprocess.Popen(
            argv,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Run the cluster until the block ends."""
    for program in ("munged", "slurmctld", "slurmd", "scontrol", "squeue", "sinfo", "sbatch"):
        assert shutil.which(program, path=PATH), f"{program} is missing: install slurmctld slurmd munge"
    folder.chmod(0o755)
    (folder / "state").mkdir()
    for name in NODES:
        (folder / f"spool-{name}").mkdir()
    (folder / "plugstack.conf").write_text("")
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    (folder / "slurm.conf").write_text(_conf(folder))
    cluster = Cluster(folder=folder)
    environment = cluster.environment
    munged = (
        "munged", "--foreground", "--force", f"--socket={folder}/munge.socket", f"--key-file={key}",
        f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log",
        f"--seed-file={folder}/munged.seed",
    )  # fmt: skip
    with ExitStack() as stack:
        stack.enter_context(_daemon(munged, environment, folder / "munged-out.log"))
        cluster.until((folder / "munge.socket").exists, "munged listens")
        stack.enter_context(
            _daemon(("slurmctld", "-D", "-f", str(cluster.conf)), environment, folder / "slurmctld-out.log")
        )
        for name in NODES:
            argv = ("slurmd", "-D", "-N", name, "-f", str(cluster.conf))
            stack.enter_context(_daemon(argv, environment, folder / f"slurmd-{name}-out.log"))
        cluster.until(lambda: _all_idle(cluster), "all nodes are idle")
        yield cluster


def _all_idle(cluster: Cluster) -> bool:
    done = subprocess.run(
        ("sinfo", "--noheader", "--Node", "--format=%N %T"),
        env=cluster.environment, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return sorted(done.stdout.split("\n")[:-1]) == [f"{name} idle" for name in NODES]
