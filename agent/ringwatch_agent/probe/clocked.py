"""Times work on a device: warm first, then repeated until enough time has passed. Knows no work."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ringwatch_agent.probe.plan import Device

_WARM_UPS = 2


def waiter(torch: Any, device: Device) -> Callable[[], None]:  # noqa: ANN401  (loaded late, has no types)
    """Return what waits until the device has done all that it was given."""
    if not device.is_gpu:
        return lambda: None
    return lambda: torch.cuda.synchronize(device.name)


def rate_per_s(work: Callable[[], object], wait: Callable[[], None], seconds: float) -> float:
    """Return how often a second ``work`` can be done."""
    for _ in range(_WARM_UPS):
        work()
    wait()
    done, begun_s = 0, time.perf_counter()
    while True:
        work()
        done += 1
        if done % 4 == 0:  # a GPU takes work faster than it does it
            wait()
        if time.perf_counter() - begun_s >= seconds:
            break
    wait()
    return done / (time.perf_counter() - begun_s)
