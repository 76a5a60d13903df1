"""A detector among others: takes partitions by lease, runs a cell for each, and lets go of what it loses."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ringwatch_collector.bus.cell import Cell, CellParts
from ringwatch_collector.bus.leases import Leases, Turn
from ringwatch_collector.bus.link import Place
from ringwatch_collector.bus.partitions import incident_prefix
from ringwatch_collector.store.store import Store
from ringwatch_proto.errors import StoreError
from ringwatch_proto.records import Incident

_LOG: Final = logging.getLogger("ringwatch.collector.bus")
_TURN_S: Final = 0.5
# Before the lease ends by the database's clock it has to have ended by ours.
_MARGIN_S: Final = 1.0
_INCIDENTS_BACK_S: Final = 86400.0


class Detection:
    """The cells of one process."""

    def __init__(
        self,
        parts: CellParts,
        leases: Leases,
        *,
        take_over: Callable[[Sequence[Incident]], None],
        lead: Callable[[bool], None],
    ) -> None:
        """``take_over`` is told of the incidents of a partition that came; ``lead`` who sends the alerts."""
        self._parts = parts
        self._leases = leases
        self._take_over = take_over
        self._lead = lead
        self._renewed_s = time.monotonic()
        self.cells: dict[int, Cell] = {}
        self.owners: Mapping[int, str] = {}
        self.trouble = ""

    async def run(self) -> None:
        """Take turns until cancelled."""
        while True:
            began_s = time.monotonic()
            await self._turn(began_s)
            await asyncio.sleep(max(0.0, began_s + _TURN_S - time.monotonic()))

    async def _turn(self, began_s: float) -> None:
        if began_s - self._renewed_s > self._parts.bus.lease_s - _MARGIN_S:
            # Somebody else may have them by now: what we would write, they write.
            await self._lose(set(self.cells), "the lease could not be renewed in time")
            self._lead(False)
        try:
            turn = await asyncio.to_thread(self._leases.turn, self._places())
        except StoreError as error:
            self._say(str(error))
            return
        self._say("")
        self._renewed_s = began_s
        await self._follow(turn)

    async def _follow(self, turn: Turn) -> None:
        self.owners = turn.owners
        self._lead(turn.courier)
        await self._lose(self.cells.keys() - turn.owned.keys(), "another detector has it")
        for partition in turn.owned.keys() - self.cells.keys():
            await self._begin(partition, turn.owned[partition])
        if turn.surplus:
            places = {number: self.cells[number].place for number in turn.surplus if number in self.cells}
            await self._lose(set(places), "there is another detector now")
            await asyncio.to_thread(self._leases.release, places)

    async def _begin(self, partition: int, after: Place) -> None:
        store = self._parts.store
        since_s = time.time() - _INCIDENTS_BACK_S
        prefix = incident_prefix(partition)
        try:
            incidents = await asyncio.to_thread(_incidents_of, store, prefix, since_s)
            await asyncio.to_thread(self._take_over, incidents)
        except StoreError as error:
            self._say(str(error))
            return
        cell = self.cells[partition] = Cell(partition, self._parts, after, incidents)
        cell.start()
        _LOG.info("partition %d: taken over with %d incidents", partition, len(incidents))

    async def _lose(self, partitions: set[int], why: str) -> None:
        for partition in partitions:
            _LOG.warning("partition %d: let go of: %s", partition, why)
            await self.cells.pop(partition).stop()

    def _places(self) -> dict[int, Place]:
        return {partition: cell.place for partition, cell in self.cells.items()}

    def _say(self, trouble: str) -> None:
        if trouble and not self.trouble:
            _LOG.error("%s", trouble)
        self.trouble = trouble

    async def close(self) -> None:
        """Stop every cell and give the partitions back, so that others have them at once."""
        cells = dict(self.cells)
        await self._lose(set(cells), "the collector is stopping")
        try:
            places = {partition: cell.place for partition, cell in cells.items()}
            await asyncio.to_thread(lambda: self._leases.release(places, leave=True))
        except StoreError as error:
            _LOG.warning("%s", error)


def _incidents_of(store: Store, prefix: str, since_s: float) -> list[Incident]:
    """Return a partition's incidents that are open or lately closed, and the one with the highest number."""
    found = {each.id: each for each in store.incidents(since_s) if each.id.startswith(prefix)}
    ids = [each for each in store.incident_ids() if each.startswith(prefix)]
    newest = max(ids, key=lambda each: int(each.removeprefix(prefix)), default=None)
    if newest is not None and newest not in found:
        incident = store.incident(newest)
        found |= {newest: incident} if incident is not None else {}
    return sorted(found.values(), key=lambda each: each.opened_s)
