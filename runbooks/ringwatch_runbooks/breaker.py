"""Keeps the circuit breaker: opens it on what went wrong, closes it only for a person. Runs no step."""

from __future__ import annotations

from collections.abc import Iterable

from ringwatch_proto.errors import RunbookError
from ringwatch_runbooks.base import Person
from ringwatch_runbooks.record import RunRecord
from ringwatch_runbooks.safety import BREAKER_KEY, Breaker, breaker_of, to_document, trip_reason
from ringwatch_runbooks.world import World


class BreakerKeeper:
    """The breaker of one engine; each change is journalled, then written into the audit log."""

    def __init__(self, world: World) -> None:
        self._world = world

    def restore(self, document: str) -> None:
        """Take the breaker as it was left; one that cannot be read is open, and RunbookError is raised."""
        try:
            self._world.breaker = breaker_of(document)
        except RunbookError as error:
            self._world.breaker = Breaker(open=True, why=str(error), by="ringwatch")
            raise

    async def set(self, *, open: bool, why: str, person: Person) -> Breaker:
        """Open the breaker, or close it, which takes an admin where names are proven.

        Raises ValueError with a sentence when the person may not, or does not say why.
        """
        if not person.name.strip() or not why.strip():
            raise ValueError("who, and why? The circuit breaker needs both")
        if not open and person.proven and not person.rules:
            raise ValueError(f"{person.name} may not close the circuit breaker: that takes the role admin")
        now_s, breaker = self._world.clock.now_s(), self._world.breaker
        if not open and not breaker.open:
            raise ValueError("the circuit breaker is closed")
        change = breaker.tripped if open else breaker.closed
        return await self._keep(change(why, person.name, now_s), person.name)

    async def refresh(self) -> None:
        """Write the breaker again, so that among many newer runs it is still found after a restart."""
        breaker = self._world.breaker
        if breaker.since_s:
            await self._world.journal.save(BREAKER_KEY, "", "breaker", to_document(breaker))

    async def watch(self, runs: Iterable[RunRecord]) -> None:
        """Open the breaker when automatic actions went wrong."""
        world, now_s = self._world, self._world.clock.now_s()
        if world.breaker.open:
            return
        why = trip_reason(runs, world.policy, world.breaker, now_s)
        if why:
            await self._keep(world.breaker.tripped(why, "ringwatch", now_s), "ringwatch")

    async def _keep(self, breaker: Breaker, by: str) -> Breaker:
        await self._world.journal.save(BREAKER_KEY, "", "breaker", to_document(breaker))
        self._world.breaker = breaker
        await self._world.audit.record(
            actor=by,
            action="breaker.open" if breaker.open else "breaker.close",
            target="runbooks",
            incident="",
            reason=breaker.why,
            result="done",
        )
        return breaker
