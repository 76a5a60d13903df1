"""A real NATS with JetStream and a real PostgreSQL for the tests of the bus."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.collector.servers import free_port, http_server, new_database, postgres, program


@contextmanager
def nats_server(folder: Path, port: int = 0) -> Iterator[str]:
    """Run NATS with its streams in a folder and yield its address; run again, it has what it had."""
    folder.mkdir(exist_ok=True)
    port, monitoring = port or free_port(), free_port()
    command = [
        program("nats-server", "/usr/sbin"),
        *("--addr", "127.0.0.1", "--port", str(port), "--http_port", str(monitoring)),
        *("--jetstream", "--store_dir", str(folder / "streams")),
    ]
    with http_server(command, folder, f"http://127.0.0.1:{monitoring}", "/healthz"):
        yield f"nats://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Run one PostgreSQL for all tests."""
    with postgres() as url:
        yield url


@pytest.fixture
def database(postgres_server: str) -> str:
    """Return the URL of an empty database."""
    return new_database(postgres_server)


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[str]:
    """Run a NATS of its own."""
    with nats_server(tmp_path / "nats") as url:
        yield url


@pytest.fixture(autouse=True)
def _lost_connections() -> Iterator[None]:
    """Let go of transports that nats-py leaves to the garbage collector when a connection was lost."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
