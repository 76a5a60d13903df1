"""An honest data-parallel training job over Gloo for the lab, the benches and the tests.

It knows nothing of Ringwatch: start it under ``ringwatch exec``, or with ``--attach`` as a job would
that calls ``ringwatch.attach()`` itself. Run it once a rank, with RANK, WORLD_SIZE, MASTER_ADDR and
MASTER_PORT set (torchrun does), as ``python -m ringwatch_drills.workload``.

While it runs it follows a control file (``--control`` or RINGWATCH_WORKLOAD_CONTROL): a JSON object
with any of the keys of ``Trouble``, and ``"stop": true``. The ranks vote on stop and checkpoint in the
all-reduce that also averages the loss, so that they always agree on the step.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

CONTROL_VARIABLE: Final = "RINGWATCH_WORKLOAD_CONTROL"
FEATURES: Final = 512
CLASSES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What is wrong with the job on purpose; the control file changes it while the job runs."""

    loader_sleep_rank: int = -1
    loader_sleep_ms: float = 0.0
    checkpoint_every: int = 0
    checkpoint_ms: float = 0.0
    stop: bool = False


class Control:
    """Follows the control file; a file that is absent or half-written changes nothing."""

    def __init__(self, path: Path | None, trouble: Trouble) -> None:
        self.trouble = trouble
        self._path = path
        self._seen: tuple[int, int] | None = None

    def poll(self) -> None:
        """Take over what the file says when it has changed."""
        if self._path is None:
            return
        try:
            status = self._path.stat()
            if (status.st_mtime_ns, status.st_size) == self._seen:
                return
            wanted = json.loads(self._path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return
        self._seen = (status.st_mtime_ns, status.st_size)
        known = {field.name for field in fields(Trouble)}
        self.trouble = replace(self.trouble, **{key: wanted[key] for key in known & wanted.keys()})


class Signals(Dataset):  # type: ignore[misc]  # mypy does not follow torch
    """Noisy sums of sines to be classified by their base frequency, made anew for each index."""

    def __init__(self, control: Control, rank: int, batch: int) -> None:
        self._control = control
        self._rank = rank
        self._batch = batch
        self._made = 0
        self._time = torch.linspace(0.0, 6.28, FEATURES)

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        trouble = self._control.trouble
        if self._made % self._batch == 0 and trouble.loader_sleep_rank == self._rank:
            time.sleep(trouble.loader_sleep_ms / 1000.0)
        self._made += 1
        generator = torch.Generator().manual_seed(index)
        label = index % CLASSES
        noise = torch.randn(FEATURES, generator=generator)
        signal = torch.sin(self._time * (label + 1)) + 0.5 * noise
        return (signal - signal.mean()) / signal.std(), torch.tensor(label)


class Shard:
    """Indices of one rank, without end, the same for each run."""

    def __init__(self, rank: int, world: int) -> None:
        self._rank = rank
        self._world = world

    def __iter__(self) -> Iterator[int]:
        index = self._rank
        while True:
            yield index
            index += self._world

    def __len__(self) -> int:
        return 1 << 40


def make_model(hidden: int) -> nn.Module:
    """Return a multi-layer perceptron with the same weights on each rank."""
    torch.manual_seed(7)
    return nn.Sequential(
        nn.Linear(FEATURES, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, CLASSES),
    )


def wrap(model: nn.Module, wrapper: str, bucket_mb: float) -> nn.Module:
    """Return the model made data-parallel; ``none`` leaves the averaging to the loop."""
    if wrapper == "ddp":
        return DistributedDataParallel(model, bucket_cap_mb=bucket_mb, gradient_as_bucket_view=True)
    if wrapper == "fsdp":
        from torch.distributed.fsdp import fully_shard

        for layer in model.children():
            if isinstance(layer, nn.Linear):
                fully_shard(layer)
        fully_shard(model)
    return model


def average_gradients(model: nn.Module) -> None:
    """All-reduce the gradients by hand, as a job without a wrapper does."""
    world = dist.get_world_size()
    works = []
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad /= world
            works.append(dist.all_reduce(parameter.grad, async_op=True))
    for work in works:
        work.wait()


class Job:
    """One rank of the job."""

    def __init__(self, options: argparse.Namespace, control: Control) -> None:
        self._options = options
        self._control = control
        self._rank = dist.get_rank()
        world = dist.get_world_size()
        self._model = wrap(make_model(options.hidden), options.wrapper, options.bucket_mb)
        self._optimizer = torch.optim.SGD(self._model.parameters(), lr=0.05, momentum=0.9)
        data = Signals(control, self._rank, options.batch)
        self._loader = DataLoader(data, batch_size=options.batch, sampler=Shard(self._rank, world))
        self._step_times: list[float] = []
        self._loss = float("nan")

    def run(self) -> dict[str, Any]:
        """Train until told to stop and return a summary."""
        begin = before = time.monotonic()
        for step, (inputs, labels) in enumerate(self._loader, start=1):
            loss = self._train(inputs, labels)
            go_on = self._agree(loss, step, time.monotonic() - begin)
            now = time.monotonic()
            self._step_times.append(now - before)
            before = now
            if not go_on:
                break
        return self._summary()

    def _train(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        loss = nn.functional.cross_entropy(self._model(inputs), labels)
        loss.backward()
        if self._options.wrapper == "none":
            average_gradients(self._model)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return loss.detach()

    def _agree(self, loss: torch.Tensor, step: int, elapsed_s: float) -> bool:
        """Average the loss, vote, pause when a checkpoint is due; False when it is time to stop."""
        self._control.poll()
        trouble = self._control.trouble
        limits = (self._options.steps, step), (self._options.seconds, elapsed_s)
        stop = trouble.stop or any(limit and now >= limit for limit, now in limits)
        pause_ms = trouble.checkpoint_ms if trouble.checkpoint_every else 0.0
        due = bool(trouble.checkpoint_every) and step % trouble.checkpoint_every == 0
        ballot = torch.tensor([float(loss), float(stop), pause_ms if due else 0.0])
        dist.all_reduce(ballot)
        self._loss = ballot[0].item() / dist.get_world_size()
        if ballot[2] > 0:
            self._checkpoint(ballot[2].item() / dist.get_world_size())
        return not bool(ballot[1] > 0)

    def _checkpoint(self, pause_ms: float) -> None:
        """Write this rank's part of a checkpoint, as slowly as a busy file system would."""
        end = time.monotonic() + pause_ms / 1000.0
        parts = [parameter.detach() for parameter in self._model.parameters()]
        with open(os.devnull, "wb") as file:
            for part in parts:
                file.write(part.to("cpu").view(-1)[:1024].contiguous().numpy().tobytes())
        time.sleep(max(0.0, end - time.monotonic()))

    def _summary(self) -> dict[str, Any]:
        digest = hashlib.sha256()
        for parameter in self._model.parameters():
            local = parameter.to_local() if hasattr(parameter, "to_local") else parameter
            digest.update(local.detach().contiguous().numpy().tobytes())
        ordered = sorted(self._step_times)
        return {
            "rank": self._rank,
            "steps": len(ordered),
            "loss": self._loss,
            "median_step_ms": round(ordered[len(ordered) // 2] * 1000.0, 3),
            "weights": digest.hexdigest(),
        }


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="ringwatch_drills.workload", description=__doc__)
    parser.add_argument("--steps", type=int, default=0, help="stop after so many steps")
    parser.add_argument("--seconds", type=float, default=0.0, help="stop after so long")
    parser.add_argument("--wrapper", choices=("ddp", "fsdp", "none"), default="ddp")
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--bucket-mb", type=float, default=2.0)
    parser.add_argument("--control", type=Path, default=os.environ.get(CONTROL_VARIABLE))
    parser.add_argument("--loader-sleep-rank", type=int, default=-1)
    parser.add_argument("--loader-sleep-ms", type=float, default=0.0)
    parser.add_argument("--checkpoint-every", type=int, default=0)
    parser.add_argument("--checkpoint-ms", type=float, default=0.0)
    parser.add_argument("--attach", action="store_true", help="call ringwatch's hook as a job would")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one rank and print its summary as a line of JSON."""
    options = parse(argv)
    torch.set_num_threads(1)
    if options.attach:
        from ringwatch_agent.hook import attach

        attach()
    trouble = Trouble(
        loader_sleep_rank=options.loader_sleep_rank,
        loader_sleep_ms=options.loader_sleep_ms,
        checkpoint_every=options.checkpoint_every,
        checkpoint_ms=options.checkpoint_ms,
    )
    control = Control(Path(options.control) if options.control else None, trouble)
    control.poll()
    dist.init_process_group("gloo")
    try:
        summary = Job(options, control).run()
        dist.barrier()
    finally:
        dist.destroy_process_group()
    sys.stdout.write(json.dumps(summary) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
