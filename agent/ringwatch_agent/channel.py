"""Opens gRPC channels to the collector: mutual TLS, or plaintext where that is allowed."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# gRPC's newer poller wakes four threads dozens of times for each message: at one message a second, 2.4 ms
# of CPU a second against 1.2 (docs/benchmarks.md). Read once, when gRPC starts; whoever set it knows better.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client")

import grpc
import grpc.aio

from ringwatch_proto.dialling import is_loopback
from ringwatch_proto.errors import ConfigError

_OPTIONS: Final = (
    # Probes the bandwidth with a ping for each answer; a stream of kilobytes needs none.
    ("grpc.http2.bdp_probe", 0),
    # Books about each connection for a debugging service that is not served.
    ("grpc.enable_channelz", 0),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # Our own back-off decides when to dial; the channel's must not sit on top of it.
    ("grpc.min_reconnect_backoff_ms", 250),
    ("grpc.initial_reconnect_backoff_ms", 250),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Files of a mutual TLS set-up: the collector's CA, and this node's certificate and key."""

    ca: Path
    certificate: Path
    key: Path
    # Whether the node may have no certificate yet: it joins while it runs.
    joins: bool = False


def open_channel(address: str, *, tls: Tls | None = None, allow_plaintext: bool = False) -> grpc.aio.Channel:
    """Return a channel to ``address``.

    Raises:
        ConfigError: off loopback without TLS, unless ``allow_plaintext``; or a TLS file is missing.
    """
    if tls is not None:
        return grpc.aio.secure_channel(address, _credentials(tls), options=_OPTIONS)
    if not is_loopback(address) and not allow_plaintext:
        raise ConfigError(
            f"{address} is off loopback and no TLS files are given: give them, or allow plaintext"
        )
    return grpc.aio.insecure_channel(address, options=_OPTIONS)


def open_unproven_channel(address: str, ca: Path) -> grpc.aio.Channel:
    """Return a channel that knows who answers and does not say who asks; raise ConfigError without the CA."""
    try:
        root = ca.read_bytes()
    except OSError as error:
        raise ConfigError(f"TLS file {error.filename}: {error.strerror}") from error
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(root), options=_OPTIONS)


class Line:
    """The channel to a collector; a new one once the node has another certificate.

    A stream that is up goes on over the channel that it began on. Of several addresses, with commas
    between, each dial takes the next one; nodes begin at different ones.
    """

    def __init__(self, address: str, *, tls: Tls | None, allow_plaintext: bool) -> None:
        """Raise ConfigError when ``address`` may not be dialled this way."""
        self._addresses = [each.strip() for each in address.split(",")]
        random.shuffle(self._addresses)
        self._tls, self._allow_plaintext = tls, allow_plaintext
        self._version = (0, 0)
        self._open: grpc.aio.Channel | None = None
        if tls is None or not tls.joins:
            self._open = self._opened()

    def _opened(self) -> grpc.aio.Channel:
        self._version = self._newest()
        address = self._addresses[0]
        self._addresses = [*self._addresses[1:], address]
        return open_channel(address, tls=self._tls, allow_plaintext=self._allow_plaintext)

    def _newest(self) -> tuple[int, int]:
        if self._tls is None:
            return (0, 0)
        try:
            found = self._tls.certificate.stat()
        except OSError:
            return (0, 0)  # opening it says what is wrong
        return (found.st_ino, found.st_mtime_ns)

    async def channel(self) -> grpc.aio.Channel:
        """Return the channel to dial with; raise ConfigError while there is no certificate."""
        if self._open is None or len(self._addresses) > 1 or self._version != self._newest():
            await self.close()
            self._open = self._opened()
        return self._open

    async def close(self) -> None:
        """Let go of the channel. Safe to call twice."""
        channel, self._open = self._open, None
        if channel is not None:
            await channel.close(grace=None)


def _credentials(tls: Tls) -> grpc.ChannelCredentials:
    try:
        ca, key, certificate = (path.read_bytes() for path in (tls.ca, tls.key, tls.certificate))
    except OSError as error:
        raise ConfigError(f"TLS file {error.filename}: {error.strerror}") from error
    return grpc.ssl_channel_credentials(ca, key, certificate)
