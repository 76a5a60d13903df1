"""The calls that actions may use beside node verbs: names, arguments and risk. Carries out none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Final

from ringwatch_proto.errors import VerbRefused

# Adapters of a site register here; the entry point's name is the noun of their calls.
ENTRY_POINTS: Final = "ringwatch.repairs"
# The site's own scripts: what they are called stands in the collector's settings.
SCRIPT_NOUN: Final = "script"

_NODE: Final = r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
_WORD: Final = r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,126}"
# Each pattern begins with a letter or digit: no value can be read as an option.
PATTERNS: Final[dict[str, str]] = {
    "node": _NODE,
    "peer": _NODE,
    "level": r"quick|full",
    "rank": r"[0-9]{1,6}",
    "pid": r"[1-9][0-9]{0,9}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One thing that an adapter can do. ``evicts`` work that runs, so that a cordon has to come first."""

    name: str
    risk: str
    help: str
    arguments: tuple[str, ...] = ("node",)
    evicts: bool = False
    returns: bool = False


CALLS: Final[tuple[Call, ...]] = (
    Call(name="scheduler.state", risk="R0", help="state, reason and running work of a node"),
    Call(name="scheduler.drain", risk="R1", help="no new work on the node; running work goes on"),
    Call(name="scheduler.resume", risk="R1", help="work may be placed on the node again", returns=True),
    Call(name="scheduler.move", risk="R2", help="running work leaves the node", evicts=True),
    Call(name="scheduler.requeue", risk="R2", help="a job starts again elsewhere", arguments=("job",)),
    Call(name="kubernetes.taint", risk="R1", help="pods that do not tolerate the fault stay away"),
    Call(name="kubernetes.untaint", risk="R1", help="the taint is taken off", returns=True),
    Call(name="kubernetes.label", risk="R1", help="the node carries the incident as a label"),
    Call(name="kubernetes.unlabel", risk="R1", help="the label is taken off"),
    Call(name="proof.node", risk="R1", help="the probe under load, judged against peers",
         arguments=("node", "level")),
    Call(name="ticket.open", risk="R1", help="a ticket with the hand-over text", arguments=()),
    Call(name="chat.send", risk="R1", help="a message with the hand-over text", arguments=()),
)  # fmt: skip
BY_NAME: Final[dict[str, Call]] = {call.name: call for call in CALLS}


@cache
def site_nouns() -> frozenset[str]:
    """Return the nouns of adapters that are installed on this machine; loads none of them."""
    return frozenset(entry.name for entry in metadata.entry_points(group=ENTRY_POINTS))


def is_known(name: str) -> bool:
    """Say whether a call is in the list, a site's script, or of an installed adapter."""
    noun = name.partition(".")[0]
    return name in BY_NAME or noun == SCRIPT_NOUN or noun in site_nouns()


def check_arguments(name: str, arguments: Mapping[str, str]) -> None:
    """Raise VerbRefused when the arguments are not those of a listed call, or have the wrong form."""
    known = BY_NAME.get(name)
    if known is not None and set(arguments) != set(known.arguments):
        raise VerbRefused(f"{name} takes {', '.join(known.arguments) or 'no argument'}")
    for key, value in arguments.items():
        if re.fullmatch(PATTERNS.get(key, _WORD), value) is None:
            raise VerbRefused(f"{name}: {key}={value[:60]!r} is no {key}")
