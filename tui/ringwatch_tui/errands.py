"""What takes a question or a wait and changes nothing in the cluster: going somewhere, exporting."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ringwatch_tui.commands import best
from ringwatch_tui.operations import Ask
from ringwatch_tui.recordings import bundle
from ringwatch_tui.screens.base import Target
from ringwatch_tui.session import Clocks, Session
from ringwatch_tui.timetravel import TimeTravel, choices
from ringwatch_tui.views.heat import gpu_state
from ringwatch_tui.views.lines import DIM, Line, Span, line
from ringwatch_tui.views.marks import state_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What an errand works with: ``live`` is now, ``watched`` what is shown, which may be the past."""

    live: Session
    watched: Session
    travel: TimeTravel
    ask: Ask
    clocks: Clocks
    open: Callable[[str, str], None]
    target: Target | None


def _told(text: str) -> Callable[[int], list[Line]]:
    return lambda _cells: [line(Span(text, DIM))]


async def go_to(errand: Errand) -> None:
    """Open an object by any part of its name; a GPU is called node/gpu."""
    told = _told("an incident, a job, a node, a GPU (n011/gpu3) or a run, by any part of its name")
    words = await errand.ask.text("Go to", told, placeholder="I-3   llm-70b   n011   n011/gpu3")
    if not words:
        return
    node, slash, _ = words.rpartition("/")
    fleet = errand.watched.state.fleet
    if slash and fleet is not None and any(each.name == node for each in fleet.nodes):
        errand.open("gpu", words)
        return
    found = best(errand.watched.state, words, 1)
    if found:
        errand.open(found[0].kind, found[0].id)
    else:
        errand.watched.say(f"nothing is called {words}", "warn")


async def choose_gpu(errand: Errand) -> None:
    """Open one GPU of a node, those in trouble first."""
    detail = errand.watched.state.nodes.get(errand.target.id) if errand.target is not None else None
    if detail is None or not detail.summary.gpus:
        errand.watched.say("no GPU is reported here", "warn")
        return
    gpus = sorted(detail.summary.gpus, key=lambda each: -state_of(gpu_state(each))[2])
    options = [(each.name, f"{each.name}  {gpu_state(each)}  {each.job}") for each in gpus]
    chosen = await errand.ask.choice(f"GPUs of {detail.summary.name}", _told("the worst first"), options)
    if chosen is not None:
        errand.open("gpu", f"{detail.summary.name}/{chosen}")


async def go_back(errand: Errand) -> None:
    """Show pictures that the collector kept."""
    state, target = errand.live.state, errand.target
    incident = state.incident(target.id) if target is not None and target.kind == "incident" else None
    now_s = state.now_s(errand.clocks.monotonic())
    told = _told("pictures that the collector kept; the live one goes on meanwhile")
    chosen = await errand.ask.choice("Back in time", told, choices(incident, now_s))
    frames = await errand.live.past(now_s - float(chosen), now_s) if chosen is not None else ()
    if frames:
        errand.travel.enter(frames, state.runbooks)


async def export(errand: Errand) -> None:
    """Write the evidence of an incident to an archive here."""
    if errand.target is None or errand.target.kind != "incident":
        errand.watched.say("no incident is selected", "warn")
        return
    errand.watched.say(f"gathering the evidence of {errand.target.id} ...")
    errand.watched.say(*await bundle.exported(errand.watched.client, errand.target.id, Path.cwd()))


ERRANDS: Final[dict[str, Callable[[Errand], Awaitable[None]]]] = {
    "goto": go_to,
    "gpu": choose_gpu,
    "history": go_back,
    "export": export,
}
