"""Port down: a network port that lost its link, or loses it again and again. Reads no throughput."""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np

from ringwatch_collector.detectors.confidence import DIRECT, agreed
from ringwatch_collector.detectors.happened import evidence_of, is_fresh, live
from ringwatch_collector.view import FleetView, SeenEvent
from ringwatch_proto import events
from ringwatch_proto.records import Finding, IncidentKind, Severity, Subject, Verdict, Why
from ringwatch_proto.signals import BY_NAME

STATE_FRESH_S: Final = 5.0
FLAPS: Final = 3
FLAP_WINDOW_S: Final = 600.0
# A port that was never up since the agent began says nothing; one that went down does, for this long.
SHOWN_S: Final = 3600.0


class PortDown:
    """Joins the event of a lost link with what the port says now."""

    @property
    def name(self) -> str:
        """Stable name."""
        return "network.port_down"

    def look(self, view: FleetView) -> list[Finding]:
        """Return a finding a port that is down since an event, or that flapped."""
        newest: dict[tuple[str, str], SeenEvent] = {}
        downs: Counter[tuple[str, str]] = Counter()
        for event in live(view, events.PORT_DOWN, events.PORT_UP):
            port = (event.node, event.device or event.fields.get("netdev", ""))
            newest[port] = event
            if event.kind == events.PORT_DOWN and view.now_s - event.at_s <= FLAP_WINDOW_S:
                downs[port] += 1
        found = []
        for port, event in newest.items():
            down = event.kind == events.PORT_DOWN and _still_down(view, event)
            flapping = downs[port] >= FLAPS and is_fresh(view, event, FLAP_WINDOW_S)
            if down or flapping:
                found.append(_finding(view, event, port[1], downs[port], down=down))
        return found


def _still_down(view: FleetView, event: SeenEvent) -> bool:
    """Tell whether the port says so itself; without its own word the event counts for a while."""
    for row in np.flatnonzero(np.asarray(view.port.devices, dtype=object) == event.device).tolist():
        up = float(view.port.latest(BY_NAME["port.up"].id)[row])
        if np.isfinite(up) and view.port.age_s(view.now_s)[row] <= STATE_FRESH_S:
            return up == 0
    return is_fresh(view, event)


def _finding(view: FleetView, event: SeenEvent, port: str, downs: int, *, down: bool) -> Finding:
    node = next((at for at, name in enumerate(view.nodes.names) if name == event.node), -1)
    jobs = [job.job for job in view.jobs if np.any(np.asarray(job.node_of) == node)]
    what = "is down" if down else f"lost its link {downs} times in {FLAP_WINDOW_S / 60:.0f} minutes"
    return Finding(
        kind=IncidentKind.PORT_DOWN,
        detector="network.port_down",
        culprit=Subject(kind="link", node=event.node, device=port),
        cause="port_down" if down else "port_flapping",
        verdict=Verdict.NETWORK,
        severity=Severity.CRITICAL if down and jobs else Severity.WARNING,
        confidence=agreed(DIRECT),
        onset_s=event.at_s,
        summary=f"port {port} of {event.node} {what}",
        evidence=(evidence_of(event),),
        unsure=("which end of the cable is at fault",),
        why=Why(
            rule="the port lost its link and has none now, or lost it three times in ten minutes",
            source="link state of the kernel; flap rule as in leptonai/gpud",
            inputs={"downs": float(downs)},
            thresholds={"downs": float(FLAPS), "window_s": FLAP_WINDOW_S},
        ),
        victims=tuple(Subject(kind="job", job=job) for job in jobs),
    )
