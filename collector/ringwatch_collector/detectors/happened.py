"""Events as detectors read them: of which kind, how recent, taken back or not. Judges nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ringwatch_collector.view import EventsView, FleetView, SeenEvent
from ringwatch_proto.records import Bearing, Evidence

# An event does not unhappen; what it says counts as seen now for this long after it came.
SAID_S: Final = 30.0
# Times of different nodes closer than this have no certain order: clocks are corrected to about this.
ORDER_S: Final = 0.5


def live(view: FleetView, *kinds: str) -> Iterator[SeenEvent]:
    """Return the events of these kinds, oldest first, without what lay in a log before the agent began."""
    events = view.events.of(kinds) if isinstance(view.events, EventsView) else view.events
    return (event for event in events if event.kind in kinds and not event.backfill)


def is_fresh(view: FleetView, event: SeenEvent, seconds: float = SAID_S) -> bool:
    """Tell whether the event came within the last ``seconds``, whenever it happened."""
    return view.now_s - event.received_s <= seconds


def evidence_of(
    event: SeenEvent, bearing: Bearing = Bearing.SUPPORTS, *, uncertain: bool = False
) -> Evidence:
    """Return the event as evidence, in the words in which it came."""
    return Evidence(
        at_s=event.at_s,
        bearing=bearing,
        text=event.text or event.kind,
        source=event.source or event.kind,
        node=event.node,
        order_uncertain=uncertain,
    )


def number(event: SeenEvent, field: str) -> int:
    """Return a numeric field, -1 when it is absent or no number."""
    text = event.fields.get(field, "")
    return int(text) if text.isdecimal() else -1
