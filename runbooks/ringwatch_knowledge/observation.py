"""What readers of evidence hand to those who judge it: what stands where, never what it means."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One thing read from a piece of evidence.

    ``kind`` names what it is about (``sign``, ``xid``, ``gpu``, ``port``), ``name`` which sign or
    reading; ``value`` is the number with its unit in the name, NaN for none; ``word`` the text of a
    state. ``text`` is the line as it stands in ``file`` at ``line``; ``at_s`` is its time in seconds
    on the clock of the evidence, None when the line carries none.
    """

    kind: str
    name: str
    text: str
    file: str
    line: int
    value: float = float("nan")
    word: str = ""
    node: str = ""
    device: str = ""
    rank: int = -1
    at_s: float | None = None
    fields: dict[str, str] = field(default_factory=dict)
