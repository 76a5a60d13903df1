"""Packs steps and collectives that were found without a hook, in the layouts that the hook's source uses."""

from __future__ import annotations

import math
from typing import Final

from ringwatch_proto.layout import COLLECTIVE, STEP, Collective

_NAN: Final = math.nan
_LONGEST_S: Final = 31 * 86400.0
_U16: Final = (1 << 16) - 1
_MOST_STEP: Final = 1 << 53
_MOST_BYTES: Final = (1 << 63) - 1
# Names of NCCL, PyTorch and Horovod, in lower case without marks.
_KINDS: Final = {
    "allreduce": Collective.ALL_REDUCE,
    "allgather": Collective.ALL_GATHER,
    "allgatherbase": Collective.ALL_GATHER,
    "reducescatter": Collective.REDUCE_SCATTER,
    "reducescatterbase": Collective.REDUCE_SCATTER,
    "broadcast": Collective.BROADCAST,
    "alltoall": Collective.ALL_TO_ALL,
    "alltoallv": Collective.ALL_TO_ALL,
    "alltoallbase": Collective.ALL_TO_ALL,
    "barrier": Collective.BARRIER,
    "reduce": Collective.REDUCE,
    "gather": Collective.GATHER,
    "scatter": Collective.SCATTER,
    "send": Collective.SEND,
    "recv": Collective.RECV,
}


def kind_of(name: str) -> Collective:
    """Return the kind that a program's own name means: ``nccl:all_reduce``, ``AllReduce``, ``ALLREDUCE``."""
    plain = name.rpartition(":")[2].lower().replace("_", "").strip()
    return _KINDS.get(plain, _KINDS.get(plain.removesuffix("coalesced"), Collective.UNKNOWN))


def pack_step(
    row: int,
    step: int,
    ended_s: float,
    step_s: float,
    *,
    data_s: float = _NAN,
    compute_s: float = _NAN,
    loss: float = _NAN,
) -> bytes:
    """Return one packed step, nothing when its row, number or times mean nothing."""
    sound = row >= 0 and 0 <= step <= _MOST_STEP and 0 < ended_s < 1e10 and 0 <= step_s <= _LONGEST_S
    if not sound:
        return b""
    own = (_possible(data_s), _possible(compute_s), _NAN)
    return STEP.pack(row, 0, step, int(ended_s * 1e9), step_s, *own, loss, _NAN, _NAN)


def pack_collective(
    row: int,
    communicator: int,
    *,
    slot: int,
    kind: Collective,
    step: int,
    size: int,
    start_s: float,
    duration_s: float,
) -> bytes:
    """Return one packed collective, nothing when it means nothing."""
    sound = row >= 0 and communicator >= 0 and 0 <= slot <= _U16 and 0 <= step <= _MOST_STEP
    if not sound or math.isnan(_possible(duration_s)):
        return b""
    size = min(max(size, 0), _MOST_BYTES)
    return COLLECTIVE.pack(row, communicator, slot, int(kind), 0, step, size, _possible(start_s), duration_s)


def _possible(seconds: float) -> float:
    return seconds if 0 <= seconds <= _LONGEST_S else _NAN
