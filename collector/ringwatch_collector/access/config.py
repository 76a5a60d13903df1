"""Settings of who may talk to the collector: the section ``[access]``."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ringwatch_proto.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessConfig:
    """Every setting of ``[access]``: its effect, its unit and what unset means."""

    listen: str = ""
    """Second address under TLS, for callers without a certificate: consoles with a token, new nodes."""
    authority_certificate: str = ""
    """PEM file of the fleet's own CA; with authority_key, nodes can join and renew. Empty: they cannot."""
    authority_key: str = ""
    """PEM file of that CA's key."""
    node_certificate_hours: float = 168.0
    """Life of a node's certificate, hours; nodes renew theirs when half of it is over."""
    agents_without_certificate: bool = False
    """Under TLS, let nodes report that prove nothing; anybody may then speak for any node."""
    calls_per_s: float = 100.0
    """Calls a second that one caller may make on average; more are refused."""
    calls_burst: int = 500
    """Calls that one caller may make at once."""
    open_streams: int = 32
    """Streams that one person may hold open; agents have one a node."""
    failed_delay_s: float = 4.0
    """Longest that the answer to a wrong secret is held back; it doubles from 0.25 s with each."""
    handshake_s: float = 10.0
    """Seconds until a connection is closed that has not finished its handshake."""
    refresh_s: float = 2.0
    """Seconds until a token or certificate that was revoked is refused, and its streams are ended."""

    def __post_init__(self) -> None:
        if bool(self.authority_certificate) != bool(self.authority_key):
            raise ConfigError("access.authority_certificate and access.authority_key go together")
        for name in (
            "node_certificate_hours",
            "calls_per_s",
            "calls_burst",
            "open_streams",
            "handshake_s",
            "refresh_s",
        ):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"access.{name}={value} must be above 0 and finite")
        if not 0 <= self.failed_delay_s <= 60:
            raise ConfigError(f"access.failed_delay_s={self.failed_delay_s} must be between 0 and 60")
