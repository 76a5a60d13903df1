"""Who a call comes from, and how a servicer asks. It proves nothing: ``identity.py`` does."""

from __future__ import annotations

import enum
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final


class Role(enum.IntEnum):
    """What a caller may do; each role of a person includes those below it.

    ``AGENT`` is beside the others: a node reports and does nothing that people do, and no person
    reports for a node.
    """

    AGENT = 0
    VIEWER = 1
    OPERATOR = 2
    APPROVER = 3
    ADMIN = 4

    @property
    def word(self) -> str:
        """Return the role as people write it."""
        return self.name.lower()

    def covers(self, least: Role) -> bool:
        """Return whether this role is enough where ``least`` is asked for."""
        return self is least if Role.AGENT in (self, least) else self >= least


ROLE_OF: Final = {role.word: role for role in Role}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One caller.

    ``node`` is set for an agent that proved which node it is; it may speak for no other.
    ``authenticated`` is False where the collector trusts what callers say of themselves: then ``name``
    is empty or only claimed. ``credential`` names the certificate or token, never its secret;
    ``expires_ns`` is when a certificate ends, 0 for everything else.
    """

    name: str
    role: Role
    node: str | None = None
    authenticated: bool = False
    credential: str = ""
    expires_ns: int = 0


# Who nobody vouched for: a servicer that runs without the guard gives nobody more than a look.
STRANGER: Final = Caller(name="", role=Role.VIEWER)

# gRPC runs each call in a task of its own, and tasks copy their context: the value is the call's own.
_CURRENT: Final[ContextVar[Caller]] = ContextVar("ringwatch_caller", default=STRANGER)


def caller_of(_context: object) -> Caller:
    """Return who the call comes from that is being served."""
    return _CURRENT.get()


def author_of(context: object, claimed: str) -> str:
    """Return the name that an act is written down under; a proven name stands above a claimed one."""
    caller = caller_of(context)
    return caller.name if caller.authenticated else claimed


def set_caller(caller: Caller) -> None:
    """Make ``caller`` the one that ``caller_of`` returns in this task and those that it starts."""
    _CURRENT.set(caller)
