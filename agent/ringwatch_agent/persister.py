"""Keeps a journal in step with its spool, on a thread, so that a slow disk delays nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from ringwatch_agent.journal import RESERVED, Journal
from ringwatch_agent.spool import Record, Spool
from ringwatch_agent.spool_mark import Mark

_log = logging.getLogger(__name__)
_RETRY_S: Final = 5.0
_SYNC_S: Final = 5.0
_MARK_S: Final = 10.0
# How long a batch without events may wait in memory: with a collector there, it is acknowledged by
# then and never written.
_LAG_S: Final = 2.0


class Persister:
    """Writes what the spool takes in and nobody acknowledges: events at once, samples within ``lag_s``.

    ``trouble`` is empty, or why the spool is in memory only; ``on_write`` is told it after each try.
    """

    def __init__(
        self,
        spool: Spool,
        journal: Journal,
        *,
        on_write: Callable[[str], None] = lambda _: None,
        retry_s: float = _RETRY_S,
        lag_s: float = _LAG_S,
    ) -> None:
        self.trouble = ""
        self.failures = 0
        self._spool = spool
        self._journal = journal
        self._on_write = on_write
        self._retry_s = retry_s
        self._lag_s = lag_s
        self._synced_s = 0.0
        self._marked_s = time.monotonic()
        self._marked = spool.acked_sequence
        self._reserved = spool.last_sequence + RESERVED
        self._working: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Write batches as they come, until cancelled."""
        while True:
            await self._spool.wait_for_event_after(self._journal.written_sequence, self._lag_s)
            try:
                if self._is_behind():
                    await self._on_thread(self._work())
                    self._fine()
            except Exception as error:  # noqa: BLE001 - a journal that fails leaves the spool in memory
                self._failed(error)
                await asyncio.sleep(self._retry_s)

    async def finish(self, within_s: float) -> None:
        """Write what is left and the mark of a clean stop; give up after ``within_s``."""
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(within_s):
                if self._working is not None:
                    await asyncio.wait([self._working])
                await self._on_thread(self._work())
                await asyncio.to_thread(self._journal.mark, self._mark(clean=True))
        if self._working is None or self._working.done():
            self._journal.close()

    def _is_behind(self) -> bool:
        """Return whether the disk lacks something, or holds something that it need not."""
        spool, journal = self._spool, self._journal
        lacks = spool.next_after(journal.written_sequence) is not None
        return bool(self.trouble) or lacks or self._is_mark_due() or journal.is_over_limit

    def _is_mark_due(self) -> bool:
        if self._spool.last_sequence > self._reserved - RESERVED // 2:
            return True
        # What is acknowledged since the last mark and lies in a file would be sent again after a kill.
        known = self._marked >= min(self._spool.acked_sequence, self._journal.written_sequence)
        return not known and not self._journal.is_empty and time.monotonic() - self._marked_s > _MARK_S

    def _work(self) -> Callable[[], None]:
        """Take from the spool, on its loop, what the thread is to write."""
        rewrite = self._journal.is_over_limit
        first = 0 if rewrite else self._journal.written_sequence + 1
        records = self._spool.between(first, self._spool.last_sequence)
        mark, mark_due = self._mark(clean=False), self._is_mark_due()
        return partial(self._write, records, self._spool.hellos(), mark, rewrite=rewrite, mark_due=mark_due)

    async def _on_thread(self, work: Callable[[], None]) -> None:
        self._working = asyncio.ensure_future(asyncio.to_thread(work))
        await asyncio.shield(self._working)

    def _write(
        self,
        records: Sequence[Record],
        hellos: Mapping[int, bytes],
        mark: Mark,
        *,
        rewrite: bool,
        mark_due: bool,
    ) -> None:
        now_s = time.monotonic()
        self._journal.trim(mark.acked)
        if rewrite:
            self._journal.rewrite(records, hellos)
        else:
            sync = now_s - self._synced_s > _SYNC_S or any(record.events for record in records)
            self._journal.write(records, hellos, sync=sync)
            self._synced_s = now_s if sync else self._synced_s
        if mark_due:
            self._journal.mark(mark)
            self._marked_s, self._marked, self._reserved = now_s, mark.acked, mark.last

    def _mark(self, *, clean: bool) -> Mark:
        spool = self._spool
        last = spool.last_sequence if clean else spool.last_sequence + RESERVED
        return Mark(spool_id=spool.spool_id, last=last, acked=spool.acked_sequence, clean=clean)

    def _fine(self) -> None:
        if self.trouble:
            _log.info("the spool is on disk again")
        self.trouble = ""
        self._on_write("")

    def _failed(self, error: Exception) -> None:
        reason = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        self.failures += 1
        if not self.trouble:
            _log.warning("the spool is in memory only: %s", reason)
        self.trouble = f"the spool is in memory only: {reason}"
        self._on_write(self.trouble)
