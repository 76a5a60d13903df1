"""Section [history]: where series go and how often. It checks itself and connects to nothing."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from ringwatch_proto.errors import ConfigError
from ringwatch_proto.signals import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryConfig:
    """Every setting; without a url nothing is written, and only the last minutes can be asked for."""

    url: str = ""
    """Address of VictoriaMetrics (``http://host:8428``), or of what speaks remote write and PromQL."""
    write_path: str = "/api/v1/write"
    """Where it takes remote write (Mimir: ``/api/v1/push``)."""
    query_path: str = "/api/v1/query_range"
    """Where it answers PromQL over a range (Mimir: ``/prometheus/api/v1/query_range``)."""
    token_file: str = ""
    """File with the bearer token that it asks for."""
    ca_file: str = ""
    """PEM file of the authority of its certificate; empty takes the system's."""
    interval_s: float = 15.0
    """Seconds between two samples of each series."""
    tables: tuple[str, ...] = ("gpu", "port", "host")
    """Tables whose signals are written."""
    queue_mib: int = 64
    """Memory for what waits for the database; beyond it the oldest samples are dropped and counted."""
    timeout_s: float = 10.0
    """Seconds that one request may take."""

    def __post_init__(self) -> None:
        address = urlsplit(self.url)
        if self.url and (address.scheme not in ("http", "https") or not address.hostname):
            raise ConfigError("history.url must be http:// or https:// with a host")
        if address.password:
            raise ConfigError("a password does not belong into history.url: use history.token_file")
        if not 1.0 <= self.interval_s <= 3600.0:
            raise ConfigError("history.interval_s must be from 1 s to an hour")
        if self.queue_mib < 1 or not 0 < self.timeout_s < 1e6:
            raise ConfigError("history.queue_mib and history.timeout_s must be above 0")
        for name in self.tables:
            if name.upper() not in Table.__members__:
                raise ConfigError(f"history.tables: there is no table {name[:40]!r}")
