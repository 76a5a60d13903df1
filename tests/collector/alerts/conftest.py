"""A store, and receivers that are real servers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.collector.servers import alertmanager

from ringwatch_collector.counters import Counters
from ringwatch_collector.store.engine import sqlite_url
from ringwatch_collector.store.store import Store

# Everything goes on to a webhook, so that a test sees what a person would be told.
ROUTES = """
route:
  receiver: people
  group_by: [alertname, incident]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: people
    webhook_configs:
      - url: {url}
        send_resolved: true
"""


class Receiver:
    """An HTTP server that keeps what it is sent and answers with what a test sets."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        # Answers to give first, in order: (status, headers); then 200.
        self.answers: list[tuple[int, dict[str, str]]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver.requests.append((self.path, dict(self.headers), body))
                status, headers = receiver.answers.pop(0) if receiver.answers else (200, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def bodies(self) -> list[Any]:
        """Return every body as JSON."""
        return [json.loads(body) for _, _, body in self.requests]

    @property
    def told(self) -> list[str]:
        """Return what Alertmanager said of incidents: firing, resolved."""
        return [
            body["status"] for body in self.bodies if body["groupLabels"]["alertname"] == "RingwatchIncident"
        ]

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Run a receiver."""
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def counters() -> Counters:
    """Return fresh counts."""
    return Counters()


@pytest.fixture
def store(tmp_path: Path, counters: Counters) -> Iterator[Store]:
    """Open a store."""
    made = Store(sqlite_url(tmp_path), counters)
    yield made
    made.close()


@pytest.fixture
def people(receiver: Receiver, tmp_path: Path) -> Iterator[str]:
    """Run a real Alertmanager that tells the receiver, and return its address."""
    folder = tmp_path / "alertmanager"
    folder.mkdir()
    with alertmanager(folder, ROUTES.format(url=receiver.url)) as url:
        yield url
