"""What an adapter is, and how it answers. Carries out nothing."""

from __future__ import annotations

from typing import Protocol

from ringwatch_runbooks.base import RepairCall, VerbOutcome


class Adapter(Protocol):
    """One system outside of the nodes.

    ``plan`` looks and says what would be done; it has its own way to the system and changes nothing.
    ``do`` acts, looks again, and says what was before and what is after. Neither raises for what the
    system says: a refusal is ``refused``, everything else that went wrong is ``failed``. The caller
    has checked name and arguments, and owns the time-out.
    """

    @property
    def calls(self) -> tuple[str, ...]:
        """Names of what it can do here, as ``noun.verb``."""
        ...

    async def plan(self, call: RepairCall) -> VerbOutcome:
        """Say what would be done, and change nothing."""
        ...

    async def do(self, call: RepairCall) -> VerbOutcome:
        """Do it, or read it when the call only reads."""
        ...


def done(text: str, **facts: str) -> VerbOutcome:
    """Return that it was done."""
    return VerbOutcome(status="done", text=text, facts=facts)


def refused(text: str) -> VerbOutcome:
    """Return that it must not be done."""
    return VerbOutcome(status="refused", text=text)


def failed(text: str, **facts: str) -> VerbOutcome:
    """Return that it went wrong."""
    return VerbOutcome(status="failed", text=text, facts=facts)


def yes_no(value: bool) -> str:
    """Return the word that a runbook compares with."""
    return "yes" if value else "no"
