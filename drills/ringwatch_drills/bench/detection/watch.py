"""The real detectors, fusion and incident book over a fleet state; keeps what was opened and paged when."""

from __future__ import annotations

from typing import Final

from ringwatch_collector.detectors.all import ALL
from ringwatch_collector.fleet.state import FleetState
from ringwatch_collector.fusion import fuse
from ringwatch_collector.incidents import IncidentBook, IncidentPolicy
from ringwatch_collector.trouble import jobs_in_trouble
from ringwatch_proto.records import Incident

BEGIN_S: Final = 1_750_000_000.0


class Watch:
    """What the collector's detection loop does at each look, without its disk and its clock."""

    def __init__(self, fleet: FleetState) -> None:
        self._fleet = fleet
        self._book = IncidentBook(IncidentPolicy(), lambda _: ())
        self.paged_s: dict[str, float] = {}
        self.looks = 0

    def look(self, now_s: float) -> None:
        """Look once."""
        view = self._fleet.view(now_s)
        findings = [finding for detector in ALL for finding in detector.look(view)]
        self._book.update(fuse(findings, view), now_s)
        self._fleet.learn(now_s, jobs_in_trouble(self._book.all(), view))
        self.looks += 1
        for incident in self._book.all():
            if incident.pages and incident.id not in self.paged_s:
                self.paged_s[incident.id] = now_s - BEGIN_S

    def incidents(self) -> tuple[Incident, ...]:
        """Return all incidents as they are now."""
        return self._book.all()
