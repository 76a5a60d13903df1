"""The palette: every action of the registry that works here, and every object of the fleet by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from ringwatch_tui.actions import Action
from ringwatch_tui.state.reducer import ConsoleState
from ringwatch_tui.state.text import clean

_HITS = 20


class Palette(Protocol):
    """What the palette needs of the app."""

    def palette_actions(self) -> tuple[Action, ...]:
        """Return what can be done on the screen below."""
        ...

    def palette_state(self) -> ConsoleState:
        """Return the state whose objects are found."""
        ...

    def wish(self, action: str) -> None:
        """Do an action."""
        ...

    def open_object(self, kind: str, id: str) -> None:
        """Show an object."""
        ...


class ActionProvider(Provider):
    """Actions that work on the screen below."""

    @property
    def _palette(self) -> Palette:
        return cast("Palette", self.app)

    def _run(self, action: str) -> Callable[[], None]:
        return lambda: self._palette.wish(action)

    async def discover(self) -> Hits:
        """Offer the actions in the order of the key bar."""
        for action in self._palette.palette_actions():
            title = Content(f"{action.title}  ({action.shown_key})")
            yield DiscoveryHit(title, self._run(action.id), text=action.title, help=action.help)

    async def search(self, query: str) -> Hits:
        """Find actions by title and help."""
        matcher = self.matcher(query)
        for action in self._palette.palette_actions():
            score = max(matcher.match(action.title), matcher.match(action.help) * 0.5)
            if score > 0:
                yield Hit(score, matcher.highlight(action.title), self._run(action.id), help=action.help)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """An object and what it is found by."""

    kind: str
    id: str
    text: str


def objects(state: ConsoleState) -> Iterator[Named]:
    """Return every object that has a screen of its own."""
    fleet = state.fleet
    if fleet is None:
        return
    for incident in fleet.incidents:
        yield Named(kind="incident", id=incident.id, text=f"{incident.id} {incident.summary}")
    for run in fleet.runs:
        yield Named(kind="run", id=run.id, text=f"run {run.id} {run.runbook} {run.incident}")
    for job in fleet.jobs:
        yield Named(kind="job", id=job.name, text=f"job {job.name}")
    for book in state.runbooks:
        yield Named(kind="runbook", id=book.id, text=f"runbook {book.id} {book.title}")
    for node in fleet.nodes:
        yield Named(kind="node", id=node.name, text=f"node {node.name}")


def best(state: ConsoleState, words: str, limit: int = _HITS) -> list[Named]:
    """Return the objects that hold every word, exact ids first, then the shortest names."""
    parts = words.lower().split()
    found = [each for each in objects(state) if all(part in each.text.lower() for part in parts)]
    found.sort(key=lambda each: (each.id.lower() not in parts, len(each.text)))
    return found[:limit]


class ObjectProvider(Provider):
    """Incidents, runs, jobs and nodes by name."""

    @property
    def _palette(self) -> Palette:
        return cast("Palette", self.app)

    def _open(self, named: Named) -> Callable[[], None]:
        return lambda: self._palette.open_object(named.kind, named.id)

    async def search(self, query: str) -> Hits:
        """Find objects by plain words: quicker than fuzzy matching over ten thousand names."""
        matcher = self.matcher(query)
        for rank, named in enumerate(best(self._palette.palette_state(), query)):
            text = clean(named.text)
            yield Hit(
                0.9 - rank * 0.01, matcher.highlight(text), self._open(named), help=f"open this {named.kind}"
            )
