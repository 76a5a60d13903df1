"""How a person's client reaches a collector: over TLS or loopback, with a token. It asks nothing.

Consoles and scripts read the same variables: RINGWATCH_TOKEN_FILE or RINGWATCH_TOKEN, and
RINGWATCH_TLS_CA, RINGWATCH_TLS_CERTIFICATE, RINGWATCH_TLS_KEY.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import grpc.aio

from ringwatch_proto.errors import ConfigError

Options = Sequence[tuple[str, int | str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a client shows: a token, a certificate, or nothing. ``ca`` turns TLS on."""

    token: str = field(default="", repr=False)
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = field(default=None, repr=False)


def credentials_from(environment: Mapping[str, str]) -> Credentials:
    """Return what the environment names; raise ConfigError when a file or a part of it is missing."""
    token = environment.get("RINGWATCH_TOKEN", "")
    if file := environment.get("RINGWATCH_TOKEN_FILE", ""):
        token = _read(Path(file)).decode("ascii", "replace")
    ca, certificate, key = (
        Path(found) if (found := environment.get(f"RINGWATCH_TLS_{name}", "")) else None
        for name in ("CA", "CERTIFICATE", "KEY")
    )
    if (certificate is None) != (key is None) or (certificate is not None and ca is None):
        raise ConfigError("RINGWATCH_TLS_CERTIFICATE goes with RINGWATCH_TLS_KEY and RINGWATCH_TLS_CA")
    return Credentials(token=token.strip(), ca=ca, certificate=certificate, key=key)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error


def is_loopback(address: str) -> bool:
    """Return whether ``host:port`` stays on this machine without asking a resolver."""
    host = address.rpartition(":")[0].strip("[]")
    if address.startswith("unix:") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def open_channel(address: str, credentials: Credentials, options: Options = ()) -> grpc.aio.Channel:
    """Return a channel for asyncio; raise ConfigError when it would show the token to the network."""
    tls = _checked(address, credentials)
    interceptors = (
        [_Header(credentials.token), _StreamHeader(credentials.token)] if credentials.token else None
    )
    if tls is None:
        return grpc.aio.insecure_channel(address, options=options, interceptors=interceptors)
    return grpc.aio.secure_channel(address, tls, options=options, interceptors=interceptors)


def open_blocking_channel(address: str, credentials: Credentials) -> grpc.Channel:
    """Return a channel for scripts; raise ConfigError when it would show the token to the network."""
    tls = _checked(address, credentials)
    channel = grpc.insecure_channel(address) if tls is None else grpc.secure_channel(address, tls)
    return (
        grpc.intercept_channel(channel, _BlockingHeader(credentials.token)) if credentials.token else channel
    )


def _checked(address: str, credentials: Credentials) -> grpc.ChannelCredentials | None:
    if credentials.ca is None:
        if credentials.token and not is_loopback(address):
            raise ConfigError(
                f"{address} is off loopback: without RINGWATCH_TLS_CA the token would be readable"
            )
        return None
    pair = (credentials.key, credentials.certificate)
    key, chain = (None if path is None else _read(path) for path in pair)
    return grpc.ssl_channel_credentials(_read(credentials.ca), key, chain)


class _Details(NamedTuple):
    """A call with one header more; see ``grpc.ClientCallDetails``."""

    method: Any
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None


def _with_token(details: Any, token: str) -> _Details:  # noqa: ANN401  (grpc has no types)
    headers = [*(details.metadata or ()), ("authorization", f"Bearer {token}")]
    return _Details(
        details.method,
        details.timeout,
        headers,
        details.credentials,
        getattr(details, "wait_for_ready", None),
    )


class _Header(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    def __init__(self, token: str) -> None:
        self._token = token

    async def intercept_unary_unary(self, go_on: Callable[..., Any], details: Any, request: object) -> Any:  # noqa: ANN401
        return await go_on(_aio(_with_token(details, self._token)), request)


class _StreamHeader(grpc.aio.UnaryStreamClientInterceptor):  # type: ignore[misc]
    def __init__(self, token: str) -> None:
        self._token = token

    async def intercept_unary_stream(self, go_on: Callable[..., Any], details: Any, request: object) -> Any:  # noqa: ANN401
        return await go_on(_aio(_with_token(details, self._token)), request)


def _aio(details: _Details) -> grpc.aio.ClientCallDetails:
    metadata = grpc.aio.Metadata(*details.metadata)
    return grpc.aio.ClientCallDetails(
        details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
    )


class _BlockingHeader(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    def __init__(self, token: str) -> None:
        self._token = token

    def intercept_unary_unary(self, go_on: Callable[..., Any], details: Any, request: object) -> Any:  # noqa: ANN401
        return go_on(_with_token(details, self._token), request)
