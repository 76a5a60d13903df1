"""The training processes of this node: who joined, which row each has, which groups they run in.

Knows no sockets and no rings. Rows and communicator numbers are unique on the node.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from ringwatch_agent.sources.base import CommunicatorRecord
from ringwatch_agent.sources.outsiders import FIRST_COMMUNICATOR
from ringwatch_proto.errors import WireError
from ringwatch_proto.ring import RING_VERSION, parse_ranks

MAX_WORLD: Final = 1_000_000
MAX_TEXT: Final = 128
# All ranks of all groups that are kept, so that nobody fills the memory: 32 MB of tuples.
MAX_GROUP_RANKS: Final = 4_000_000
MAX_COMMUNICATORS: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """A checked join message; the process it is about is known by its socket, not by this."""

    pid: int
    job: str
    rank: int
    world_size: int
    local_rank: int
    backend: str
    user: str
    gpu: str


def parse_join(message: dict[str, Any]) -> Join:
    """Return the join; raise WireError with the reason when it cannot be one."""
    if message.get("version") != RING_VERSION:
        raise WireError(f"hook speaks version {message.get('version')!r}, this agent {RING_VERSION}")
    world_size = _number(message, "world_size", 1, MAX_WORLD)
    return Join(
        pid=_number(message, "pid", 1, 1 << 31),
        job=_text(message, "job", required=True),
        rank=_number(message, "rank", 0, world_size - 1),
        world_size=world_size,
        local_rank=_number(message, "local_rank", 0, MAX_WORLD),
        backend=_text(message, "backend"),
        user=_text(message, "user"),
        gpu=_text(message, "gpu"),
    )


def _number(message: dict[str, Any], key: str, low: int, high: int) -> int:
    value = message.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise WireError(f"{key} is not a number from {low} to {high}")
    return value


def _text(message: dict[str, Any], key: str, *, required: bool = False) -> str:
    value = message.get(key, "")
    # What is printed on an operator's terminal must hold no control characters.
    if (
        not isinstance(value, str)
        or len(value) > MAX_TEXT
        or not value.isprintable()
        or (required and not value)
    ):
        raise WireError(f"{key} is not a short text")
    return value


class Communicators:
    """Numbers for the groups of all jobs of this node; the same group of the same job has one number."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, str, str], CommunicatorRecord] = {}
        self._ranks = 0
        self._next = 0

    def add(self, job: str, world_size: int, message: dict[str, Any]) -> tuple[int, int]:
        """Return the number that the process uses and the one of the node; raise WireError if refused."""
        local = _number(message, "index", 0, MAX_COMMUNICATORS)
        name = _text(message, "name")
        listed = message.get("ranks")
        if not isinstance(listed, str):
            raise WireError("ranks is not a text")
        key = (job, name, listed)
        known = self._by_key.get(key)
        if known is None:
            known = self._by_key[key] = self._make(job, name, self._parse(listed, world_size))
        return local, known.index

    def keep_only(self, jobs: Iterable[str]) -> None:
        """Forget the groups of jobs that are gone."""
        wanted = set(jobs)
        gone = [key for key in self._by_key if key[0] not in wanted]
        for key in gone:
            self._ranks -= len(self._by_key.pop(key).ranks)

    def all(self) -> tuple[CommunicatorRecord, ...]:
        """Return what is known, by number."""
        return tuple(sorted(self._by_key.values(), key=lambda record: record.index))

    def _parse(self, listed: str, world_size: int) -> tuple[int, ...]:
        try:
            ranks = tuple(parse_ranks(listed, limit=world_size))
        except ValueError as error:
            raise WireError(f"ranks cannot be read: {error}") from error
        if not ranks or min(ranks) < 0 or max(ranks) >= world_size:
            raise WireError("ranks lie outside the job")
        return ranks

    def _make(self, job: str, name: str, ranks: tuple[int, ...]) -> CommunicatorRecord:
        if self._ranks + len(ranks) > MAX_GROUP_RANKS or len(self._by_key) >= MAX_COMMUNICATORS:
            raise WireError("too many groups on this node")
        taken = {record.index for record in self._by_key.values()}
        while self._next in taken:
            self._next = (self._next + 1) % FIRST_COMMUNICATOR
        index = self._next
        self._next = (index + 1) % FIRST_COMMUNICATOR
        self._ranks += len(ranks)
        return CommunicatorRecord(index=index, job=job, name=name, ranks=ranks)


class Rows:
    """Row numbers for ranks: one (job, rank) keeps its row while it is known."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, int], int] = {}

    def of(self, job: str, rank: int) -> int:
        """Return the row of a rank, a free one when it is new."""
        row = self._by_key.get((job, rank))
        if row is None:
            taken = set(self._by_key.values())
            row = next(row for row in range(len(taken) + 1) if row not in taken)
            self._by_key[job, rank] = row
        return row

    def drop(self, job: str, rank: int) -> None:
        """Give the row of a rank back."""
        self._by_key.pop((job, rank), None)
