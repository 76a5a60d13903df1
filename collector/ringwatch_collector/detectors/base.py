"""The detector seam: a view and a time in, findings out.

A detector is pure: it reads no clock, file or socket and keeps nothing between looks, so that the
same view gives the same findings live, in a replay and in the benchmark. Persistence is in the view
(windows and frozen references), hysteresis is in ``incidents``.
"""

from __future__ import annotations

from typing import Protocol

from ringwatch_collector.view import FleetView
from ringwatch_proto.records import Finding


class Detector(Protocol):
    """One rule about the fleet."""

    @property
    def name(self) -> str:
        """Stable name, as it stands in ``Finding.detector``: ``straggler.compute``."""
        ...

    def look(self, view: FleetView) -> list[Finding]:
        """Return what holds at ``view.now_s``, said again at every look while it holds.

        An input that is missing or stale yields nothing, never a guess; a raise is a bug, which the
        runner counts and shows as the detector's own trouble.
        """
        ...
