"""Stands in for a source that the settings name nothing for: it says which setting it waits for."""

from __future__ import annotations

from ringwatch_agent.sources.base import Reading
from ringwatch_proto.errors import SourceUnsupported


class UnsetSource:
    """Never opens. Costs no import of what the real source would need."""

    def __init__(self, name: str, example: str) -> None:
        self.name = name
        self._example = example

    def open(self) -> None:
        """Raise SourceUnsupported with the setting that turns the source on."""
        raise SourceUnsupported(f"not set; to read it, set {self.name} to {self._example}")

    def read(self) -> Reading:
        """Read nothing."""
        return Reading()

    def close(self) -> None:
        """Hold nothing."""
