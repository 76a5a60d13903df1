"""How far runs may go without a person: mode, and a circuit breaker that only a person closes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from ringwatch_proto.errors import RunbookError
from ringwatch_runbooks.record import RunRecord

OBSERVE: Final = "observe"
ASK: Final = "ask"
AUTOMATIC: Final = "automatic"
MODES: Final = (OBSERVE, ASK, AUTOMATIC)
# The key under which the journal keeps the breaker; runs are and so on.
BREAKER_KEY: Final = "breaker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the site allows.

    ``observe`` changes nothing, ``ask`` (the default) asks a person each time, ``automatic`` approves by
    itself what has one of ``automatic_risks``. ``trip_after`` automatic actions that went wrong within
    ``trip_window_s`` open the breaker. At most ``most_out_percent`` of the nodes, and always one, may be
    out of service at a time.
    """

    mode: str = ASK
    automatic_risks: tuple[str, ...] = ("R1",)
    trip_after: int = 2
    trip_window_s: float = 3600.0
    most_out_percent: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """Open means: nothing is done without a person, until one closes it."""

    kind: str = field(default=BREAKER_KEY)  # first: by it a document is known
    open: bool = False
    why: str = ""
    since_s: float = 0.0
    by: str = ""

    def tripped(self, why: str, by: str, now_s: float) -> Breaker:
        """Return the breaker, open; the first reason is kept."""
        return self if self.open else Breaker(open=True, why=why[:300], since_s=now_s, by=by)

    def closed(self, why: str, by: str, now_s: float) -> Breaker:
        """Return the breaker, closed by a person who says why."""
        return replace(self, open=False, why=why[:300], since_s=now_s, by=by)


def to_document(breaker: Breaker) -> str:
    """Return what the journal keeps of the breaker."""
    return json.dumps(asdict(breaker), ensure_ascii=False)


def is_breaker(document: str) -> bool:
    """Say whether a document of the journal is that of the breaker."""
    return document.startswith('{"kind": "breaker"')


def breaker_of(document: str) -> Breaker:
    """Return the breaker of a document; raise RunbookError when it cannot be read."""
    try:
        return Breaker(**json.loads(document))
    except (ValueError, TypeError) as error:
        raise RunbookError(f"the stored circuit breaker cannot be read: {error}") from error


def trip_reason(runs: Iterable[RunRecord], policy: Policy, breaker: Breaker, now_s: float) -> str:
    """Return why the breaker has to open, empty when it has not."""
    since_s = max(now_s - policy.trip_window_s, breaker.since_s)
    bad = [
        f"{run.id} {act.step}: {act.outcome}"
        for run in runs
        for act in run.acts
        if act.automatic and act.bad and act.at_s >= since_s
    ]
    if len(bad) < policy.trip_after:
        return ""
    return f"{len(bad)} automatic actions went wrong: {'; '.join(bad[-3:])}"
