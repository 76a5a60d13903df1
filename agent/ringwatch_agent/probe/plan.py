"""How much a probe measures, by level and kind of device. Measures nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from ringwatch_proto.probe import Measure

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One thing that computes: ``name`` is torch's word for it, ``kind`` its model."""

    name: str
    kind: str

    @property
    def is_gpu(self) -> bool:
        """Say whether it is a GPU."""
        return self.name.startswith("cuda")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large each measurement is. ``seconds`` is how long each speed is measured for."""

    seconds: float
    matrix: int
    memory_bytes: int
    copy_bytes: int
    message_bytes: int
    storage_bytes: int
    # A GPU is tested over this share of its free memory, when that is more than memory_bytes.
    memory_share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one probe does."""

    level: str
    devices: tuple[Device, ...]
    sizes: Sizes
    folder: Path
    ranks: int


# Quick takes seconds and finds what is broken; full takes minutes and warms the devices up as work does.
_CPU: Final[dict[str, Sizes]] = {
    "quick": Sizes(
        seconds=0.3,
        matrix=384,
        memory_bytes=16 * MIB,
        copy_bytes=16 * MIB,
        message_bytes=2 * MIB,
        storage_bytes=16 * MIB,
    ),
    "full": Sizes(
        seconds=3.0,
        matrix=1024,
        memory_bytes=512 * MIB,
        copy_bytes=256 * MIB,
        message_bytes=16 * MIB,
        storage_bytes=512 * MIB,
    ),
}
_GPU: Final[dict[str, Sizes]] = {
    "quick": Sizes(
        seconds=1.0,
        matrix=4096,
        memory_bytes=1024 * MIB,
        copy_bytes=256 * MIB,
        message_bytes=64 * MIB,
        storage_bytes=64 * MIB,
    ),
    "full": Sizes(
        seconds=20.0,
        matrix=8192,
        memory_bytes=4096 * MIB,
        copy_bytes=1024 * MIB,
        message_bytes=256 * MIB,
        storage_bytes=1024 * MIB,
        memory_share=0.8,
    ),
}
LEVELS: Final = tuple(_CPU)


class Test(Protocol):
    """Measures one thing on every device of the plan; what cannot be measured here yields nothing."""

    def __call__(self, torch: Any, plan: Plan, /) -> Iterable[Measure]:  # noqa: ANN401  (has no types)
        """Yield what was found."""
        ...


def plan_of(
    level: str, devices: tuple[Device, ...], folder: Path, ranks: int, sizes: Sizes | None = None
) -> Plan:
    """Return the plan of a level for what there is."""
    table = _GPU if any(device.is_gpu for device in devices) else _CPU
    return Plan(level=level, devices=devices, sizes=sizes or table[level], folder=folder, ranks=ranks)


def devices_of(torch: Any, cpu_kind: Callable[[], str]) -> tuple[Device, ...]:  # noqa: ANN401  (as above)
    """Return the GPUs, or the CPU where there is none."""
    if torch.cuda.is_available():
        return tuple(
            Device(name=f"cuda:{at}", kind=str(torch.cuda.get_device_name(at)))
            for at in range(torch.cuda.device_count())
        )
    return (Device(name="cpu", kind=cpu_kind()),)


def cpu_kind() -> str:
    """Return the model of the CPU and how many of them this process may use."""
    import os

    words = "cpu"
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith(("model name", "CPU part")):
                words = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return f"{words} x{len(os.sched_getaffinity(0))}"[:120]
