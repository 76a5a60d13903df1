"""The ``port_errors`` source: error and congestion counters of the ports, every ten seconds.

Most of these make the driver ask its firmware, which is why they have a pace of their own.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from ringwatch_agent.sources.base import Reading
from ringwatch_agent.sources.ethtool import Ethtool
from ringwatch_agent.sources.kept_files import KeptFile, read_word
from ringwatch_agent.sources.port_counters import (
    LIMITS,
    NET_SLOW,
    RDMA_DEVICE,
    RDMA_SLOW,
    SATURATING,
    ethtool_counts,
)
from ringwatch_agent.sources.port_rows import MAX_PORTS, PortPlace, find_ports
from ringwatch_agent.sources.rates import Rates
from ringwatch_agent.sources.slow import PERIODS_KEPT

# The first word of phys_state: 1 sleep, 2 polling, 3 disabled, 4 training, 5 link up, 6 recovery, 7 test.
_UP_WORDS: Final = {"up": 1.0, "down": 0.0, "lowerlayerdown": 0.0, "dormant": 0.0, "notpresent": 0.0}
# Ports, and the counters that each has, are looked for so often.
_FIND_EVERY_S: Final = 60.0
Statistics = Callable[[str], Iterable[tuple[str, int]]]


class _Port:
    """The counters of one port that its driver has: those that are not there are not asked for again."""

    def __init__(self, place: PortPlace) -> None:
        self.place = place
        table = NET_SLOW if place.interface else RDMA_SLOW
        files = {name: KeptFile(place.folder / file, keep=False) for name, file in table.items()}
        if not place.interface:
            device = place.folder.parent.parent
            files |= {name: KeptFile(device / file, keep=False) for name, file in RDMA_DEVICE.items()}
        self._files = {name: file for name, file in files.items() if file.number() is not None}

    def counts(self) -> dict[str, int]:
        """Return the counters as they stand."""
        counts = ((name, file.number()) for name, file in self._files.items())
        return {name: count for name, count in counts if count is not None}


class PortErrorsSource:
    """Values by port id; they stand in the row of the ``ports`` source, with their age."""

    name = "port_errors"

    def __init__(
        self,
        *,
        sysfs: Path = Path("/sys"),
        off: frozenset[str] = frozenset(),
        statistics: Statistics | None = None,
        period_s: float = 10.0,
    ) -> None:
        self.period_s = period_s
        self._sysfs = sysfs
        self._addressed: Callable[[], frozenset[str]] = frozenset
        self._off = off
        self._ethtool = Ethtool()
        self._statistics: Statistics = statistics or self._ethtool.statistics
        self._rates = Rates()
        self._latest: tuple[float, Mapping[str, Mapping[str, float]]] | None = None
        self._ports: list[_Port] = []
        self._found_s = -math.inf

    def follow(self, addressed: Callable[[], frozenset[str]]) -> None:
        """Take the interfaces with an address from the source that knows them."""
        self._addressed = addressed

    def open(self) -> None:
        """Need nothing."""

    def close(self) -> None:
        """Let go of the socket, and of what was read."""
        self._ethtool.close()
        self._latest, self._ports, self._found_s = None, [], -math.inf

    def read(self) -> Reading:
        """Read every port; what came is asked for with ``values``."""
        at_s = time.monotonic()
        if at_s - self._found_s >= _FIND_EVERY_S:
            self._found_s = at_s
            places = find_ports(self._sysfs, self._addressed(), self._off)
            self._ports = [_Port(place) for place in places[:MAX_PORTS]]
        found = {port.place.device.id: self._port(port, at_s) for port in self._ports}
        self._rates.keep({(port, name) for port, values in found.items() for name in values})
        self._latest = (at_s, found)
        return Reading()

    def values(self, port: str, now_s: float) -> Mapping[str, float]:
        """Return what is known of a port, with its age; nothing once that is too old to be shown."""
        if self._latest is None:
            return {}
        at_s, found = self._latest
        age_s = max(0.0, now_s - at_s)
        if age_s > PERIODS_KEPT * self.period_s:
            return {"errors_age_s": age_s}
        return {**found.get(port, {}), "errors_age_s": age_s}

    def _port(self, port: _Port, at_s: float) -> dict[str, float]:
        place, counts = port.place, port.counts()
        values: dict[str, float] = {}
        if place.interface:
            with contextlib.suppress(OSError):  # a driver without statistics, or an interface that just went
                counts |= ethtool_counts(self._statistics(place.interface))
            values["operational"] = _UP_WORDS.get(read_word(place.folder / "operstate"), math.nan)
        else:
            state = read_word(place.folder / "phys_state").partition(":")[0]
            values["physical_state"] = float(state) if state.isdecimal() else math.nan
        stuck = {name for name, count in counts.items() if name in SATURATING and count in LIMITS}
        if any(name in SATURATING for name in counts):
            values["counters_saturated"] = float(len(stuck))
        for name, count in counts.items():
            # A counter that has reached its limit says nothing any more: that is no rate of zero.
            values[name] = self._rates.per_s((place.device.id, name), None if name in stuck else count, at_s)
        return values
