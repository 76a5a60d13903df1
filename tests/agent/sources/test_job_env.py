"""Who a process is, by its environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ringwatch_agent.hook.identity import job_name
from ringwatch_agent.sources.job_env import job_of, read_process


def process(proc: Path, pid: int = 77, *, cgroup: str = "0::/", **environment: str) -> None:
    """Write a process with an environment."""
    folder = proc / str(pid)
    folder.mkdir(exist_ok=True)
    (folder / "comm").write_text("python3\n")
    (folder / "cgroup").write_text(cgroup + "\n")
    text = "\0".join(f"{name}={value}" for name, value in environment.items())
    (folder / "environ").write_bytes(text.encode() + b"\0")


def test_torchrun_inside_slurm_has_the_rank_of_torchrun_and_the_job_of_slurm(tmp_path: Path) -> None:
    """SLURM_PROCID is the rank of the launcher there, not of the process."""
    process(
        tmp_path, SLURM_JOB_ID="812", SLURM_PROCID="1", SLURM_NTASKS="2", SLURM_JOB_USER="ada",
        RANK="11", LOCAL_RANK="3", WORLD_SIZE="16", CUDA_VISIBLE_DEVICES="0,1,2,3",
    )  # fmt: skip
    found = read_process(77, tmp_path)
    assert found is not None
    assert (found.job, found.user, found.rank, found.world_size, found.local_rank) == (
        "slurm-812", "ada", 11, 16, 3,
    )  # fmt: skip
    assert found.visible == ("0", "1", "2", "3")


def test_srun_alone_gives_the_rank(tmp_path: Path) -> None:
    """Without torchrun the task is the rank."""
    process(tmp_path, SLURM_JOB_ID="812", SLURM_PROCID="5", SLURM_LOCALID="1", SLURM_NTASKS="8")
    found = read_process(77, tmp_path)
    assert found is not None
    assert (found.rank, found.world_size, found.local_rank) == (5, 8, 1)


@pytest.mark.parametrize(
    "cgroup",
    [
        "0::/system.slice/slurmstepd.scope/job_991/step_0/user/task_0",
        "5:devices:/slurm/uid_1000/job_991/step_batch",
        "1:name=systemd:/x\n5:memory:/slurm_node1/uid_1000/job_991",
    ],
)
def test_slurms_cgroup_names_the_job_where_the_environment_does_not(tmp_path: Path, cgroup: str) -> None:
    """Versions one and two."""
    process(tmp_path, cgroup=cgroup)
    found = read_process(77, tmp_path)
    assert found is not None
    assert (found.job, found.rank) == ("slurm-991", -1)


@pytest.mark.parametrize(
    "environment",
    [
        {"RINGWATCH_JOB": "llm", "SLURM_JOB_ID": "1"},
        {"SLURM_JOB_ID": "1", "TORCHELASTIC_RUN_ID": "x"},
        {"TORCHELASTIC_RUN_ID": "run-4"},
        {"TORCHELASTIC_RUN_ID": "none", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"},
        {},
    ],
)
def test_a_job_has_the_name_that_the_hook_gives_it(environment: dict[str, str]) -> None:
    """Else a job with the hook on some nodes only would be two jobs."""
    user = job_name({}).split("-localhost")[0]
    assert job_of(environment, "", user, ranked=True) == job_name(environment)


def test_a_process_without_a_rank_has_no_made_up_job(tmp_path: Path) -> None:
    """A notebook or an inference server is itself."""
    process(tmp_path, MASTER_ADDR="x")
    found = read_process(77, tmp_path)
    assert found is not None
    assert (found.job, found.rank, found.world_size) == ("", -1, 0)


def test_a_hostile_environment_is_bounded_and_harmless(tmp_path: Path) -> None:
    """Control characters, absurd numbers, long texts; secrets are not looked at."""
    process(
        tmp_path, RINGWATCH_JOB="a\x1b[2J" + "b" * 500, RANK="9" * 30, WORLD_SIZE="-4", LOCAL_RANK="\u0663",
        AWS_SECRET_ACCESS_KEY="s3cret",
    )  # fmt: skip
    found = read_process(77, tmp_path)
    assert found is not None
    assert found.job.startswith("a?[2J")
    assert len(found.job) == 128
    assert (found.rank, found.local_rank, found.world_size) == (-1, -1, 0)
    assert "s3cret" not in repr(found)


def test_a_process_that_is_gone_is_nobody(tmp_path: Path) -> None:
    """Between two looks processes end."""
    assert read_process(4, tmp_path) is None


def test_a_real_process_is_read() -> None:
    """The environment that it was started with."""
    environment = os.environ | {"RANK": "3", "WORLD_SIZE": "4", "RINGWATCH_JOB": "real"}
    command = [sys.executable, "-c", "print('up', flush=True); input()"]
    with subprocess.Popen(command, env=environment, stdin=-1, stdout=-1) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = read_process(child.pid)
        child.communicate(b"\n")
    assert found is not None
    assert (found.job, found.rank, found.world_size) == ("real", 3, 4)
    assert found.program.startswith("python")
