"""Silences by matcher: made and ended by operators, each after a dialog, under their name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from ringwatch_tui.operations import SILENCES, Desk
from ringwatch_tui.views.lines import DIM, STRONG, Line, Span, line, paragraph

FIELDS: Final = ("node", "device", "job", "kind", "cause")
_FOR: Final = (*SILENCES, ("604800", "7 days"))
_TOLD: Final = (
    "Holds back what matches: it stays in the lists and pages nobody. All words have to match; * and ? stand "
    f"for anything. Fields: {', '.join(FIELDS)}."
)


def trouble_with(words: str) -> str:
    """Return what is wrong with matchers as typed, empty when they can be sent."""
    for word in words.split():
        field, colon, pattern = word.partition(":")
        if not colon or not pattern or field not in FIELDS:
            return f"{word}: write field:pattern, with a field of {', '.join(FIELDS)}"
    return ""


async def new_silence(desk: Desk, _id: str) -> None:
    """Hold back what matches, for a time, with a reason."""
    words = await desk.ask.text(
        "Hold back",
        lambda cells: paragraph(_TOLD, cells, DIM),
        placeholder="node:n01? job:train-*",
        required=True,
    )
    if words is None:
        return
    trouble = trouble_with(words)
    if trouble:
        desk.session.say(trouble, "warn")
        return

    def told(_cells: int) -> list[Line]:
        return [line(Span("holds back  ", DIM), Span(words, STRONG))]

    seconds = await desk.ask.choice("For how long", told, _FOR)
    if seconds is None:
        return
    reason = await desk.ask.text("Why", told, placeholder="reason", required=True)
    if reason is not None:
        await desk.session.put_silence(words.split(), desk.user, reason, float(seconds))


async def end_silence(desk: Desk, id: str) -> None:
    """End a silence before its time, with a reason."""
    silence = next((each for each in desk.session.state.silences or () if each.id == id), None)
    if silence is None or silence.ended_s is not None:
        desk.session.say("no silence that holds is selected", "warn")
        return
    matchers = " ".join(silence.matchers)
    told = f"{id} holds back {matchers}. What it holds pages again when it ends."
    reason = await desk.ask.text(
        f"End {id}", lambda cells: paragraph(told, cells, STRONG), placeholder="reason", required=True
    )
    if reason is not None:
        await desk.session.end_silence(id, desk.user, reason)


OPERATIONS: Final[dict[str, Callable[[Desk, str], Awaitable[None]]]] = {
    "new_silence": new_silence,
    "end_silence": end_silence,
}
