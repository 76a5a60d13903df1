"""One device table at one instant, as detectors see it. It copies nothing that it can show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ringwatch_collector.view import Floats, Ints, Seconds

if TYPE_CHECKING:
    from ringwatch_collector.fleet.table import DeviceTable


class TableWindow:
    """A ``view.TableView`` of one table at one instant."""

    def __init__(self, table: DeviceTable, now_s: float) -> None:
        self._table = table
        self._now_s = now_s
        self._rows = table.live_rows()
        self._devices: Sequence[str] | None = None

    @property
    def node_of(self) -> Ints:
        """(rows,) index into the nodes."""
        return self._table.node_of(self._rows)

    @property
    def devices(self) -> Sequence[str]:
        """Device ids, one a row."""
        if self._devices is None:
            self._devices = self._table.device_names(self._rows)
        return self._devices

    def latest(self, signal: int) -> Floats:
        """(rows,) newest values; NaN where absent or never sent."""
        return self._table.now(signal, self._rows)

    def age_s(self, now_s: float) -> Seconds:
        """(rows,) seconds since the newest batch that held the row; inf where none came."""
        return np.maximum(now_s - self._table.at_s(self._rows), 0.0)

    def window(self, signal: int, seconds: float) -> tuple[Seconds, Floats]:
        """(T,) times oldest first and (T, rows) values of the last ``seconds``."""
        end = int(self._now_s)
        return self._table.history(signal, self._rows, end - int(np.ceil(seconds)), end)
