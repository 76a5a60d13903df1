"""Every test of the store runs twice: on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.collector.servers import new_database, postgres

from ringwatch_collector.counters import Counters
from ringwatch_collector.store.engine import sqlite_url
from ringwatch_collector.store.store import Store


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Run one PostgreSQL for all tests."""
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    return new_database(request.getfixturevalue("postgres_server"))


@pytest.fixture
def counters() -> Counters:
    """Return fresh counts."""
    return Counters()


@pytest.fixture
def store(url: str, counters: Counters) -> Iterator[Store]:
    """Open a store on an empty database."""
    made = Store(url, counters)
    yield made
    made.close()
