"""Chat rooms and pagers, through Apprise: a hundred services that we need not write. Loaded on demand.

https://github.com/caronc/apprise/wiki
"""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from ringwatch_collector.alerts.alertmanager import annotations_of
from ringwatch_collector.alerts.base import SENT, Outcome
from ringwatch_collector.alerts.notice import Notice
from ringwatch_proto.errors import ConfigError
from ringwatch_proto.records import Severity

if TYPE_CHECKING:
    from apprise import Apprise

# What a room hears. What a person did there is known to whoever is there.
_TOLD: Final = frozenset(
    {"opened", "reopened", "worsened", "unacknowledged", "unsilenced", "withdrawn", "resolved"}
)
_MOST_LINES: Final = 20


class Chat:
    """One Apprise URL. Its name is a digest: the URL is a secret."""

    def __init__(self, url: str, *, storm: int, console_url: str) -> None:
        """Load the service; raise ConfigError when Apprise does not know it or is not installed."""
        self._name = "chat-" + hashlib.sha256(url.encode()).hexdigest()[:8]
        self._storm = storm
        self._console_url = console_url
        self._service = _service(url)

    @property
    def name(self) -> str:
        """Return the channel's name."""
        return self._name

    def parcels(self, notices: Sequence[Notice]) -> Iterable[Sequence[Notice]]:
        """Return each notice alone, or all together when they are a storm."""
        told = sum(notice.what in _TOLD for notice in notices)
        return [list(notices)] if told > self._storm else [[notice] for notice in notices]

    def send(self, parcel: Sequence[Notice]) -> Outcome:
        """Send one message for the parcel."""
        told = [notice for notice in parcel if notice.what in _TOLD]
        if not told:
            return SENT
        title, body = self._one(told[0]) if len(told) == 1 else _many(told)
        if self._service.notify(title=title, body=body, notify_type=_colour(told), body_format="text"):
            return SENT
        # Apprise says why only in its log, which may hold the URL.
        return Outcome(reason="the service did not take the message")

    def idle(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def _one(self, notice: Notice) -> tuple[str, str]:
        said = annotations_of(notice.incident)
        lines = [said.get("evidence", "")]
        lines += [f"Runbook: {said['runbook']}"] if "runbook" in said else []
        lines += [f"{self._console_url}{notice.incident.id}"] if self._console_url else []
        body = "\n".join(line for line in lines if line)
        return notice.headline, body or notice.incident.summary


def _service(url: str) -> Apprise:
    with warnings.catch_warnings():
        # It tries modules of the standard library that Python 3.13 no longer has.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            import apprise
        except ImportError as error:
            raise ConfigError("alerts.chat_file needs the extra: pip install 'ringwatch[chat]'") from error
        # Its messages hold parts of addresses, and addresses hold secrets.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        service = apprise.Apprise()
        known = service.add(url)
    if not known:
        scheme = url.partition("://")[0][:20]
        raise ConfigError(f"alerts.chat_file: Apprise cannot use one of its URLs ({scheme}://...)")
    return service


def _many(told: Sequence[Notice]) -> tuple[str, str]:
    lines = [notice.headline for notice in told[:_MOST_LINES]]
    if len(told) > _MOST_LINES:
        lines.append(f"and {len(told) - _MOST_LINES} more")
    return f"{len(told)} changes of incidents at once", "\n".join(lines)


def _colour(told: Sequence[Notice]) -> str:
    if all(notice.what in ("resolved", "withdrawn") for notice in told):
        return "success"
    worst = max(notice.incident.severity for notice in told)
    return {Severity.CRITICAL: "failure", Severity.WARNING: "warning"}.get(worst, "info")
