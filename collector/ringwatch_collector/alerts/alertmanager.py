"""Alertmanager, API v2: alerts with stable labels, sent again while they stand, ended when they end.

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from ringwatch_collector.alerts.base import Outcome
from ringwatch_collector.alerts.http import post
from ringwatch_collector.alerts.notice import ENDS, Labels, Notice, labels_of
from ringwatch_proto.records import Bearing, Incident

# As Prometheus does: an alert ends by itself when it was not sent again for four intervals.
_INTERVALS: Final = 4
_AT_ONCE: Final = 64
_MOST_EVIDENCE: Final = 5
WATCHDOG: Final[Labels] = {"alertname": "RingwatchWatchdog", "severity": "none"}

Alert = dict[str, Any]


class Alertmanager:
    """All members of one cluster. An alert is delivered when one member has it: they tell each other."""

    def __init__(
        self,
        http: httpx.Client,
        members: Sequence[str],
        *,
        refresh_s: float,
        console_url: str,
        collector: str,
        standing: Callable[[], Sequence[Incident]],
        sees: Callable[[], bool],
        failed: Callable[[], None],
    ) -> None:
        self._http = http
        self._urls = [f"{each.rstrip('/')}/api/v2/alerts" for each in members]
        self._refresh_s = refresh_s
        self._console_url = console_url
        self._collector = collector
        self._standing = standing
        self._sees = sees
        self._failed = failed
        self._refreshed_s = -refresh_s

    @property
    def name(self) -> str:
        """Return the channel's name."""
        return "alertmanager"

    def parcels(self, notices: Sequence[Notice]) -> Iterable[Sequence[Notice]]:
        """Return notices by the dozen; the newest word on an alert is the one that counts."""
        return [notices[at : at + _AT_ONCE] for at in range(0, len(notices), _AT_ONCE)]

    def send(self, parcel: Sequence[Notice]) -> Outcome:
        """Send the state that each notice tells of."""
        alerts: dict[tuple[tuple[str, str], ...], Alert] = {}
        for notice in parcel:
            for alert in self._alerts(notice):
                alerts[tuple(sorted(alert["labels"].items()))] = alert
        return self._post(list(alerts.values()))

    def idle(self) -> None:
        """Send everything that stands again when it is time, and the watchdog while the collector sees."""
        if time.monotonic() - self._refreshed_s < self._refresh_s:
            return
        self._refreshed_s = time.monotonic()
        alerts = [self._firing(incident) for incident in self._standing()]
        if self._sees():
            alerts.append(self._watchdog())
        for at in range(0, len(alerts), _AT_ONCE):
            self._refresh(alerts[at : at + _AT_ONCE])

    def _refresh(self, alerts: Sequence[Alert]) -> None:
        outcome = self._post(alerts)
        if outcome.refused and len(alerts) > 1:
            # One that is wrong must not let the others end.
            for alert in alerts:
                self._refresh([alert])
        elif not outcome.sent:
            self._failed()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _alerts(self, notice: Notice) -> list[Alert]:
        alerts = []
        if notice.previous is not None:
            alerts.append(self._ended(notice.incident, self._labels(notice.previous), notice.at_s))
        if notice.what in ENDS:
            ended_s = notice.incident.closed_s if notice.what == "resolved" else None
            labels = self._labels(labels_of(notice.incident))
            alerts.append(self._ended(notice.incident, labels, ended_s or notice.at_s))
        else:
            alerts.append(self._firing(notice.incident))
        return alerts

    def _labels(self, labels: Labels) -> Labels:
        return {**labels, "collector": self._collector}

    def _firing(self, incident: Incident) -> Alert:
        return {
            "labels": self._labels(labels_of(incident)),
            "annotations": annotations_of(incident),
            "startsAt": _time(min(incident.onset_s, time.time())),
            "endsAt": _time(time.time() + _INTERVALS * self._refresh_s),
            "generatorURL": f"{self._console_url}{incident.id}" if self._console_url else "",
        }

    def _ended(self, incident: Incident, labels: Labels, ended_s: float) -> Alert:
        alert = self._firing(incident)
        return {**alert, "labels": labels, "endsAt": _time(max(ended_s, incident.onset_s + 0.001))}

    def _watchdog(self) -> Alert:
        text = "Ringwatch can see. Have this alert, when it is missing, page through another way."
        return {
            "labels": self._labels(WATCHDOG),
            "annotations": {"summary": text},
            "endsAt": _time(time.time() + _INTERVALS * self._refresh_s),
        }

    def _post(self, alerts: Sequence[Alert]) -> Outcome:
        if not alerts:
            return Outcome(sent=True)
        body = json.dumps(alerts).encode()
        outcomes = [post(self._http, url, body, {"Content-Type": "application/json"}) for url in self._urls]
        return next((each for each in outcomes if each.sent), outcomes[0])


def annotations_of(incident: Incident) -> Labels:
    """Return what an alert says beside its name: these may change while it stands."""
    supports = [
        each.text
        for finding in incident.findings
        for each in finding.evidence
        if each.bearing in (Bearing.SUPPORTS, Bearing.CHANGE)
    ]
    annotations = {
        "summary": incident.summary,
        "cause": incident.cause,
        "confidence": f"{incident.confidence:.2f}",
        "evidence": "\n".join(supports[:_MOST_EVIDENCE]),
        "runbook": incident.runbooks[0] if incident.runbooks else "",
        "owner": incident.owner,
        "state": incident.state.value,
    }
    return {name: value for name, value in annotations.items() if value}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
