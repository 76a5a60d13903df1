"""Replaces attributes of torch and puts them back; what cannot be replaced is noted, not raised."""

# ruff: noqa: ANN401  functions of torch are passed through as they are; mypy does not follow torch

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ringwatch_agent.hook.recorder import Recorder


class Watch:
    """What the replaced functions share: the recorder while an agent listens, else None."""

    __slots__ = ("faults", "recorder")

    def __init__(self) -> None:
        self.recorder: Recorder | None = None
        self.faults = 0


class Patches:
    """The replacements made so far, newest last."""

    def __init__(self) -> None:
        self._made: list[tuple[Any, str, Any, Any]] = []
        self._undo: list[Callable[[], None]] = []
        self.missing: list[str] = []

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Put ``make(original)`` in the place of ``owner.name``, when there is one."""
        original = getattr(owner, name, None)
        if original is None:
            self.missing.append(name)
            return
        replacement = make(original)
        try:
            setattr(owner, name, replacement)
        except (AttributeError, TypeError):
            self.missing.append(name)
            return
        self._made.append((owner, name, original, replacement))

    def on_undo(self, undo: Callable[[], None]) -> None:
        """Call ``undo`` when everything is put back."""
        self._undo.append(undo)

    def undo(self) -> None:
        """Put everything back that nobody has replaced since."""
        while self._made:
            owner, name, original, replacement = self._made.pop()
            if getattr(owner, name, None) is replacement:
                setattr(owner, name, original)
        while self._undo:
            self._undo.pop()()
