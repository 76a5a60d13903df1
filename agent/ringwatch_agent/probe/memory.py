"""Memory: patterns are written, kept, and read back. Reads no error counter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ringwatch_agent.probe.clocked import waiter
from ringwatch_agent.probe.plan import MIB, Device, Plan
from ringwatch_proto.probe import Measure

# Every cell both ways, neighbours apart, and a ramp that finds cells which answer for another address.
_PATTERNS: Final = (0x00000000, 0xFFFFFFFF, 0x55555555, 0xAAAAAAAA)
_WORD: Final = 4
_CHUNK_BYTES: Final = 256 * MIB


def memory(torch: Any, plan: Plan) -> Iterator[Measure]:  # noqa: ANN401  (loaded late, has no types)
    """Yield one check a device, over as much of its memory as the plan says."""
    for device in plan.devices:
        size = _size(torch, plan, device)
        chunks = _chunks(torch, size, device)
        wrong = words_wrong(torch, chunks)
        waiter(torch, device)()
        told = f"{wrong} of {size // _WORD} words came back wrong" if wrong else ""
        yield Measure(
            name="memory",
            device=device.name,
            kind=device.kind,
            value=None,
            unit=f"{size // MIB} MiB",
            wrong=told,
        )


def _size(torch: Any, plan: Plan, device: Device) -> int:  # noqa: ANN401  (as above)
    size = plan.sizes.memory_bytes
    if device.is_gpu:
        free = int(torch.cuda.mem_get_info(device.name)[0])
        size = min(max(size, int(free * plan.sizes.memory_share)), int(free * 0.9))
    return max(_WORD, size // _WORD * _WORD)


def _chunks(torch: Any, size: int, device: Device) -> list[Any]:  # noqa: ANN401  (as above)
    """Hold all of it at once: a pattern read from a cache would prove nothing."""
    lengths = [min(_CHUNK_BYTES, size - at) // _WORD for at in range(0, size, _CHUNK_BYTES)]
    return [torch.empty(length, dtype=torch.int32, device=device.name) for length in lengths]


def words_wrong(torch: Any, chunks: list[Any]) -> int:  # noqa: ANN401  (as above)
    """Return how many words did not come back as they were written."""
    wrong = 0
    for pattern in _PATTERNS:
        signed = pattern - (1 << 32) if pattern >= 1 << 31 else pattern
        for chunk in chunks:
            chunk.fill_(signed)
        wrong += sum(int((chunk != signed).sum().item()) for chunk in chunks)
    for at, chunk in enumerate(chunks):
        torch.arange(at, at + chunk.numel(), dtype=torch.int32, device=chunk.device, out=chunk)
    for at, chunk in enumerate(chunks):
        wanted = torch.arange(at, at + chunk.numel(), dtype=torch.int32, device=chunk.device)
        wrong += int((chunk != wanted).sum().item())
    return wrong
