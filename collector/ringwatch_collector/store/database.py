"""The database in use: opened, brought to the schema, replaced when its file is corrupt. Holds no rows."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from ringwatch_collector.store import salvage
from ringwatch_collector.store.engine import (
    check_file,
    copy_to,
    is_corrupt,
    open_engine,
    sqlite_file,
    writing,
)
from ringwatch_collector.store.schema import upgrade
from ringwatch_proto.errors import StoreError

_LOG: Final = logging.getLogger("ringwatch.collector.store")
# A larger file is not read through at the start; what is wrong in it shows when it is met.
_CHECKED_BYTES: Final = 64 << 20
# How long a start waits for another collector that brings the schema up.
_TURN_S: Final = 30.0


class Database:
    """One database. Used by any thread; ``heal`` replaces the engine under all of them."""

    def __init__(self, url: str) -> None:
        """Open; raise StoreError when it cannot be had or is of another Ringwatch."""
        self._url = url
        self._healing = threading.Lock()
        self.healed = 0
        self._complete = False
        self._inode = 0
        # Called on the thread that found the damage, once a fresh file stands in.
        self.on_healed: Callable[[], None] = lambda: None
        try:
            self.engine = open_engine(url)
            self._open()
        except (SQLAlchemyError, ImportError, OSError) as error:
            raise StoreError(f"cannot open the database: {_reason(error)}") from error

    def _open(self) -> None:
        try:
            fault = check_file(self.engine, _CHECKED_BYTES)
            if not fault:
                self._upgrade()
        except SQLAlchemyError as error:
            if not is_corrupt(error):
                self.engine.dispose()
                raise
            fault = _reason(error)
        except StoreError:
            self.engine.dispose()
            raise
        if fault:
            self._replace(fault)

    def _upgrade(self) -> None:
        """Bring the schema up, after whoever else is at it."""
        until_s = time.monotonic() + _TURN_S
        while True:
            try:
                with writing(self.engine) as connection:
                    upgrade(connection)
                break
            except OperationalError as error:
                if "locked" not in _reason(error) or time.monotonic() > until_s:
                    raise
        self._complete = True
        file = sqlite_file(self.engine)
        self._inode = _inode(file) if file is not None else 0

    @property
    def is_lost(self) -> bool:
        """Return whether the file was removed or replaced under us: SQLite would write on into nowhere."""
        file = sqlite_file(self.engine)
        return file is not None and _inode(file) != self._inode

    def refound(self) -> None:
        """Write what the removed file held to where it lay, from the connections that still hold it open."""
        with self._healing:
            file = sqlite_file(self.engine)
            if file is None or not self.is_lost:
                return
            _LOG.error("%s was removed or replaced while in use: writing it anew", file)
            try:
                if file.exists():
                    salvage.move_aside(file)
                copy_to(self.engine, file)
            except (sqlite3.Error, SQLAlchemyError, OSError) as error:
                _LOG.error("what %s held could not be written anew: %s", file, _reason(error))
            self.engine.dispose()
            self._complete = False
            self.engine = open_engine(self._url)
            self._upgrade()
            self.healed += 1
        self.on_healed()

    def ensure(self) -> None:
        """See to it that what is written next stays: called by the writer before each commit."""
        if self.is_lost:
            self.refound()
        if not self._complete:
            # A full disk kept a fresh file from being finished.
            with self._healing:
                self._upgrade()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection; damage that is met is healed before the error goes on."""
        engine = self.engine
        try:
            with engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            if is_corrupt(error):
                self.heal(engine, error)
            raise

    def heal(self, engine: Engine, error: Exception) -> None:
        """Put a fresh file in the place of a corrupt one, unless another thread just did."""
        with self._healing:
            if engine is not self.engine:
                return
            self._replace(_reason(error))
        self.on_healed()

    def _replace(self, fault: str) -> None:
        file = sqlite_file(self.engine)
        if file is None:
            raise StoreError(f"the database is corrupt: {fault}")
        self.engine.dispose()
        try:
            aside = salvage.move_aside(file)
        except OSError as error:
            raise StoreError(
                f"the database is corrupt and cannot be moved aside: {error.strerror}"
            ) from error
        _LOG.error("the database is corrupt (%s): moved aside to %s", fault, aside)
        self._complete = False
        self.engine = open_engine(self._url)
        self._upgrade()
        try:
            saved = salvage.salvage(aside, self.engine)
        except (sqlite3.Error, SQLAlchemyError) as error:
            _LOG.error("nothing could be read from %s: %s", aside, _reason(error))
        else:
            _LOG.warning("%d rows of %s were saved, all tables read: %s", saved.rows, aside, saved.complete)
        self.healed += 1

    @property
    def troubles(self) -> list[str]:
        """Return what a person has to look at: corrupt files that still lie there."""
        file = sqlite_file(self.engine)
        if file is None:
            return []
        return [
            f"the database was corrupt and was moved aside to {each.name}; what could be read was kept: "
            "restore or delete that file"
            for each in salvage.moved_aside(file)
        ]

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _inode(file: Path) -> int:
    try:
        return file.stat().st_ino
    except OSError:
        return 0


def _reason(error: BaseException) -> str:
    return str(getattr(error, "orig", None) or error).partition("\n")[0][:200]
