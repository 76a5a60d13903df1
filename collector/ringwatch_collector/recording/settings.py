"""How much of the past is kept as pictures. The section ``[recording]``."""

from __future__ import annotations

from dataclasses import dataclass

from ringwatch_proto.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingConfig:
    """The text below each field says its effect, its unit and what unset means."""

    max_mib: int = 256
    """Most MiB of pictures on disk, the oldest go first; 0 keeps none."""
    interval_s: float = 2.0
    """Seconds between two pictures; more when a picture costs more than a fiftieth of that time."""
    max_hours: float = 24.0
    """Pictures older than this are deleted."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.max_mib < 0 or not 0 < self.interval_s < 3600 or not 0 < self.max_hours < 1e6:
            raise ConfigError(
                "recording: max_mib is 0 or more, interval_s and max_hours are above 0 and finite"
            )
