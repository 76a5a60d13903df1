"""The book of incidents: opened by findings, kept by people and time. Finds nothing and stores nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from ringwatch_collector.fusion import Fused
from ringwatch_collector.incident_life import NEW, RESOLVED, Act, acted, expired, hushed, moved
from ringwatch_collector.incident_match import matching
from ringwatch_collector.silences import Silence
from ringwatch_proto.records import Finding, Incident, IncidentKind, Note, Severity, Subject, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentPolicy:
    """How long things must last before an incident changes.

    ``quiet_after_s`` without the signal makes an incident inactive; ``resolve_after_s`` of quiet
    closes one that is not latched, twice as long for each time that it came back, up to
    ``resolve_at_most_s``. Within ``reopen_s`` after the close the same trouble continues the same
    incident. ``save_every_s`` is how often cost and quiet time alone are worth a write. A look that
    comes later than ``look_gap_s`` after the one before counts as this much time: what went on while
    nobody looked is not known. An acknowledgement without a further word ends after ``acknowledged_s``.
    """

    quiet_after_s: float = 5.0
    resolve_after_s: float = 600.0
    resolve_at_most_s: float = 3600.0
    reopen_s: float = 900.0
    save_every_s: float = 10.0
    look_gap_s: float = 5.0
    acknowledged_s: float = 4 * 3600.0


# Verdicts about which nothing is to be done at night.
_NO_PAGE: Final = frozenset({Verdict.PAUSE, Verdict.WORKLOAD, Verdict.STRUCTURAL})


class IncidentBook:
    """All incidents. Not thread-safe: it lives on the collector's loop."""

    def __init__(
        self,
        policy: IncidentPolicy,
        runbooks_for: Callable[[Incident], tuple[str, ...]],
        incidents: Iterable[Incident] = (),
        *,
        prefix: str = "I-",
        silence_over: Callable[[Incident, float], Silence | None] = lambda _incident, _now_s: None,
    ) -> None:
        """Go on from ``incidents`` as they were stored; their quiet time goes on from there.

        ``prefix`` begins every id that the book makes: books beside each other have different ones.
        ``silence_over`` says which silence holds an incident now.
        """
        self._silence_over = silence_over
        self._prefix = prefix
        self._policy = policy
        self._runbooks_for = runbooks_for
        self._incidents = {incident.id: incident for incident in incidents}
        self._last_id = max((int(key.rpartition("-")[2]) for key in self._incidents), default=0)
        self._saved = dict(self._incidents)
        self._looked_s: float | None = None

    def all(self) -> tuple[Incident, ...]:
        """Return every incident, oldest first."""
        return tuple(self._incidents.values())

    def get(self, incident_id: str) -> Incident:
        """Return one incident as it is now; raise KeyError when there is none of that id."""
        try:
            return self._incidents[incident_id]
        except KeyError:
            raise KeyError(f"there is no incident {incident_id[:40]}") from None

    def update(self, findings: Iterable[Fused], now_s: float) -> list[Incident]:
        """Take what ``fuse`` says now; return the incidents to store before anyone is told of them."""
        elapsed_s = self._elapsed(now_s)
        before = dict(self._incidents)
        seen: set[str] = set()
        for cause in findings:
            incident = self._seen(cause, now_s, elapsed_s, seen)
            self._incidents[incident.id] = incident
            seen.add(incident.id)
        for incident_id, incident in before.items():
            if self._incidents[incident_id] is incident and incident_id not in seen:
                self._incidents[incident_id] = self._unseen(incident, elapsed_s, now_s)
        self._hush(now_s)
        return [
            self._stamped(incident, now_s) for incident in self.all() if self._worth_saving(incident, now_s)
        ]

    def act(
        self, incident_id: str, action: str, author: str, text: str, now_s: float, *, silence_s: float = 0.0
    ) -> Incident:
        """Do what a person asks; raise KeyError or ValueError, with a sentence, when it cannot be."""
        act = Act(
            action=action,
            author=author,
            text=text,
            at_s=now_s,
            silence_s=silence_s,
            acknowledged_s=self._policy.acknowledged_s,
        )
        return self._keep(acted(self.get(incident_id), act))

    def attach_run(self, incident_id: str, run_id: str, now_s: float) -> Incident:
        """Note which runbook run works on the incident; raise KeyError when there is none of that id."""
        incident = replace(self.get(incident_id), run=run_id, updated_s=now_s)
        if incident.acknowledged_until_s is not None:
            until_s = now_s + self._policy.acknowledged_s
            incident = replace(incident, acknowledged_until_s=until_s)
        return self._keep(incident)

    def _hush(self, now_s: float) -> None:
        """Have silences hold what they match, and let go what none matches any more."""
        for incident in self.all():
            if incident.state is not RESOLVED:
                silence = self._silence_over(incident, now_s)
                self._incidents[incident.id] = hushed(incident, silence, now_s)

    def _keep(self, incident: Incident) -> Incident:
        self._incidents[incident.id] = self._saved[incident.id] = incident
        return incident

    def _elapsed(self, now_s: float) -> float:
        before, self._looked_s = self._looked_s, now_s
        return 0.0 if before is None else min(max(0.0, now_s - before), self._policy.look_gap_s)

    def _seen(self, cause: Fused, now_s: float, elapsed_s: float, seen: set[str]) -> Incident:
        """Return the incident of a cause that holds now, opened or continued."""
        found = matching(cause, self._incidents.values(), now_s, self._policy.reopen_s)
        if not found:
            return self._opened(cause, now_s)
        incident = found[0]
        self._join(found[1:], incident, now_s)
        # Two causes of one incident at one look cost the time once.
        return self._continued(incident, cause, now_s, 0.0 if incident.id in seen else elapsed_s)

    def _opened(self, cause: Fused, now_s: float) -> Incident:
        self._last_id += 1
        primary = cause.primary
        return self._described(
            Incident(
                id=f"{self._prefix}{self._last_id}",
                state=NEW,
                severity=primary.severity,
                kind=primary.kind,
                culprit=primary.culprit,
                cause=primary.cause,
                verdict=primary.verdict,
                summary=primary.summary,
                confidence=primary.confidence,
                onset_s=primary.onset_s,
                opened_s=now_s,
                updated_s=now_s,
                findings=cause.findings,
            )
        )

    def _continued(self, incident: Incident, cause: Fused, now_s: float, elapsed_s: float) -> Incident:
        primary = cause.primary
        if incident.state is RESOLVED:
            if not _is_news(incident, primary):
                return incident if primary.latched else replace(incident, active=True, quiet_s=0.0)
            incident = moved(incident, "returned", now_s)
            incident = replace(incident, closed_s=None, reopened=incident.reopened + 1)
        if primary.severity > incident.severity:
            incident = moved(incident, "worsened", now_s)
        cost = incident.gpu_hours_lost + primary.gpus_held * elapsed_s / 3600.0
        incident = expired(replace(incident, active=True, quiet_s=0.0, gpu_hours_lost=cost), now_s)
        return self._described(_retold(incident, cause))

    def _described(self, incident: Incident) -> Incident:
        """Return the incident with what follows from its conclusion: whether it pages, what helps."""
        pages = incident.severity > Severity.INFO and incident.verdict not in _NO_PAGE
        incident = replace(incident, pages=pages)
        return replace(incident, runbooks=self._runbooks_for(incident))

    def _unseen(self, incident: Incident, elapsed_s: float, now_s: float) -> Incident:
        """Let quiet time pass, and close what has been quiet for long enough."""
        if incident.state is RESOLVED and not incident.active:
            return incident
        quiet_s = incident.quiet_s + elapsed_s
        active = incident.active and quiet_s < self._policy.quiet_after_s
        incident = expired(replace(incident, quiet_s=quiet_s, active=active), now_s)
        latched = any(finding.latched for finding in incident.findings)
        if latched or incident.state is RESOLVED or quiet_s < self._patience_s(incident):
            return incident
        return replace(moved(incident, "quieted", now_s), closed_s=now_s)

    def _patience_s(self, incident: Incident) -> float:
        """Return how much quiet closes it: what keeps coming back has to stay away for longer."""
        doubled = self._policy.resolve_after_s * float(1 << min(incident.reopened, 16))
        return min(self._policy.resolve_at_most_s, doubled)

    def _join(self, others: list[Incident], into: Incident, now_s: float) -> None:
        """Close open incidents that turned out to have the cause of another."""
        note = Note(at_s=now_s, author="ringwatch", text=f"Joined {into.id}, which has the same cause.")
        for other in others:
            if other.state is not RESOLVED:
                self._incidents[other.id] = replace(
                    other,
                    state=RESOLVED,
                    active=False,
                    closed_s=now_s,
                    silenced_until_s=None,
                    notes=(*other.notes, note),
                )

    def _worth_saving(self, incident: Incident, now_s: float) -> bool:
        saved = self._saved.get(incident.id)
        if saved is incident:
            return False
        if saved is None or _face(incident) != _face(saved):
            return True
        return incident.state is not RESOLVED and now_s - saved.updated_s >= self._policy.save_every_s

    def _stamped(self, incident: Incident, now_s: float) -> Incident:
        return self._keep(replace(incident, updated_s=now_s))


