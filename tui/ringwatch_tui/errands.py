"""What takes a question or a wait and changes nothing in the cluster: going somewhere, exporting."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from textual.screen import ModalScreen

from ringwatch_proto.errors import ConfigError
from ringwatch_tui.commands import best, objects
from ringwatch_tui.operations import Ask
from ringwatch_tui.saved_views import SavedView, ViewsBook
from ringwatch_tui.screens.base import Target
from ringwatch_tui.screens.listing import Listing
from ringwatch_tui.session import Clocks, Session
from ringwatch_tui.state.text import clean
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
    listing: Listing | None
    views: ViewsBook
    clipboard: Callable[[str], None]
    # Puts a dialog over the screen and returns its answer.
    show: Callable[[ModalScreen[str | None]], Awaitable[str | None]]


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


async def save_view(errand: Errand) -> None:
    """Keep the filter of the list that is shown under a name."""
    listing = errand.listing
    if listing is None or not listing.filter_text:
        errand.watched.say("type a filter first: /", "warn")
        return
    told = _told(f"keeps  {listing.filter_text}  for {listing.SCREEN}, on this machine")
    name = await errand.ask.text("Save view", told, placeholder="name", required=True)
    if name is None:
        return
    try:
        errand.views.keep(SavedView(name=name, screen=listing.SCREEN, filter=listing.filter_text))
    except ConfigError as error:
        errand.watched.say(str(error), "warn")
        return
    errand.watched.say(f"saved {name}; V offers it")


async def use_view(errand: Errand) -> None:
    """Choose a saved filter for the list that is shown."""
    listing = errand.listing
    if listing is None:
        return
    try:
        found = errand.views.views(listing.SCREEN)
    except ConfigError as error:
        errand.watched.say(str(error), "warn")
        return
    if not found:
        errand.watched.say(f"no view of {listing.SCREEN} was saved: / types a filter, w saves it")
        return
    options = [(each.filter, f"{each.name}   {each.filter}") for each in found]
    chosen = await errand.ask.choice("Views", _told("filters that were saved on this machine"), options)
    if chosen is not None:
        listing.use_filter(chosen)


async def copy(errand: Errand) -> None:
    """Put the selected object on the clipboard of the terminal (OSC 52)."""
    if errand.target is None:
        errand.watched.say("nothing is selected", "warn")
        return
    found = next(
        (each for each in objects(errand.watched.state) if (each.kind, each.id) == _key(errand.target)), None
    )
    text = clean(found.text if found is not None else errand.target.id)
    errand.clipboard(text)
    errand.watched.say(f"copied: {text}")


def _key(target: Target) -> tuple[str, str]:
    return target.kind, target.id


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
    from ringwatch_tui.recordings import bundle

    errand.watched.say(*await bundle.exported(errand.watched.client, errand.target.id, Path.cwd()))


async def diagnose(errand: Errand) -> None:
    """Say what a path or a paste shows, as ``ringwatch diagnose`` says it."""
    from ringwatch_tui import second_opinion
    from ringwatch_tui.screens.opinion import Evidence, Opinion

    given = await errand.show(Evidence())
    if given is None:
        return
    errand.watched.say("reading ...")
    await errand.show(Opinion(await second_opinion.asked(given)))


ERRANDS: Final[dict[str, Callable[[Errand], Awaitable[None]]]] = {
    "goto": go_to,
    "gpu": choose_gpu,
    "history": go_back,
    "export": export,
    "save_view": save_view,
    "views": use_view,
    "copy": copy,
    "diagnose": diagnose,
}
