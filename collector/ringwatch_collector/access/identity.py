"""Proves who a call comes from: by its certificate, by its token, or not at all where trust is open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

import grpc

from ringwatch_collector.access.callers import ROLE_OF, Caller, Role
from ringwatch_proto.errors import RingwatchError

_BEARER: Final = "Bearer "
# A secret is 52 characters; more is not looked at.
_MOST_SECRET: Final = 256


class CallRefused(RingwatchError):
    """A call that is not served; ``reason`` is the word that it is counted under."""

    def __init__(self, code: grpc.StatusCode, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.reason = reason


class CallContext(Protocol):
    """What a call says about where it comes from; see ``grpc.aio.ServicerContext``."""

    def invocation_metadata(self) -> Iterable[tuple[str, str | bytes]] | None:
        """Return the headers of the call."""
        ...

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Return what the transport knows of the other end."""
        ...

    def peer(self) -> str:
        """Return the other end's address, as gRPC writes it."""
        ...


class Tokens(Protocol):
    """The tokens of people."""

    def find(self, secret: str) -> Caller | None:
        """Return whose secret it is, None when it is nobody's or not valid any more."""
        ...


class Identity:
    """Says who calls.

    ``open_to`` are the roles that are trusted without proof. ``certified`` reads the certificate of a
    node and raises CallRefused for one that is not valid any more.
    """

    def __init__(
        self,
        *,
        tokens: Tokens,
        certified: Callable[[bytes], Caller],
        open_to: Callable[[], Sequence[Role]],
    ) -> None:
        self._tokens = tokens
        self._certified = certified
        self._open_to = open_to

    def caller(self, context: CallContext, least: Role) -> Caller:
        """Return who calls a method that asks for ``least``; raise CallRefused when it is not proven."""
        headers = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        secret = headers.get("authorization")
        pem = next(iter(context.auth_context().get("x509_pem_cert", ())), None)
        if secret is not None and least is not Role.AGENT:
            return self._of_token(secret)
        if pem is not None:
            return self._certified(pem)
        if least in self._open_to():
            return _claimed(headers, least)
        raise CallRefused(grpc.StatusCode.UNAUTHENTICATED, "no_credential", _WANTED[least is Role.AGENT])

    def _of_token(self, header: str) -> Caller:
        secret = header.removeprefix(_BEARER)
        caller = self._tokens.find(secret) if len(secret) <= _MOST_SECRET else None
        if caller is None:
            raise CallRefused(
                grpc.StatusCode.UNAUTHENTICATED,
                "bad_token",
                "the token is unknown, expired or revoked: `ringwatch collector token add` makes one",
            )
        return caller


_WANTED: Final = (
    "this collector wants to know who asks: give a token (RINGWATCH_TOKEN_FILE) or a certificate",
    "a node proves its name by its certificate: see `ringwatch agent enroll`",
)


def _claimed(headers: Mapping[str, str], least: Role) -> Caller:
    """Return the caller as it describes itself; one that says nothing may do what the method asks for."""
    word = headers.get("ringwatch-role", "")
    if word and word not in ROLE_OF:
        raise CallRefused(grpc.StatusCode.INVALID_ARGUMENT, "bad_role", f"there is no role {word[:20]!r}")
    unsaid = Role.AGENT if least is Role.AGENT else Role.ADMIN
    return Caller(name="", role=ROLE_OF[word] if word else unsaid)
