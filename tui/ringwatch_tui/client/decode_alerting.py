"""Messages about silences, alerts and history to snapshots. Decides nothing and asks nobody."""

from __future__ import annotations

from ringwatch_proto.codec import from_ns
from ringwatch_proto.v1 import query_pb2
from ringwatch_tui.state import model

_NS = 1_000_000_000


def history(message: query_pb2.HistoryReply) -> model.History:
    """Return a series over a window."""
    return model.History(
        series=message.series,
        unit=message.unit,
        source=message.source,
        step_s=message.step_s,
        resolution_s=message.resolution_s,
        first_s=message.first_ns / _NS,
        lines=tuple(
            model.HistoryLine(node=each.node, device=each.device, job=each.job, values=tuple(each.values))
            for each in message.lines
        ),
        note=message.note,
    )


def silence(message: query_pb2.Silence) -> model.Silence:
    """Return a silence."""
    return model.Silence(
        id=message.id,
        matchers=tuple(f"{each.field}:{each.pattern}" for each in message.matchers),
        author=message.author,
        reason=message.reason,
        from_s=message.from_ns / _NS,
        until_s=message.until_ns / _NS,
        ended_s=from_ns(message.ended_ns) if message.ended_ns else None,
        incidents=tuple(message.incidents),
    )


def alert(message: query_pb2.Alert) -> model.Alert:
    """Return an alert."""
    return model.Alert(
        key=message.key,
        channel=message.channel,
        incident=message.incident,
        what=message.what,
        state=message.state,
        tries=message.tries,
        error=message.error,
        created_s=message.created_ns / _NS,
        due_s=message.due_ns / _NS if message.due_ns else None,
        settled_s=message.settled_ns / _NS if message.settled_ns else None,
    )


def matcher(text: str) -> query_pb2.Matcher:
    """Return the matcher that ``field:pattern`` writes."""
    field, _, pattern = text.partition(":")
    return query_pb2.Matcher(field=field, pattern=pattern)
