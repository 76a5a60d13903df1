"""What the slow parts of the host row have in common: a period, values with a time, conditions as events."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from ringwatch_agent.sources.base import EventRecord, Reading
from ringwatch_agent.sources.conditions import Condition, Conditions
from ringwatch_agent.sources.slow import Published


class HostPart:
    """Base of the parts: keeps what was read, and which conditions hold."""

    def __init__(self, name: str, age_column: str, period_s: float) -> None:
        self.name = name
        self.age_column = age_column
        self.period_s = period_s
        self.latest: Published | None = None
        self.conditions = Conditions(name)

    def open(self) -> None:
        """Need nothing."""

    def close(self) -> None:
        """Show nothing any more."""
        self.latest = None

    def publish(
        self,
        values: Mapping[str, float],
        *,
        holding: Iterable[Condition] = (),
        happened: Iterable[EventRecord] = (),
        at_s: float | None = None,
    ) -> Reading:
        """Keep the values for the host row and return the events that go out now."""
        self.latest = Published(values=values, at_s=time.monotonic() if at_s is None else at_s)
        told = (*happened, *self.conditions.changes(holding))
        left_out, self.conditions.left_out = self.conditions.left_out, 0
        dropped = {f"{self.name}.conditions": left_out} if left_out else {}
        return Reading(events=told, dropped=dropped)
