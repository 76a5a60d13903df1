"""A job that trains the same way without and with the hook, and says whether the gradients are the same.

Three ranks, so that dividing by the world size and multiplying by its inverse differ in the last bit.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.nn.parallel import DistributedDataParallel

from ringwatch_agent import hook

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "views": {"views": True},
    "views_kept": {"views": True, "set_to_none": False},
    "accumulated": {"views": True, "accumulate": True, "set_to_none": False},
    "own_hook": {"comm_hook": "python"},
    "builtin_hook": {"comm_hook": "builtin"},
    "unused": {"unused": True},
}


class Model(torch.nn.Module):  # type: ignore[misc]  # mypy does not follow torch
    """Three layers, one of which may be left out."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(64, 128)
        self.second = torch.nn.Linear(128, 128)
        self.third = torch.nn.Linear(128, 8)

    def forward(self, inputs: torch.Tensor, *, skip: bool) -> torch.Tensor:
        hidden = torch.tanh(self.first(inputs))
        return self.third(hidden if skip else torch.tanh(self.second(hidden)))


def train(
    *,
    views: bool = False,
    set_to_none: bool = True,
    accumulate: bool = False,
    comm_hook: str = "",
    unused: bool = False,
) -> str:
    """Return a digest of all gradients of four steps."""
    torch.manual_seed(3)
    model = DistributedDataParallel(
        Model(), bucket_cap_mb=0.02, gradient_as_bucket_view=views, find_unused_parameters=unused
    )
    if comm_hook == "python":
        model.register_comm_hook(None, default_hooks.fp16_compress_hook)
    elif comm_hook == "builtin":
        model._register_builtin_comm_hook(dist.BuiltinCommHookType.ALLREDUCE)
    torch.manual_seed(100 + dist.get_rank())
    digest = hashlib.sha256()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(4):
        for last in (False, True) if accumulate else (True,):
            with contextlib.nullcontext() if last else model.no_sync():
                model(torch.randn(8, 64), skip=unused and step % 2 == 1).square().mean().backward()
        for parameter in model.parameters():
            if parameter.grad is not None:
                digest.update(parameter.grad.numpy().tobytes())
        optimizer.step()
        optimizer.zero_grad(set_to_none=set_to_none)
    return digest.hexdigest()


def main() -> None:
    """Print whether each variant gave the same, and what the ranks agree on."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    without = {name: train(**options) for name, options in VARIANTS.items()}
    late = DistributedDataParallel(torch.nn.Linear(77, 1))
    hook.attach(late)
    late(torch.ones(1, 77)).sum().backward()
    attached = {name: train(**options) for name, options in VARIANTS.items()}
    hook.detach()
    same = {name: without[name] == attached[name] for name in VARIANTS}
    sys.stdout.write(json.dumps(same) + "\n")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
