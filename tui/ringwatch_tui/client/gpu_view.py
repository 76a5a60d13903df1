"""A GPU of a fleet message, read where it lies: a console over 100,000 GPUs looks at few values of each."""

from __future__ import annotations

from ringwatch_proto.v1.query_pb2 import GpuSummary


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
