"""Says who this training process is: job, rank, user, GPU; only reads the environment and torch."""

from __future__ import annotations

import os
import pwd
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a join message says about the process."""

    job: str
    rank: int
    world_size: int
    local_rank: int
    backend: str
    user: str
    gpu: str


def user_name() -> str:
    """Return the name of the user, or the number when it has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def job_name(environment: os._Environ[str] | dict[str, str] = os.environ) -> str:
    """Return the job's name: RINGWATCH_JOB, else Slurm's, else torchrun's, else who and where."""
    if name := environment.get("RINGWATCH_JOB"):
        return name
    if slurm := environment.get("SLURM_JOB_ID"):
        return f"slurm-{slurm}"
    run = environment.get("TORCHELASTIC_RUN_ID")
    if run and run != "none":
        return run
    where = f"{environment.get('MASTER_ADDR', 'localhost')}-{environment.get('MASTER_PORT', '0')}"
    return f"{user_name()}-{where}"


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and text.isdecimal() else otherwise


def gpu_uuid(local_rank: int) -> str:
    """Return the UUID of the rank's GPU without starting CUDA for it; empty when that is not known yet."""
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        uuid = getattr(torch.cuda.get_device_properties(torch.cuda.current_device()), "uuid", None)
        if uuid is not None:
            return f"GPU-{uuid}"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    mine = visible[local_rank] if local_rank < len(visible) else ""
    return mine if mine.startswith("GPU-") else ""


def identify(rank: int | None, world_size: int | None, backend: str) -> Identity | None:
    """Return who this process is; what is not given comes from the environment. None without a rank."""
    rank = _number(os.environ.get("RANK"), -1) if rank is None else rank
    if rank < 0:
        return None
    local_rank = _number(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID")), rank)
    return Identity(
        job=job_name(),
        rank=rank,
        world_size=_number(os.environ.get("WORLD_SIZE"), 1) if world_size is None else world_size,
        local_rank=local_rank,
        backend=backend,
        user=user_name(),
        gpu=gpu_uuid(local_rank),
    )
