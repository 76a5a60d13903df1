"""Which job and rank a process belongs to, by its environment and cgroup. Reads a closed list of names.

The environment of a process holds secrets: nothing but the names below is looked at, and none is kept.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MOST_BYTES: Final = 1 << 20
_MOST_TEXT: Final = 128
_MOST_RANKS: Final = 1_000_000
# The first of each that is set counts: torchrun's before those of the launcher around it.
_RANK: Final = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID")
_LOCAL_RANK: Final = ("LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID")
_WORLD_SIZE: Final = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS")
_OTHERS: Final = (
    "RINGWATCH_JOB", "SLURM_JOB_ID", "SLURM_JOB_USER", "TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT",
    "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES",
)  # fmt: skip
_WANTED: Final = frozenset(os.fsencode(name) for name in (*_RANK, *_LOCAL_RANK, *_WORLD_SIZE, *_OTHERS))
# Slurm's cgroups, versions 1 and 2: /slurm/uid_1000/job_7/..., /system.slice/slurmstepd.scope/job_7/...
_SLURM_JOB: Final = re.compile(r"(?:slurm|slurmstepd)[^\n]*/job_(\d{1,12})(?:/|$)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProcess:
    """What is known of one process; ``rank`` and ``local_rank`` are -1 when it has none."""

    pid: int
    job: str
    user: str
    rank: int
    world_size: int
    local_rank: int
    program: str
    visible: tuple[str, ...] = ()


def read_process(pid: int, proc: Path = Path("/proc")) -> JobProcess | None:
    """Return who a process is, None when it has gone."""
    folder = proc / str(pid)
    try:
        uid = folder.stat().st_uid
        program = (folder / "comm").read_text(errors="replace").strip()
    except OSError:
        return None
    environment = _environment(folder / "environ")
    user = environment.get("SLURM_JOB_USER") or _user_name(uid)
    world_size = _first_number(environment, _WORLD_SIZE)
    rank = _first_number(environment, _RANK)
    return JobProcess(
        pid=pid,
        job=job_of(environment, _cgroup(folder), user, ranked=rank >= 0),
        user=user,
        rank=rank,
        world_size=max(world_size, rank + 1, 0),
        local_rank=_first_number(environment, _LOCAL_RANK),
        program=_harmless(program),
        visible=tuple(filter(None, environment.get("CUDA_VISIBLE_DEVICES", "").split(",")))[:64],
    )


def job_of(environment: Mapping[str, str], cgroup: str, user: str, *, ranked: bool) -> str:
    """Return the job's name as the hook would: its own, else Slurm's, else torchrun's, else who and where.

    A process without a rank and without any of these has no job.
    """
    slurm = environment.get("SLURM_JOB_ID") or next(iter(_SLURM_JOB.findall(cgroup)), "")
    run = environment.get("TORCHELASTIC_RUN_ID", "")
    if name := environment.get("RINGWATCH_JOB"):
        return name
    if slurm:
        return f"slurm-{slurm}"
    if run and run != "none":
        return run
    if not ranked:
        return ""
    where = f"{environment.get('MASTER_ADDR', 'localhost')}-{environment.get('MASTER_PORT', '0')}"
    return f"{user}-{where}"[:_MOST_TEXT]


def _environment(path: Path) -> dict[str, str]:
    """Return the wanted names that are set; a process of another container may refuse them all."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES)
    except OSError:
        return {}
    pairs = (entry.partition(b"=") for entry in data.split(b"\0"))
    found = {name: value for name, _, value in pairs if name in _WANTED}
    return {os.fsdecode(name): _harmless(value.decode(errors="replace")) for name, value in found.items()}


def _cgroup(folder: Path) -> str:
    try:
        return (folder / "cgroup").read_text(errors="replace")[:_MOST_BYTES]
    except OSError:
        return ""


def _harmless(text: str) -> str:
    """Return text that may be printed and sent: a job's environment is not trusted."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_MOST_TEXT])


def _first_number(environment: Mapping[str, str], names: tuple[str, ...]) -> int:
    for name in names:
        text = environment.get(name, "")
        if text.isascii() and text.isdecimal() and int(text) <= _MOST_RANKS:
            return int(text)
    return -1


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
