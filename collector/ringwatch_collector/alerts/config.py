"""Section [alerts]: who is told, how fast, and how long it is tried. It checks itself and reads no file."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from ringwatch_proto.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsConfig:
    """Every setting; empty means that nobody is told that way. Secrets stand in files, never here."""

    alertmanager: tuple[str, ...] = ()
    """Addresses of Alertmanager (``http://host:9093``); all members of a cluster."""
    alertmanager_token_file: str = ""
    """File with the bearer token that Alertmanager's proxy asks for."""
    webhook: str = ""
    """Address that every alert is posted to as signed JSON."""
    webhook_secret_file: str = ""
    """File with the webhook's secrets, one a line: a second one signs too during a change."""
    chat_file: str = ""
    """File with Apprise URLs of chat rooms and pagers, one a line; they hold secrets."""
    heartbeat_file: str = ""
    """File with the URL that is asked every heartbeat_s while the collector can see; it holds a secret."""
    ca_file: str = ""
    """PEM file of the authority of these servers; empty takes the system's."""
    console_url: str = ""
    """Address that an alert links to, followed by the incident's id."""
    only_pages: bool = True
    """Tell only of incidents that page; false tells of every incident."""
    hold_s: float = 3.0
    """Seconds for which a new incident is held back: what goes away by itself in that time is not told."""
    refresh_s: float = 30.0
    """Seconds between two times that Alertmanager is sent everything that stands; it forgets after four."""
    heartbeat_s: float = 30.0
    """Seconds between two heartbeats."""
    blind_after_s: float = 60.0
    """The heartbeat stops when no node was heard for so long."""
    timeout_s: float = 10.0
    """Seconds that one delivery may take."""
    longest_wait_s: float = 300.0
    """Longest pause between two tries."""
    give_up_s: float = 86400.0
    """An alert that could not be delivered for so long is given up, counted and shown."""
    storm: int = 8
    """More alerts than this at once become one message in chat rooms and on pagers."""

    def __post_init__(self) -> None:
        for name in (
            "refresh_s",
            "heartbeat_s",
            "blind_after_s",
            "timeout_s",
            "longest_wait_s",
            "give_up_s",
            "storm",
        ):
            if not 0 < getattr(self, name) < 1e9:
                raise ConfigError(f"alerts.{name} must be above 0 and finite")
        if not 0 <= self.hold_s < 3600:
            raise ConfigError("alerts.hold_s must be from 0 to an hour")
        for url in (*self.alertmanager, self.webhook, self.console_url):
            if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
                raise ConfigError("alerts: an address must be http:// or https:// with a host")
            if url and urlsplit(url).password:
                raise ConfigError(
                    "alerts: a password does not belong into an address: use a token or secret file"
                )
        if bool(self.webhook) != bool(self.webhook_secret_file):
            raise ConfigError("alerts.webhook and alerts.webhook_secret_file go together")
