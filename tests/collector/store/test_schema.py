"""The schema moves forward by scripts, once, whoever starts first; what it does not know it leaves alone."""

from __future__ import annotations

import logging
import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from ringwatch_collector.counters import Counters
from ringwatch_collector.store import salvage
from ringwatch_collector.store.engine import open_engine, writing
from ringwatch_collector.store.store import Store
from ringwatch_collector.store.tables import (
    AUDIT,
    EVENTS,
    INCIDENTS,
    METADATA,
    PROGRESS,
    RUNS,
    SCHEMA,
    SCHEMA_REVISION,
)
from ringwatch_proto.errors import StoreError


def _run(url: str, *commands: str) -> None:
    engine = open_engine(url)
    with writing(engine) as connection:
        for command in commands:
            connection.execute(text(command))
    engine.dispose()


def test_the_scripts_make_the_schema_that_the_code_uses(url: str) -> None:
    """A column that is added in one place only is found here."""
    Store(url, Counters()).close()
    engine = open_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        assert context.get_current_revision() == SCHEMA_REVISION
    engine.dispose()


def test_a_database_from_before_migrations_is_adopted_with_its_rows(url: str) -> None:
    """What create_all made is the first revision."""
    engine = open_engine(url)
    with writing(engine) as connection:
        METADATA.create_all(connection, tables=[SCHEMA, EVENTS, PROGRESS, INCIDENTS, RUNS, AUDIT])
        connection.execute(SCHEMA.insert().values(version=1))
        connection.execute(
            PROGRESS.insert().values(node="n1", spool="s", sequence=7, updated_ns=1_700_000_000_000_000_000)
        )
    engine.dispose()
    store = Store(url, Counters())
    assert [row.sequence for row in store.progress(0.0)] == [7]
    assert store.silences(0.0) == []
    store.close()


def test_an_older_schema_is_brought_up_and_the_log_says_so(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody has to run a command."""
    with caplog.at_level(logging.INFO, "ringwatch.collector.store"):
        Store(url, Counters()).close()
    assert f"from schema nothing to {SCHEMA_REVISION}" in caplog.text


def test_a_database_of_a_newer_ringwatch_is_refused(url: str) -> None:
    """It may hold what this one would destroy."""
    Store(url, Counters()).close()
    _run(url, "update alembic_version set version_num = '0099'")
    with pytest.raises(StoreError, match="schema 0099 of a newer Ringwatch"):
        Store(url, Counters())


def test_a_database_from_before_migrations_with_another_number_is_refused(url: str) -> None:
    """Only 1 was ever given."""
    _run(url, "create table schema_version (version integer)", "insert into schema_version values (99)")
    with pytest.raises(StoreError, match="schema 99"):
        Store(url, Counters())


def test_a_database_of_another_program_is_refused(url: str) -> None:
    """A wrong URL must not fill someone's tables."""
    _run(url, "create table customers (id integer)")
    with pytest.raises(StoreError, match="not Ringwatch's: customers"):
        Store(url, Counters())


def test_collectors_that_start_at_once_bring_the_schema_up_once(url: str) -> None:
    """The others wait for the first and find it done."""
    failures: list[BaseException] = []

    def start() -> None:
        try:
            Store(url, Counters()).close()
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_every_table_is_salvaged_from_a_corrupt_file() -> None:
    """A new table must not be forgotten there; those of a bus live on PostgreSQL only."""
    here = {name for name in METADATA.tables if not name.startswith("bus_")} - {SCHEMA.name}
    assert {table.name for table in salvage.ORDER} - {"bus_leases", "bus_workers"} == here
