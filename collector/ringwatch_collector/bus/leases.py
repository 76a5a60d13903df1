"""Who owns which partition, for how long: rows in the database that all collectors share."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, delete, func, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from ringwatch_collector.bus.link import Place
from ringwatch_collector.store.database import Database
from ringwatch_collector.store.engine import insert_new, insert_or_replace, writing
from ringwatch_collector.store.tables import LEASES, WORKERS
from ringwatch_proto.errors import StoreError

# Whoever holds it sends the alerts of all partitions.
COURIER: Final = -1
_NS: Final = 1_000_000_000
_FREE: Final = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What came of one turn: the partitions that are ours, how far they were taken, and which to give up."""

    owned: Mapping[int, Place] = field(default_factory=dict)
    surplus: tuple[int, ...] = ()
    courier: bool = False
    owners: Mapping[int, str] = field(default_factory=dict)


class Leases:
    """The leases as one worker sees them. Each call is one transaction; the database's clock decides."""

    def __init__(self, database: Database, owner: str, *, partitions: int, lease_s: float) -> None:
        self._database = database
        self._owner = owner
        self._partitions = partitions
        self._lease_ns = int(lease_s * _NS)

    def turn(self, places: Mapping[int, Place]) -> Turn:
        """Renew what is ours, note how far it was taken, and take what is free up to our share.

        Raises StoreError; then nothing was renewed.
        """
        try:
            with writing(self._database.engine) as connection:
                return self._turn(connection, places)
        except SQLAlchemyError as error:
            raise StoreError(f"cannot renew the leases: {error}") from error

    def _turn(self, connection: Connection, places: Mapping[int, Place]) -> Turn:
        engine = self._database.engine
        names = [
            {"partition": number, "owner": _FREE, **_NOWHERE}
            for number in (COURIER, *range(self._partitions))
        ]
        if connection.execute(select(func.count()).select_from(LEASES)).scalar_one() < len(names):
            connection.execute(insert_new(engine, LEASES), names)
        # The lock first: turns of several workers come one after the other.
        rows = connection.execute(select(LEASES).with_for_update()).mappings().all()
        now_ns = _now_ns(connection)
        expires_ns = now_ns + self._lease_ns
        connection.execute(
            insert_or_replace(engine, WORKERS, ("name",)), [{"name": self._owner, "expires_ns": expires_ns}]
        )
        connection.execute(delete(WORKERS).where(WORKERS.c.expires_ns < now_ns))
        workers = connection.execute(select(func.count()).select_from(WORKERS)).scalar_one()
        share = math.ceil(self._partitions / workers)

        mine = {row["partition"] for row in rows if row["owner"] == self._owner}
        free = [row["partition"] for row in rows if row["owner"] == _FREE or row["expires_ns"] < now_ns]
        room = share - len(mine - {COURIER})
        taken = [number for number in free if number not in mine and number != COURIER][: max(0, room)]
        if COURIER in free and COURIER not in mine:
            taken.append(COURIER)
        for number in sorted(mine | set(taken)):
            values: dict[str, object] = {"owner": self._owner, "expires_ns": expires_ns}
            if number in mine and number in places:
                values |= {"sequence": places[number].sequence, "at_ns": places[number].at_ns}
            connection.execute(update(LEASES).where(LEASES.c.partition == number).values(values))
        owned = sorted((mine | set(taken)) - {COURIER})
        found = {row["partition"]: Place(sequence=row["sequence"], at_ns=row["at_ns"]) for row in rows}
        return Turn(
            owned={number: places.get(number, found[number]) for number in owned},
            surplus=tuple(owned[share:]),
            courier=COURIER in mine | set(taken),
            owners={
                row["partition"]: row["owner"] for row in rows if row["owner"] and row["expires_ns"] >= now_ns
            }
            | dict.fromkeys(owned, self._owner),
        )

    def release(self, places: Mapping[int, Place], *, leave: bool = False) -> None:
        """Give partitions back, once nothing works on them; with ``leave`` the worker goes too."""
        try:
            with writing(self._database.engine) as connection:
                for number, place in places.items():
                    connection.execute(
                        update(LEASES)
                        .where(LEASES.c.partition == number, LEASES.c.owner == self._owner)
                        .values(owner=_FREE, expires_ns=0, sequence=place.sequence, at_ns=place.at_ns)
                    )
                if leave:
                    connection.execute(
                        update(LEASES)
                        .where(LEASES.c.partition == COURIER, LEASES.c.owner == self._owner)
                        .values(owner=_FREE, expires_ns=0)
                    )
                    connection.execute(delete(WORKERS).where(WORKERS.c.name == self._owner))
        except SQLAlchemyError as error:
            raise StoreError(f"cannot give the leases back: {error}") from error


_NOWHERE: Final = {"expires_ns": 0, "sequence": 0, "at_ns": 0}


def _now_ns(connection: Connection) -> int:
    """Return the database's time: the clocks of workers differ."""
    if connection.dialect.name == "postgresql":
        query = text("select (extract(epoch from clock_timestamp()) * 1000000000)::bigint")
        return int(connection.execute(query).scalar_one())
    return time.time_ns()
