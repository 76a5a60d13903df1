"""The book at hand: whose token, whose certificate, and is it still good. Read again every few seconds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import grpc

from ringwatch_collector.access.book import JOIN, AccessBook, Page, Token, digest_of_secret
from ringwatch_collector.access.callers import ROLE_OF, Caller
from ringwatch_collector.access.certificates import node_of
from ringwatch_collector.access.identity import CallRefused
from ringwatch_proto.codec import to_ns
from ringwatch_proto.errors import StoreError

_LOG: Final = logging.getLogger("ringwatch.collector.access")


class Registry:
    """One collector's copy of the book. While the database does not answer, the copy stands."""

    def __init__(self, book: AccessBook, now_s: Callable[[], float]) -> None:
        """Read the book; raise StoreError when that cannot be."""
        self._book = book
        self._now_s = now_s
        self._page: Page = book.page()
        self.trouble = ""

    @property
    def has_people(self) -> bool:
        """Return whether a person was ever given a token; revoking the last one opens nothing again."""
        return self._page.had_people

    async def refresh(self) -> None:
        """Read the book again."""
        try:
            self._page = await asyncio.to_thread(self._book.page)
        except StoreError as error:
            if not self.trouble:
                _LOG.error("%s; what was read last stands", error)
            self.trouble = "access: the database does not answer; a token revoked now may still be taken"
            return
        self.trouble = ""

    def find(self, secret: str) -> Caller | None:
        """Return the person whose token has this secret, None when it is not valid (any more)."""
        token = self._token(secret)
        if token is None or token.role == JOIN:
            return None
        return Caller(name=token.name, role=ROLE_OF[token.role], authenticated=True, credential=token.id)

    def join_token(self, secret: str) -> Token | None:
        """Return the join token that has this secret, None when it is not valid (any more)."""
        token = self._token(secret)
        return token if token is not None and token.role == JOIN else None

    def _token(self, secret: str) -> Token | None:
        token = self._page.tokens.get(digest_of_secret(secret))
        return token if token is not None and token.is_valid(to_ns(self._now_s())) else None

    def certified(self, pem: bytes) -> Caller:
        """Return the node of a certificate that the transport took; raise CallRefused for a revoked one."""
        try:
            caller = node_of(pem)
        except ValueError as error:
            raise CallRefused(grpc.StatusCode.UNAUTHENTICATED, "bad_certificate", str(error)) from error
        if caller.credential in self._page.denied:
            raise CallRefused(
                grpc.StatusCode.UNAUTHENTICATED,
                "revoked_certificate",
                f"the certificate of {caller.name!r} is revoked: the node has to join again",
            )
        return caller

    def is_good(self, caller: Caller) -> bool:
        """Return whether a caller that was let in would be let in again.

        A node's stream outlives its certificate if the node has a newer one: the old one proved its name.
        """
        if not caller.authenticated:
            return True
        if caller.credential in self._page.denied:
            return False
        now_ns = to_ns(self._now_s())
        if caller.node is not None:
            return now_ns < max(caller.expires_ns, self._page.good_until_ns.get(caller.node, 0))
        return any(
            each.id == caller.credential and each.is_valid(now_ns) for each in self._page.tokens.values()
        )

    def good_until_s(self, node: str) -> float:
        """Return until when a certificate of the node is valid that is not revoked; 0 for none."""
        return self._page.good_until_ns.get(node, 0) / 1e9
