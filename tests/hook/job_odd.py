"""A job that does what odd jobs do: several groups and optimizers, forks, async work, P2P, own steps."""

from __future__ import annotations

import os
import tempfile
import time

import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, TensorDataset

from ringwatch_agent import hook


def main() -> None:
    """Do it all once."""
    torch.set_num_threads(1)
    hook.attach()
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    pairs = [dist.new_group([0, 1]), dist.new_group([1, 0])]
    model = torch.nn.Linear(8, 8)
    first = torch.optim.SGD(model.parameters(), lr=0.1)
    second = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(torch.randn(12, 8)), batch_size=2, num_workers=1)
    for (inputs,) in loader:
        model(inputs).sum().backward()
        work = dist.all_reduce(model.weight.grad, async_op=True)
        dist.all_reduce(model.bias.grad, group=pairs[0])
        work.wait()
        # Nobody waits for this one by hand.
        dist.all_reduce(torch.ones(4), group=pairs[1], async_op=True)
        first.step()
        second.step()
    with hook.pause("checkpoint"):
        time.sleep(0.05)
    with tempfile.TemporaryFile() as file:
        torch.save({"weights": torch.zeros(1 << 20)}, file)
    child = os.fork()
    if child == 0:
        first.step()
        os._exit(0)
    os.waitpid(child, 0)
    hook.step(loss=1e300)
    if rank == 0:
        dist.send(torch.ones(3), 1)
    else:
        dist.recv(torch.zeros(3), 0)
    hook.step()
    dist.destroy_process_group()
    if rank == 1:
        raise RuntimeError("rank 1 had enough\nand more")


if __name__ == "__main__":
    main()
