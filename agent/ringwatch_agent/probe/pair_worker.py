"""One rank of the pairwise test: joins a process group and measures with its partner of each round.

Under ``torchrun --module ringwatch_agent.probe.pair_worker`` it tests the links between nodes; without,
``ringwatch probe`` starts one for each rank on this node.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

_TIMEOUT: Final = timedelta(seconds=120)
_MARK: Final = 41


def partner(rank: int, world: int, round_number: int) -> int | None:
    """Return whom a rank measures with; None when it sits out.

    Round 0 pairs 0-1, 2-3 and so on, round 1 pairs 1-2, 3-4 and the last with 0: a bad end is slow with
    both of its partners, a good one only with the bad.
    """
    other = rank ^ 1 if round_number == 0 else ((rank - 1) ^ 1) + 1
    if round_number == 1 and world % 2 == 0:
        other %= world
        if rank == 0:
            other = world - 1
    if other == rank or not 0 <= other < world:
        return None
    return other


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, gather, and print what all ranks found from rank 0."""
    arguments = _parser().parse_args(argv)
    with _joined(arguments) as group:
        rank, world = group.distributed.get_rank(), group.distributed.get_world_size()
        found = [
            _measured(group, rank, other, round_number)
            for round_number in (0, 1)
            if (other := partner(rank, world, round_number)) is not None
        ]
        gathered: list[Any] = [None] * world
        group.distributed.all_gather_object(gathered, found)
    if rank == 0:
        sys.stdout.write(json.dumps([row for rows in gathered for row in rows]) + "\n")
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Torch and its process group, as this rank has joined it."""

    torch: Any
    distributed: Any
    device: str
    message_bytes: int
    seconds: float

    def exchange(self, mine: Any, theirs: Any, other: int) -> None:  # noqa: ANN401  (torch has no types here)
        """Send and take at once, and wait for both."""
        operation, transfer = self.distributed.P2POp, self.distributed
        both = [operation(transfer.isend, mine, other), operation(transfer.irecv, theirs, other)]
        for request in transfer.batch_isend_irecv(both):
            request.wait()
        if self.device == "cuda":
            self.torch.cuda.synchronize()


@contextmanager
def _joined(arguments: argparse.Namespace) -> Iterator[_Group]:
    import torch
    from torch import distributed

    gpu = torch.cuda.is_available() and arguments.backend != "gloo"
    if gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", arguments.rank)) % torch.cuda.device_count())
    # torchrun has told the environment who this is; ranks of one node meet at a file.
    mine = {} if arguments.rendezvous == "env://" else {"rank": arguments.rank, "world_size": arguments.world}
    distributed.init_process_group(
        "nccl" if gpu else "gloo", init_method=arguments.rendezvous, timeout=_TIMEOUT, **mine
    )
    try:
        yield _Group(
            torch=torch,
            distributed=distributed,
            device="cuda" if gpu else "cpu",
            message_bytes=arguments.bytes,
            seconds=arguments.seconds,
        )
    finally:
        distributed.destroy_process_group()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ringwatch_agent.probe.pair_worker", description=__doc__)
    parser.add_argument("--rank", type=int, default=0)
    parser.add_argument("--world", type=int, default=1)
    parser.add_argument(
        "--rendezvous", default="env://", help="where the ranks meet; default: as torchrun says"
    )
    parser.add_argument("--backend", choices=("auto", "gloo"), default="auto")
    parser.add_argument("--bytes", type=int, default=64 << 20, help="size of one message")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each pair is measured")
    return parser


def _measured(group: _Group, rank: int, other: int, round_number: int) -> dict[str, object]:
    """Exchange messages with the partner, both ways at once, and look whether they came as sent."""
    torch = group.torch
    mine = torch.full((group.message_bytes,), _MARK + rank % 100, dtype=torch.uint8, device=group.device)
    theirs = torch.zeros_like(mine)
    times = _times(group, mine, theirs, other)
    begun_s = time.perf_counter()
    for _ in range(times):
        group.exchange(mine, theirs, other)
    spent_s = time.perf_counter() - begun_s
    return {
        "rank": rank,
        "peer": other,
        "round": round_number,
        "intact": bool((theirs == _MARK + other % 100).all().item()),
        "gb_per_s": group.message_bytes * times / spent_s / 1e9,
    }


def _times(group: _Group, mine: Any, theirs: Any, other: int) -> int:  # noqa: ANN401  (as above)
    """Return how many exchanges fill the time; both partners have to come to the same number."""
    group.exchange(mine, theirs, other)
    begun_s = time.perf_counter()
    group.exchange(mine, theirs, other)
    one_s = group.torch.tensor(
        [time.perf_counter() - begun_s], dtype=group.torch.float64, device=group.device
    )
    others_s = group.torch.zeros_like(one_s)
    group.exchange(one_s, others_s, other)
    longest_s = float(group.torch.maximum(one_s, others_s).item())
    return max(3, int(group.seconds / max(1e-6, longest_s)))


if __name__ == "__main__":
    sys.exit(main())
