"""Settings of several collectors that work as one: the section ``[bus]``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from ringwatch_proto.errors import ConfigError

ROLES: Final = ("all", "ingest", "detect")


@dataclass(frozen=True, slots=True, kw_only=True)
class BusConfig:
    """Every setting of ``[bus]``: its effect, its unit and what unset means."""

    url: str = ""
    """Address of NATS (``nats://host:4222``, several with commas between); empty: no bus, role ``all``."""
    credentials_file: str = ""
    """NATS credentials file; empty: none."""
    tls_ca: str = ""
    """PEM file of the CA of the NATS servers, for ``tls://`` addresses; empty: the system's."""
    name: str = "ringwatch"
    """Prefix of streams and subjects; another fleet on the same NATS takes another one."""
    connect_s: float = 10.0
    """Seconds for which a start waits for NATS; later it is waited for without an end."""
    partitions: int = 16
    """Parts of the fleet, by job; the same on every collector and for ever: ids of incidents hold it."""
    replicas: int = 1
    """Copies of what is on the bus; 3 on a NATS cluster."""
    keep_hours: float = 24.0
    """Hours for which batches stay on the bus while no detector takes them."""
    keep_gib: float = 32.0
    """Most that they take on the bus, GiB; beyond it agents keep theirs until there is room."""
    lease_s: float = 4.0
    """Seconds after which the partitions of a detector that is gone go to another one."""
    replay_s: float = 180.0
    """Seconds of batches that a detector reads again when a partition comes to it."""
    gather_ms: float = 20.0
    """Milliseconds for which batches are gathered into one message on the bus."""

    def __post_init__(self) -> None:
        for name in (
            "connect_s",
            "partitions",
            "replicas",
            "keep_hours",
            "keep_gib",
            "lease_s",
            "replay_s",
            "gather_ms",
        ):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"bus.{name}={value} must be above 0 and finite")
        if self.partitions > 1024:
            raise ConfigError(f"bus.partitions={self.partitions}: at most 1024")
        if not 2.0 <= self.lease_s <= 60.0:
            raise ConfigError(f"bus.lease_s={self.lease_s} must be between 2 and 60")
        if not self.name.isidentifier():
            raise ConfigError(f"bus.name={self.name[:40]!r} must be letters, digits and underscores")
