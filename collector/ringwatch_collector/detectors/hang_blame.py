"""Who holds a stalled job up, from its process table and the head-of-line rule. Decides no hang."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ringwatch_collector.detectors.confidence import DIRECT, HINT, READING
from ringwatch_collector.detectors.head_of_line import Heads
from ringwatch_collector.detectors.window import Index
from ringwatch_collector.view import JobView
from ringwatch_proto.layout import Phase
from ringwatch_proto.records import Verdict

# More missing ranks than this share are no culprits: something that they have in common is.
MOST_MISSING_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """A job that does not move, with what its ranks say."""

    job: JobView
    seconds: float
    limit_s: float
    heads: Heads
    stopped: Index
    silent: Index


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """Who is waited for, and why."""

    column: int  # -1 for nobody
    cause: str
    verdict: Verdict
    weight: float
    text: str
    unsure: tuple[str, ...] = ()


def blame_for(stall: Stall) -> Blame:
    """Return who holds the job up: the process table first, then who never came, then who is behind."""
    heads = stall.heads
    if 0 < stall.stopped.size <= MOST_MISSING_SHARE * stall.job.ranks.size:
        text = "its process is stopped (state T): a stop signal or a debugger"
        return Blame(
            column=int(stall.stopped[0]),
            cause="process_stopped",
            verdict=Verdict.HOST,
            weight=DIRECT,
            text=text,
        )
    if 0 < heads.missing.size <= MOST_MISSING_SHARE * stall.job.ranks.size:
        return _missing(stall, _first_of(stall.job, heads.missing))
    if stall.silent.size and not heads.missing.size:
        text = "its node does not report, and every rank that does waits"
        return Blame(
            column=int(stall.silent[0]),
            cause="node_silent",
            verdict=Verdict.CANNOT_TELL,
            weight=READING,
            text=text,
        )
    if 0 < heads.behind.size <= MOST_MISSING_SHARE * stall.job.ranks.size:
        text = "it sits in a collective that its peers have left: the device or the network is stuck there"
        return Blame(
            column=_first_of(stall.job, heads.behind),
            cause="stuck_in_collective",
            verdict=Verdict.CANNOT_TELL,
            weight=READING,
            text=text,
        )
    unsure = "every rank waits in the same collective: the network between them, or one of them inside it"
    if heads.missing.size:
        unsure = "most ranks have not come: something that they share, such as storage, is nearer than a rank"
    return Blame(
        column=-1, cause="cannot_tell", verdict=Verdict.CANNOT_TELL, weight=HINT, text="", unsure=(unsure,)
    )


def _first_of(job: JobView, columns: Index) -> int:
    """Return the one that did least: the others may wait for it without the hook's knowing."""
    order = np.lexsort((job.ranks[columns], job.states.completed[columns], job.states.step[columns]))
    return int(columns[order[0]])


# Letter of the process state -> cause, verdict, words.
_PROCESS: Final[dict[str, tuple[str, Verdict, str]]] = {
    "D": ("process_blocked", Verdict.HOST, "its process hangs in the kernel (state D): storage or a driver"),
    "Z": ("process_ended", Verdict.SOFTWARE, "its process has ended and was not collected (state Z)"),
    "X": ("process_ended", Verdict.SOFTWARE, "its process has ended (state X)"),
}


def _missing(stall: Stall, column: int) -> Blame:
    states = stall.job.states
    letter = chr(int(states.process_state[column]) or ord("?"))
    if letter in _PROCESS:
        cause, verdict, text = _PROCESS[letter]
        return Blame(column=column, cause=cause, verdict=verdict, weight=DIRECT, text=text)
    in_data = states.phase[column] == Phase.DATA
    where = "waits for its data loader" if in_data else "is in its own code"
    return Blame(
        column=column,
        cause="dataloader" if in_data else "never_launched",
        verdict=Verdict.SOFTWARE if in_data else Verdict.CANNOT_TELL,
        weight=READING,
        text=f"it never came to the collective that the others wait in: it {where}",
        unsure=() if in_data else ("what it does there: its stack would say",),
    )
