"""A node as Slurm shows it. Asks nobody."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# What stands at the front of the reason of every drain that was made from here.
OWNER: Final = "ringwatch"
_OUT: Final = ("DRAIN", "DOWN", "FAIL", "MAINT", "RESERVED", "POWERED_DOWN", "REBOOT", "NOT_RESPONDING")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """A node as Slurm has it."""

    name: str
    state: str
    reason: str

    @property
    def flags(self) -> frozenset[str]:
        """Return the parts of a state such as ``IDLE+DRAIN*``."""
        return frozenset(part.strip("*~#!%$@^-") for part in self.state.split("+"))

    @property
    def out(self) -> bool:
        """Say whether Slurm places no work there; a star, too, says that the node does not answer."""
        return "*" in self.state or any(flag.startswith(_OUT) for flag in self.flags)

    @property
    def drained(self) -> bool:
        """Say whether it is drained or draining."""
        return any(flag.startswith("DRAIN") for flag in self.flags)

    @property
    def ours(self) -> bool:
        """Say whether the drain was made from here."""
        return self.drained and self.reason.startswith(f"{OWNER} ")

    def __str__(self) -> str:
        """Return the state as the audit log keeps it."""
        return self.state + (f" ({self.reason})" if self.reason else "")


def parse_node(line: str) -> NodeState:
    """Return the node of one line of ``scontrol --oneliner show node``."""
    name = re.search(r"NodeName=(\S+)", line)
    state = re.search(r" State=(\S+)", line)
    reason = re.search(r" Reason=(.*?)(?: \[[^\]]*\])?(?: \w+=|$)", line)
    return NodeState(
        name=name[1] if name else "",
        state=state[1] if state else "UNKNOWN",
        reason=reason[1].strip() if reason else "",
    )
