"""The newest state of each rank of one job, one array a field. It judges nothing."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_collector.view import RankStates
from ringwatch_proto.layout import Phase

_INTS: Final = (
    "phase",
    "process_state",
    "step",
    "launched",
    "completed",
    "inflight_kind",
    "inflight_communicator",
    "inflight_slot",
)
_FLOATS: Final = (
    "phase_age_s",
    "beat_age_s",
    "cpu_cores",
    "throttled_share",
    "stopped_share",
    "runqueue_share",
)
_LARGEST: Final = np.uint64(2**62)


class RankStateColumns:
    """Arrays of R ranks with room for more."""

    def __init__(self) -> None:
        self._ints = {name: np.zeros(4, np.int64) for name in _INTS}
        self._floats = {name: np.full(4, np.nan, np.float32) for name in _FLOATS}
        self._received_s = np.full(4, -np.inf)
        self._alive = np.zeros(4, np.bool_)

    def reserve(self, ranks: int) -> None:
        """Make room for that many ranks."""
        have = self._alive.size
        if ranks <= have:
            return
        more = max(ranks, 2 * have) - have
        for name, ints in self._ints.items():
            self._ints[name] = np.concatenate([ints, np.zeros(more, np.int64)])
        for name, floats in self._floats.items():
            self._floats[name] = np.concatenate([floats, np.full(more, np.nan, np.float32)])
        self._received_s = np.concatenate([self._received_s, np.full(more, -np.inf)])
        self._alive = np.concatenate([self._alive, np.zeros(more, np.bool_)])

    def permute(self, order: NDArray[np.int64]) -> None:
        """Put the first ``len(order)`` ranks into another order."""
        arrays: list[NDArray[Any]] = [*self._ints.values(), *self._floats.values()]
        for array in (*arrays, self._received_s, self._alive):
            array[: order.size] = array[order]

    def put(
        self, columns: NDArray[np.int64], records: NDArray[np.void], received_s: NDArray[np.float64]
    ) -> None:
        """Write RANK_STATE records; one that is older than what is there changes nothing."""
        newer = received_s >= self._received_s[columns]
        if not newer.all():
            columns, records, received_s = columns[newer], records[newer], received_s[newer]
        for name in _INTS:
            # Counters are unsigned on the wire; no honest one comes near the edge.
            self._ints[name][columns] = np.minimum(records[name].astype(np.uint64), _LARGEST)
        for name in _FLOATS:
            self._floats[name][columns] = records[name]
        self._alive[columns] = records["alive"] != 0
        self._received_s[columns] = received_s

    def end(self, column: int, *, at_s: float, said_goodbye: bool) -> None:
        """Mark a rank as gone: ended when it said so, else dead in whatever it did."""
        if said_goodbye:
            self._ints["phase"][column] = Phase.ENDED
        self._alive[column] = False
        self._received_s[column] = max(self._received_s[column], at_s)

    def steps(self, ranks: int) -> NDArray[np.int64]:
        """Return the step that each rank is in."""
        return self._ints["step"][:ranks]

    def view(self, ranks: int) -> RankStates:
        """Return what detectors see of the first ``ranks`` ranks."""
        cut = slice(0, ranks)
        # The names of the fields are those of the columns.
        fields: dict[str, Any] = {name: array[cut] for name, array in self._ints.items()}
        fields |= {name: array[cut] for name, array in self._floats.items()}
        return RankStates(received_s=self._received_s[cut], alive=self._alive[cut], **fields)
