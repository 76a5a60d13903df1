"""What people do to silences: begun or ended, then disk and audit log. It decides nothing about incidents."""

from __future__ import annotations

import asyncio
from typing import Final

from ringwatch_collector.audit import AuditLog
from ringwatch_collector.clock import Clock
from ringwatch_collector.incidents import IncidentBook
from ringwatch_collector.silences import Matcher, Silence, Silences, silence_of
from ringwatch_collector.store.store import Store
from ringwatch_collector.validate import clean
from ringwatch_proto.codec import to_ns
from ringwatch_proto.records import IncidentState
from ringwatch_proto.v1 import query_pb2

# As at the desk of incidents: what is late is written when the disk works, and shown as trouble.
_PERSIST_S: Final = 2.0
# Ended silences stay in the list for so long.
_SHOWN_S: Final = 30 * 86400.0


def stored_silences(store: Store, now_s: float) -> Silences:
    """Return the silences as an earlier collector left them."""
    documents = store.silences(now_s - _SHOWN_S)
    return Silences([silence_of(document) for document in documents], store.silence_ids())


class SilenceDesk:
    """Takes orders for silences. Each is stored and written down before the answer, if the disk works."""

    def __init__(
        self, *, silences: Silences, book: IncidentBook, store: Store, audit: AuditLog, clock: Clock
    ) -> None:
        self._silences = silences
        self._book = book
        self._store = store
        self._audit = audit
        self._clock = clock
        self._unfinished: set[asyncio.Task[object]] = set()

    def list(self, *, include_ended: bool) -> query_pb2.SilenceList:
        """Return the silences that hold, or all of the last month, newest first."""
        now_s = self._clock.now_s()
        found = [each for each in self._silences.all() if include_ended or each.holds(now_s)]
        return query_pb2.SilenceList(silences=[self._message(each) for each in reversed(found)])

    async def put(self, request: query_pb2.PutSilenceRequest, author: str) -> query_pb2.Silence:
        """Begin a silence; raise ValueError, with a sentence, when it cannot be."""
        matchers = [Matcher(field=each.field, pattern=clean(each.pattern, 200)) for each in request.matchers]
        author, reason = clean(author, 64).strip(), clean(request.reason, 2000).strip()
        silence = self._silences.put(
            matchers, author, reason, now_s=self._clock.now_s(), duration_s=request.duration_s
        )
        await self._keep(silence, author, "silence.put", reason)
        return self._message(silence)

    async def end(self, request: query_pb2.EndSilenceRequest, author: str) -> query_pb2.Silence:
        """End a silence; raise KeyError or ValueError, with a sentence, when it cannot be."""
        author = clean(author, 64).strip()
        if not author:
            raise ValueError("an action needs its author")
        silence = self._silences.end(request.id, self._clock.now_s())
        await self._keep(silence, author, "silence.end", clean(request.reason, 2000))
        return self._message(silence)

    async def _keep(self, silence: Silence, author: str, action: str, reason: str) -> None:
        stored = self._store.put_silence(silence.id, silence.until_s, silence.document())
        meant = ", ".join(f"{each.field}={each.pattern}" for each in silence.matchers)
        noted: asyncio.Task[object] = asyncio.create_task(
            self._audit.append(
                actor=author, action=action, target=f"{silence.id} {meant}", reason=reason, result="done"
            )
        )
        self._unfinished.add(noted)
        noted.add_done_callback(self._unfinished.discard)
        waits: list[asyncio.Future[object]] = [stored, noted]  # type: ignore[list-item]  # of any result
        await asyncio.wait(waits, timeout=_PERSIST_S)

    def _message(self, silence: Silence) -> query_pb2.Silence:
        held = [
            incident.id
            for incident in self._book.all()
            if incident.state is IncidentState.SILENCED and incident.silenced_by == silence.id
        ]
        return query_pb2.Silence(
            id=silence.id,
            matchers=[query_pb2.Matcher(field=each.field, pattern=each.pattern) for each in silence.matchers],
            author=silence.author,
            reason=silence.reason,
            from_ns=to_ns(silence.from_s),
            until_ns=to_ns(silence.until_s),
            ended_ns=to_ns(silence.ended_s),
            incidents=held,
        )