def _face(incident: Incident) -> tuple[object, ...]:
    """Return what a person sees of an incident, but for what changes at every look."""
    members = tuple((f.detector, f.kind, f.culprit, f.cause, f.severity) for f in incident.findings)
    return (
        incident.state, incident.severity, incident.kind, incident.culprit, incident.cause, incident.verdict,
        incident.active, incident.closed_s, incident.reopened, incident.pages, incident.runbooks,
        incident.silenced_until_s, incident.silenced_by, incident.acknowledged_until_s, members,
    )  # fmt: skip


def _is_news(incident: Incident, finding: Finding) -> bool:
    """Tell whether a finding about a resolved incident is news: it came back, or happened since."""
    if finding.latched and incident.closed_s is not None:
        return finding.onset_s > incident.closed_s
    return not incident.active


def _retold(incident: Incident, cause: Fused) -> Incident:
    """Take over the newest words of each member, and the primary's conclusion for the whole.

    A member that is not seen now stays as it was last seen: its recovery closes nothing.
    """
    primary = cause.primary
    newest = {_member(finding) for finding in cause.findings}
    kept = tuple(finding for finding in incident.findings if _member(finding) not in newest)
    if incident.culprit.kind == "fleet" and primary.culprit.kind != "fleet":
        # One of many says nothing about the whole: it neither narrows it nor closes it.
        return replace(incident, findings=(*kept, *cause.findings))
    incident = replace(incident, findings=(*cause.findings, *kept))
    if primary.verdict is Verdict.CANNOT_TELL and _says_more(incident, primary):
        return incident  # what was concluded before says more than this finding alone
    return replace(
        incident,
        severity=Severity(max(primary.severity, incident.severity)),
        kind=primary.kind,
        culprit=primary.culprit,
        cause=primary.cause,
        verdict=primary.verdict,
        summary=primary.summary,
        confidence=primary.confidence,
        onset_s=min(primary.onset_s, incident.onset_s),
    )


def _says_more(incident: Incident, finding: Finding) -> bool:
    """Tell whether the incident has a conclusion, or a culprit where the finding has neither."""
    unplaced = ("none", "job", "fleet")
    if incident.verdict is not Verdict.CANNOT_TELL:
        return incident.culprit.kind not in unplaced or finding.culprit.kind in unplaced
    return incident.culprit.kind not in unplaced and finding.culprit.kind in unplaced


def _member(finding: Finding) -> tuple[str, IncidentKind, Subject]:
    return finding.detector, finding.kind, finding.culprit
