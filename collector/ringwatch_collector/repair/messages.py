"""Tickets by a signed webhook, and chat through Apprise. Writes no text of its own but the head."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from typing import Final

import httpx

from ringwatch_collector.repair.base import done, failed
from ringwatch_runbooks.base import RepairCall, VerbOutcome

SIGNATURE_HEADER: Final = "X-Ringwatch-Signature"
TIME_HEADER: Final = "X-Ringwatch-Time"
# Where trackers put the name of what they made, in the order in which it is looked for.
_NAMES: Final = ("key", "number", "id", "url", "html_url")
_MOST_TEXT: Final = 20_000


def signature(secret: bytes, sent_s: str, body: bytes) -> str:
    """Return ``sha256=...`` over time and body, so that an old message cannot be sent again."""
    return "sha256=" + hmac.new(secret, sent_s.encode() + b"." + body, hashlib.sha256).hexdigest()


class Tickets:
    """Opens a ticket by posting JSON; the receiver checks the signature."""

    def __init__(self, url: str, secret: bytes) -> None:
        self._url = url
        self._secret = secret

    @property
    def calls(self) -> tuple[str, ...]:
        """Name of what it can do."""
        return ("ticket.open",)

    async def plan(self, call: RepairCall) -> VerbOutcome:
        """Say what would be posted, without its text; nothing is sent."""
        return done(f"would post {_title(call)!r} with {len(call.text)} characters to {_host(self._url)}")

    async def do(self, call: RepairCall) -> VerbOutcome:
        """Post it once: a ticket that may exist is not opened again by a retry."""
        body = json.dumps(
            {
                "title": _title(call),
                "text": call.text[:_MOST_TEXT],
                "incident": call.incident,
                "run": call.run,
                "requested_by": call.requested_by,
            },
            ensure_ascii=False,
        ).encode()
        sent_s = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            TIME_HEADER: sent_s,
            SIGNATURE_HEADER: signature(self._secret, sent_s, body),
        }
        try:
            async with httpx.AsyncClient(timeout=max(1.0, call.timeout_s - 2.0)) as client:
                answer = await client.post(self._url, content=body, headers=headers)
        except httpx.HTTPError as error:
            return failed(f"{_host(self._url)}: {type(error).__name__}: {error}")
        if not answer.is_success:
            return failed(f"{_host(self._url)} answered {answer.status_code}: {answer.text[:200]}")
        name = _name_of(answer)
        return done(f"ticket {name}" if name else "the ticket was taken", ticket=name)


def _title(call: RepairCall) -> str:
    summary = next((line for line in call.text.splitlines() if line.startswith(call.incident)), call.incident)
    return summary[:200]


def _host(url: str) -> str:
    """Return the host alone: the rest of the address may hold a secret."""
    return httpx.URL(url).host


def _name_of(answer: httpx.Response) -> str:
    try:
        said = answer.json()
    except ValueError:
        return ""
    if not isinstance(said, dict):
        return ""
    found = (str(said[name]) for name in _NAMES if isinstance(said.get(name), str | int))
    return next(found, "")[:200]


class Chat:
    """Sends a message to every address that Apprise knows how to reach."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = tuple(urls)

    @property
    def calls(self) -> tuple[str, ...]:
        """Name of what it can do."""
        return ("chat.send",)

    async def plan(self, call: RepairCall) -> VerbOutcome:
        """Say what would be sent, and change nothing."""
        return done(f"would send {_title(call)!r} to {len(self._urls)} addresses")

    async def do(self, call: RepairCall) -> VerbOutcome:
        """Send it; that one address failed is a failure."""
        return await asyncio.to_thread(self._sent, call)

    def _sent(self, call: RepairCall) -> VerbOutcome:
        import apprise

        speaker = apprise.Apprise()
        if not all(speaker.add(url) for url in self._urls):
            return failed("an address of repair.chat_urls_file is none that Apprise knows")
        sent = speaker.notify(title=_title(call), body=call.text[:_MOST_TEXT] or _title(call))
        return done(f"sent to {len(self._urls)} addresses") if sent else failed("not every address took it")
