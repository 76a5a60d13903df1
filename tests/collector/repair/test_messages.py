"""Tests of tickets and chat over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ringwatch_collector.repair.messages import SIGNATURE_HEADER, TIME_HEADER, Chat, Tickets, signature
from ringwatch_runbooks.base import RepairCall

SECRET = b"a secret of some length"
CALL = RepairCall(
    name="ticket.open",
    arguments={},
    timeout_s=10.0,
    requested_by="ana",
    approved_by="policy",
    incident="I-1",
    run="R-1",
    text="I-1: n011 lost a GPU\nEvidence:\n  Xid 79",
)


@dataclass
class Tracker:
    """What was posted, and what is answered."""

    url: str = ""
    status: int = 201
    answer: str = '{"key": "OPS-7"}'
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def running_tracker() -> Iterator[Tracker]:
    """Serve a tracker until the block ends."""
    tracker = Tracker()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            tracker.posts.append((dict(self.headers), body))
            self.send_response(tracker.status)
            self.end_headers()
            self.wfile.write(tracker.answer.encode())

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        tracker.url = f"http://127.0.0.1:{server.server_address[1]}/hook?token=hidden"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield tracker
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def tracker() -> Iterator[Tracker]:
    """Serve a tracker."""
    with running_tracker() as made:
        yield made


async def test_a_ticket_holds_the_hand_over_text_and_is_signed(tracker: Tracker) -> None:
    """The receiver can tell that it is ours, and when it was sent."""
    outcome = await Tickets(tracker.url, SECRET).do(CALL)

    assert (outcome.status, outcome.text) == ("done", "ticket OPS-7")
    headers, body = tracker.posts[0]
    assert headers[SIGNATURE_HEADER] == signature(SECRET, headers[TIME_HEADER], body)
    sent = json.loads(body)
    assert sent["title"] == "I-1: n011 lost a GPU"
    assert sent["text"] == CALL.text
    assert (sent["incident"], sent["run"], sent["requested_by"]) == ("I-1", "R-1", "ana")


async def test_a_dry_run_posts_nothing(tracker: Tracker) -> None:
    """It names the host and not the rest of the address, which may hold a secret."""
    outcome = await Tickets(tracker.url, SECRET).plan(replace(CALL, dry_run=True))

    assert tracker.posts == []
    assert "127.0.0.1" in outcome.text
    assert "hidden" not in outcome.text


@pytest.mark.parametrize(
    ("status", "answer", "want", "words"),
    [
        (200, "ok", "done", "the ticket was taken"),
        (200, '["x"]', "done", "the ticket was taken"),
        (200, '{"number": 12}', "done", "ticket 12"),
        (403, "no", "failed", "answered 403: no"),
        (500, "", "failed", "answered 500"),
    ],
)
async def test_what_the_tracker_says_is_the_outcome(
    tracker: Tracker, status: int, answer: str, want: str, words: str
) -> None:
    """It is posted once: a ticket that may exist is not opened again."""
    tracker.status, tracker.answer = status, answer

    outcome = await Tickets(tracker.url, SECRET).do(CALL)

    assert outcome.status == want
    assert words in outcome.text
    assert len(tracker.posts) == 1


async def test_a_tracker_that_is_not_there_is_a_failure() -> None:
    """And tells no secret."""
    outcome = await Tickets("http://127.0.0.1:9/hook?token=hidden", SECRET).do(CALL)

    assert outcome.status == "failed"
    assert "hidden" not in outcome.text


# Apprise loads all of its senders, and one of them asks for a module that Python will drop.
OLD_MODULE = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@OLD_MODULE
async def test_a_message_reaches_an_address_of_apprise(tracker: Tracker) -> None:
    """Apprise's own JSON sender stands for the hundred others."""
    address = tracker.url.replace("http://", "json://").partition("?")[0]

    outcome = await Chat([address]).do(CALL)

    assert outcome.status == "done", outcome.text
    sent = json.loads(tracker.posts[0][1])
    assert sent["title"] == "I-1: n011 lost a GPU"
    assert "Xid 79" in sent["message"]


@OLD_MODULE
@pytest.mark.parametrize("address", ["nonsense://x", "json://127.0.0.1:9/hook"])
async def test_an_address_that_cannot_be_reached_is_a_failure(address: str) -> None:
    """Nobody is told that somebody was told."""
    assert (await Chat([address]).do(CALL)).status == "failed"
