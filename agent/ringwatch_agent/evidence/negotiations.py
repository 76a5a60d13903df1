"""Follows the negotiations and operations of a Horovod timeline, event by event. Reads no file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

# A timeline of so many tensors is none.
_MOST_TENSORS: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A rank that reported a tensor ready; times in microseconds of the timeline's clock."""

    tensor: object
    rank: int
    first_us: float
    late_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One finished operation on a tensor: when each rank was ready, and when it was over."""

    tensor: object
    name: str
    ready_us: Mapping[int, float]
    end_us: float


@dataclass(slots=True, kw_only=True)
class _Open:
    first_us: float
    negotiating: bool = True
    name: str = ""
    depth: int = 0
    ready_us: dict[int, float] = field(default_factory=dict)


class Negotiations:
    """What is under way for each tensor: first its negotiation, then the operation itself."""

    def __init__(self) -> None:
        self._open: dict[object, _Open] = {}

    def take(self, event: Mapping[str, Any]) -> Ready | Operation | None:
        """Return what an event of the timeline completes, None for all others."""
        name, tensor, at = str(event.get("name", "")), event.get("pid"), event.get("ts")
        if not isinstance(at, int | float) or not isinstance(tensor, int | str):
            return None
        at_us, phase, known = float(at), event.get("ph"), self._open.get(tensor)
        if phase == "B" and name.startswith("NEGOTIATE_"):
            if len(self._open) < _MOST_TENSORS:
                self._open[tensor] = _Open(first_us=at_us)
        elif known is not None and phase == "E":
            return self._end(tensor, known, at_us)
        elif known is not None and phase == "B":
            known.name = known.name or name
            known.depth += 1
        elif known is not None and known.negotiating and name.isdigit() and len(name) < 8:
            known.ready_us[int(name)] = at_us
            return Ready(
                tensor=tensor, rank=int(name), first_us=known.first_us, late_us=at_us - known.first_us
            )
        return None

    def _end(self, tensor: object, known: _Open, at_us: float) -> Operation | None:
        if known.negotiating:
            known.negotiating = False
            return None
        known.depth -= 1
        if known.depth > 0:
            return None
        del self._open[tensor]
        return Operation(tensor=tensor, name=known.name, ready_us=known.ready_us, end_us=at_us)
