"""Gives each process group of the job a number, and tells its name and ranks to the agent."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Final, Protocol

from ringwatch_agent.hook.recorder import Communicator
from ringwatch_proto.ring import format_ranks

# More groups than this are recorded as the last one: a job that makes groups without end must not grow us.
MAX_GROUPS: Final = 4096
_NAME_LENGTH: Final = 64


class Group(Protocol):
    """What is used of torch's ProcessGroup; its name and description come and go with versions."""

    def size(self) -> int:
        """Return how many ranks it has."""
        ...


class Groups:
    """Process groups seen since the process joined."""

    def __init__(self, tell: Callable[[int, str, str], bool]) -> None:
        self._tell = tell
        self._by_id: dict[int, tuple[weakref.ref[Group], Communicator]] = {}
        self._by_name: dict[tuple[str, str], Communicator] = {}

    def of(self, group: Group) -> Communicator:
        """Return the communicator of a process group; it is named to the agent at its first use."""
        known = self._by_id.get(id(group))
        if known is not None and known[0]() is group:
            return known[1]
        communicator = self._register(group)
        self._by_id[id(group)] = (weakref.ref(group), communicator)
        return communicator

    def _register(self, group: Group) -> Communicator:
        name, ranks = _describe(group)
        key = (name, ranks)
        known = self._by_name.get(key)
        if known is not None:
            return known
        index = len(self._by_name)
        if index >= MAX_GROUPS:
            return next(reversed(self._by_name.values()))
        communicator = Communicator(index)
        self._by_name[key] = communicator
        self._tell(index, name, ranks)
        return communicator


def _describe(group: Group) -> tuple[str, str]:
    """Return the name and the ranks of a process group, as far as torch knows them."""
    from torch import distributed

    try:
        ranks = sorted(distributed.get_process_group_ranks(group))
    except (KeyError, RuntimeError, ValueError):
        ranks = list(range(group.size()))
    description = str(getattr(group, "group_desc", "") or "")
    name = str(getattr(group, "group_name", "") or "")
    label = name if description in ("", "undefined") else f"{description}:{name}"
    return label[:_NAME_LENGTH], format_ranks(ranks)
