"""The ``ras`` source: where each rank of this node stands, by NCCL's RAS, with no hook in the job.

RAS counts what a rank has launched, not what is done. When nothing moves between two answers, a rank that
launched more than another one of its group is inside the first collective that the other has not begun.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ringwatch_agent.sources.base import Reading
from ringwatch_agent.sources.outsiders import Roster
from ringwatch_agent.sources.ras import RasGroup, RasRank, ask
from ringwatch_proto.errors import SourceUnsupported
from ringwatch_proto.layout import RANK_STATE, Collective, Phase

_NAN: Final = math.nan
# Each answer is work for every process of the job: seldom while it runs, more often while nothing moves.
_MOVING_EVERY_S: Final = 30.0
_STILL_EVERY_S: Final = 5.0
_WITHIN_S: Final = 3.8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    launched: int
    moved_s: float


class RasSource:
    """Asks at the pace of the job and tells what was answered last, at every beat."""

    name = "ras"

    def __init__(
        self,
        address: str,
        job: str,
        roster: Roster,
        *,
        hosts: Callable[[], frozenset[str]],
        moving_every_s: float = _MOVING_EVERY_S,
        still_every_s: float = _STILL_EVERY_S,
    ) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port) if port.isdecimal() else 0
        self._job = job
        self.roster = roster
        self._hosts = hosts
        self._every_s = (still_every_s, moving_every_s)
        self._next_s = -math.inf
        self._seen: dict[int, _Seen] = {}
        self._states = b""

    def open(self) -> None:
        """Raise SourceUnsupported when no address is set."""
        if not self._port:
            raise SourceUnsupported("not asked: set ras to JOB=HOST:PORT, usually localhost:28028")

    def close(self) -> None:
        """Forget what was answered: it is not live any more."""
        self._seen, self._states, self._next_s = {}, b"", -math.inf

    def read(self) -> Reading:
        """Return the states of this node's ranks as they were at the last answer."""
        now_s = time.monotonic()
        if now_s >= self._next_s:
            # Set before the question, so that one that fails is not repeated at every beat.
            self._next_s = now_s + self._every_s[1]
            self._states = b""
            groups = ask(self._host, self._port, _WITHIN_S)
            moving = self._take(groups, time.monotonic())
            self._next_s = now_s + self._every_s[moving]
        return Reading(outsiders=self.roster.outsiders(), rank_states=self._states)

    def _take(self, groups: list[RasGroup], now_s: float) -> bool:
        """Keep the states of the job's largest group; return whether anything moved since the last answer."""
        world = max(groups, key=lambda group: group.size, default=None)
        if world is None or not world.ranks:
            return True
        totals = _totals(groups, world)
        before, self._seen = self._seen, {}
        for rank in world.ranks:
            was = before.get(rank.rank)
            same = was is not None and was.launched == totals[rank.rank]
            moved_s = was.moved_s if was is not None and same else now_s
            self._seen[rank.rank] = _Seen(launched=totals[rank.rank], moved_s=moved_s)
        moving = any(seen.moved_s == now_s for seen in self._seen.values())
        ours, least = self._hosts(), min(rank.launched for rank in world.ranks)
        here = [rank for rank in world.ranks if rank.host in ours]
        self._states = b"".join(self._state(rank, world, least, now_s, moving=moving) for rank in here)
        return moving

    def _state(self, rank: RasRank, world: RasGroup, least: int, now_s: float, *, moving: bool) -> bytes:
        row = self.roster.rank(self._job, rank.rank, world.size, pid=rank.pid, backend="nccl")
        if row < 0:
            return b""
        seen = self._seen[rank.rank]
        waits = not moving and rank.launched > least
        age_s = now_s - seen.moved_s
        return RANK_STATE.pack(
            row,
            int(Phase.COLLECTIVE if waits else Phase.COMPUTE),
            0,
            1,
            int(Collective.UNKNOWN),
            (1 << 16) - 1 if waits else 0,
            0,
            0,
            seen.launched,
            seen.launched - (rank.launched - least) if waits else seen.launched,
            age_s,
            age_s,
            _NAN,
            _NAN,
            _NAN,
            _NAN,
            _NAN,
            0,
        )


def _totals(groups: list[RasGroup], world: RasGroup) -> dict[int, int]:
    """Return what each rank of the job's largest group launched in all its groups, known by its process."""
    rank_of = {(rank.host, rank.pid): rank.rank for rank in world.ranks}
    totals = {rank.rank: 0 for rank in world.ranks}
    for group in groups:
        for rank in group.ranks:
            number = rank_of.get((rank.host, rank.pid))
            if number is not None:
                totals[number] += rank.launched
    return totals
