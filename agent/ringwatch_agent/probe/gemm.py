"""Matrix products: how fast, and whether they are right. A wrong one is the sign of silent corruption."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from ringwatch_agent.probe.clocked import rate_per_s, waiter
from ringwatch_agent.probe.plan import Device, Plan
from ringwatch_proto.probe import Measure

# Rows that are computed again in double precision on the CPU.
_SAMPLED_ROWS: Final = 16
_REPEATS: Final = 8
# Sums of n products of numbers within [-1, 1] in float32: the error grows as sqrt(n) times 2^-24. This is
# a hundred times that, far below what one flipped bit of an exponent or high mantissa does.
_TOLERANCE: Final = 6e-6

Multiply = Callable[[Any, Any], Any]


def gemm(torch: Any, plan: Plan, multiply: Multiply | None = None) -> Iterator[Measure]:  # noqa: ANN401  (no types)
    """Yield speed and correctness on each device; ``multiply`` stands in for the product in tests."""
    for device in plan.devices:
        yield _right(torch, plan, device, multiply or torch.matmul)
        yield _speed(torch, plan, device)


def _operands(torch: Any, size: int, device: Device, dtype: Any) -> tuple[Any, Any]:  # noqa: ANN401  (as above)
    generator = torch.Generator().manual_seed(79)
    pair = (torch.rand(size, size, generator=generator) * 2 - 1 for _ in range(2))
    one, other = (each.to(device=device.name, dtype=dtype) for each in pair)
    return one, other


def _speed(torch: Any, plan: Plan, device: Device) -> Measure:  # noqa: ANN401  (as above)
    """Measure in the precision that training uses: bfloat16 on a GPU, float32 on a CPU."""
    dtype = torch.bfloat16 if device.is_gpu else torch.float32
    size = plan.sizes.matrix
    one, other = _operands(torch, size, device, dtype)
    out = torch.empty_like(one)
    rate = rate_per_s(lambda: torch.matmul(one, other, out=out), waiter(torch, device), plan.sizes.seconds)
    return Measure(
        name="gemm",
        device=device.name,
        kind=device.kind,
        value=2.0 * size**3 * rate / 1e12,
        unit="TFLOP/s",
        shared=not device.is_gpu,
    )


def _right(torch: Any, plan: Plan, device: Device, multiply: Multiply) -> Measure:  # noqa: ANN401  (as above)
    """Multiply the same matrices again and again: bit for bit the same, and right within rounding."""
    torch.backends.cuda.matmul.allow_tf32 = False
    size = plan.sizes.matrix
    one, other = _operands(torch, size, device, torch.float32)
    first = multiply(one, other).clone()
    rows = torch.arange(0, size, max(1, size // _SAMPLED_ROWS))
    wanted = one.cpu()[rows].double() @ other.cpu().double()
    error = (first.cpu()[rows].double() - wanted).abs().max().item()
    wrong = ""
    if not error <= _TOLERANCE * size**0.5:
        wrong = f"wrong by {error:.3g}, rounding explains {_TOLERANCE * size**0.5:.3g}"
    different = sum(not torch.equal(multiply(one, other), first) for _ in range(_REPEATS))
    if different:
        wrong = f"{different} of {_REPEATS} equal products differ"
    return Measure(name="gemm.correct", device=device.name, kind=device.kind, wrong=wrong)
