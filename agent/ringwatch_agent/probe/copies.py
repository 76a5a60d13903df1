"""Copies: host to device, device to host, within a device, and between devices. Measures no network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ringwatch_agent.probe.clocked import rate_per_s, waiter
from ringwatch_agent.probe.plan import Device, Plan
from ringwatch_proto.probe import Measure


def copies(torch: Any, plan: Plan) -> Iterator[Measure]:  # noqa: ANN401  (loaded late, has no types)
    """Yield the bandwidth of each kind of copy that the devices have."""
    size = plan.sizes.copy_bytes
    for device in plan.devices:
        here = torch.ones(size, dtype=torch.uint8, device=device.name)
        if device.is_gpu:
            host = torch.ones(size, dtype=torch.uint8, pin_memory=True)
            yield _copied(torch, plan, device, "copy.host_to_device", source=host, target=here)
            yield _copied(torch, plan, device, "copy.device_to_host", source=here, target=host)
        yield _copied(torch, plan, device, "copy.within", source=here, target=torch.zeros_like(here))
    yield from _between(torch, plan)


def _between(torch: Any, plan: Plan) -> Iterator[Measure]:  # noqa: ANN401  (as above)
    """Copy from each GPU to the next one."""
    gpus = [device for device in plan.devices if device.is_gpu]
    for one, other in zip(gpus, [*gpus[1:], *gpus[:1]], strict=True):
        if one.name != other.name:
            here = torch.ones(plan.sizes.copy_bytes, dtype=torch.uint8, device=one.name)
            there = torch.zeros(plan.sizes.copy_bytes, dtype=torch.uint8, device=other.name)
            yield _copied(torch, plan, one, "copy.to_next_device", source=here, target=there)


def _copied(
    torch: Any,  # noqa: ANN401  (as above)
    plan: Plan,
    device: Device,
    name: str,
    *,
    source: Any,  # noqa: ANN401  (as above)
    target: Any,  # noqa: ANN401  (as above)
) -> Measure:
    """Measure a copy, and look whether what came is what was sent."""
    rate = rate_per_s(
        lambda: target.copy_(source, non_blocking=True), waiter(torch, device), plan.sizes.seconds / 2
    )
    intact = torch.equal(source.cpu(), target.cpu())
    return Measure(
        name=name,
        device=device.name,
        kind=device.kind,
        value=rate * plan.sizes.copy_bytes / 1e9,
        unit="GB/s",
        shared=not device.is_gpu,
        wrong="" if intact else "what came is not what was sent",
    )
