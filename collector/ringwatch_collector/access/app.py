"""Builds what guards the collector's port from its settings. Decides nothing."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from ringwatch_collector.access.callers import Caller, Role
from ringwatch_collector.access.certificates import node_of
from ringwatch_collector.access.guard import Guard
from ringwatch_collector.access.identity import CallRefused, Identity
from ringwatch_collector.config import CollectorConfig
from ringwatch_collector.counters import Counters


class NoTokens:
    """The book of a collector that was given no tokens."""

    def __len__(self) -> int:
        return 0

    def find(self, _secret: str) -> Caller | None:
        """Return None: nothing is known."""
        return None


class Access:
    """The guard of one collector and what it looks things up in."""

    def __init__(self, config: CollectorConfig, counters: Counters) -> None:
        self._config = config
        self._tokens = NoTokens()
        identity = Identity(tokens=self._tokens, certified=self._certified, open_to=self.open_to)
        self.guard = Guard(identity, counters)

    def open_to(self) -> Sequence[Role]:
        """Return the roles that are trusted without proof: all of them on plaintext without tokens."""
        if self._config.tls_certificate:
            return ()
        return (Role.AGENT,) if len(self._tokens) else tuple(Role)

    def _certified(self, pem: bytes) -> Caller:
        try:
            return node_of(pem)
        except ValueError as error:
            raise CallRefused(grpc.StatusCode.UNAUTHENTICATED, "bad_certificate", str(error)) from error
