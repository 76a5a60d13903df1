"""Writes into the audit log that a known caller tried what it may not do. It refuses nothing itself."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any, Final

from ringwatch_collector.access.callers import Caller
from ringwatch_collector.audit import AuditLog
from ringwatch_collector.clock import Clock

# Somebody who tries all day fills no disk: once a minute is enough to know.
_AGAIN_S: Final = 60.0
_MOST_KNOWN: Final = 1024


class Denials:
    """Notes each caller and method once a minute. Callers that nobody vouches for are only counted."""

    def __init__(self, audit: AuditLog, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock
        self._noted: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._unfinished: set[asyncio.Task[Any]] = set()

    def note(self, caller: Caller, method: str) -> None:
        """Note that a call was denied."""
        now_s = self._clock.monotonic_s()
        key = (caller.credential, method)
        if not caller.authenticated or now_s - self._noted.get(key, -_AGAIN_S) < _AGAIN_S:
            return
        self._noted[key] = now_s
        if len(self._noted) > _MOST_KNOWN:
            self._noted.popitem(last=False)
        work = self._audit.append(
            actor=caller.name,
            action="access.denied",
            target=method,
            reason=f"{caller.role.word}, credential {caller.credential}",
            result="refused",
        )
        task = asyncio.create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
