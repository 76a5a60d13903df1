"""GPUs of a fleet message, read where they lie: a console over 100,000 GPUs looks at few values of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Final, overload

from ringwatch_proto.v1.query_pb2 import GpuSummary
from ringwatch_tui.state.columns import GpuColumns
from ringwatch_tui.state.format import STALE_AFTER_S
from ringwatch_tui.state.model import GpuReading

_GETTERS: Final = {
    key: attrgetter(key)
    for key in ("utilization_percent", "power_watts", "temperature_celsius", "sm_clock_mhz", "reading_age_s")
}


class GpuViews(GpuColumns):
    """The GPUs of a node's message, which nobody changes any more."""

    __slots__ = ("_messages", "_states")

    def __init__(self, messages: Sequence[GpuSummary]) -> None:
        self._messages = messages
        self._states: Sequence[str] | None = None

    def __len__(self) -> int:
        """Return how many GPUs there are."""
        return len(self._messages)

    @overload
    def __getitem__(self, place: int) -> GpuReading: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[GpuReading]: ...
    def __getitem__(self, place: int | slice) -> GpuReading | Sequence[GpuReading]:
        """Return the GPU at a place, or those at several."""
        if isinstance(place, slice):
            return [GpuView(each) for each in self._messages[place]]
        return GpuView(self._messages[place])

    def __iter__(self) -> Iterator[GpuReading]:
        """Yield the GPUs in slot order."""
        return map(GpuView, self._messages)

    def states(self) -> Sequence[str]:
        """Return the state of each GPU; looked up once, since several parts of a screen ask."""
        if self._states is None:
            # The rule of ``current``, without a call a GPU.
            self._states = [
                "silent" if (state := each.state) == "ok" and each.reading_age_s > STALE_AFTER_S else state
                for each in self._messages
            ]
        return self._states

    def column(self, key: str) -> Sequence[float]:
        """Return one reading of each GPU; NaN for absent."""
        return list(map(_GETTERS[key], self._messages))


class GpuView:
    """Reads a message that nobody changes any more; see ``GpuReading``."""

    __slots__ = ("_message",)

    def __init__(self, message: GpuSummary) -> None:
        self._message = message

    @property
    def id(self) -> str:
        """Return the stable id."""
        return self._message.id

    @property
    def name(self) -> str:
        """Return what operators call it."""
        return self._message.name or self._message.id

    @property
    def state(self) -> str:
        """Return the state's word."""
        return self._message.state

    @property
    def utilization_percent(self) -> float:
        """Return the share of time in which a kernel ran."""
        return self._message.utilization_percent

    @property
    def power_watts(self) -> float:
        """Return the power draw."""
        return self._message.power_watts

    @property
    def temperature_celsius(self) -> float:
        """Return the core's temperature."""
        return self._message.temperature_celsius

    @property
    def sm_clock_mhz(self) -> float:
        """Return the SM clock."""
        return self._message.sm_clock_mhz

    @property
    def reading_age_s(self) -> float:
        """Return the age of the readings, seconds."""
        return self._message.reading_age_s

    @property
    def job(self) -> str:
        """Return the job on it, empty for none."""
        return self._message.job

    @property
    def rank(self) -> int:
        """Return the rank on it; without a job its rank means nothing."""
        return self._message.rank if self._message.job else -1
