"""Storage: a file is written, forced to the disk, dropped from the cache and read back. Keeps no file."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from ringwatch_agent.probe.plan import MIB, Plan
from ringwatch_proto.probe import Measure

_BLOCK: Final = MIB


def storage(_torch: Any, plan: Plan, read: Callable[[int, int], bytes] = os.read) -> Iterator[Measure]:  # noqa: ANN401
    """Yield write and read speed; a block that came back changed is wrong."""
    blocks = max(1, plan.sizes.storage_bytes // _BLOCK)
    kind = f"storage {plan.folder}"[:120]
    descriptor, path = tempfile.mkstemp(prefix="ringwatch-probe-", dir=plan.folder)
    try:
        os.unlink(path)  # whatever happens to this process, no file is left
        wrote_s = _written(descriptor, blocks)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        read_s, wrong = _read_back(descriptor, blocks, read)
    finally:
        os.close(descriptor)
    size_gb = blocks * _BLOCK / 1e9
    told = f"{wrong} of {blocks} blocks came back changed" if wrong else ""
    yield Measure(
        name="storage.write", device="storage", kind=kind, value=size_gb / wrote_s, unit="GB/s", shared=True
    )
    yield Measure(
        name="storage.read",
        device="storage",
        kind=kind,
        value=size_gb / read_s,
        unit="GB/s",
        wrong=told,
        shared=True,
    )


def _block(seed: bytes, at: int) -> bytes:
    """Return a block that no other block is like, so that one in the wrong place is seen."""
    head = at.to_bytes(8, "little")
    return (head + seed) * (_BLOCK // (len(seed) + 8)) + bytes(_BLOCK % (len(seed) + 8))


_SEED: Final = bytes(range(1, 249))


def _written(descriptor: int, blocks: int) -> float:
    begun_s = time.perf_counter()
    for at in range(blocks):
        view = memoryview(_block(_SEED, at))
        while view:
            view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)
    return time.perf_counter() - begun_s


def _read_back(descriptor: int, blocks: int, read: Callable[[int, int], bytes]) -> tuple[float, int]:
    os.lseek(descriptor, 0, os.SEEK_SET)
    wrong, spent_s = 0, 0.0
    for at in range(blocks):
        begun_s = time.perf_counter()
        found = b""
        while len(found) < _BLOCK and (more := read(descriptor, _BLOCK - len(found))):
            found += more
        spent_s += time.perf_counter() - begun_s
        wrong += found != _block(_SEED, at)
    return max(spent_s, 1e-9), wrong
