"""The Enrollment service: a join token buys a node its first certificate, a certificate the next one."""

# ruff: noqa: N802  (gRPC names its methods)

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Final, TypeVar

import grpc
from cryptography import x509

from ringwatch_collector.access.authority import Authority, certificate_pem
from ringwatch_collector.access.book import AccessBook, Issued, Token
from ringwatch_collector.access.callers import caller_of
from ringwatch_collector.access.certificates import expiry_ns, serial_of
from ringwatch_collector.access.identity import CallRefused
from ringwatch_collector.access.registry import Registry
from ringwatch_collector.audit import AuditLog
from ringwatch_collector.rpc import Context
from ringwatch_proto.codec import to_ns
from ringwatch_proto.errors import StoreError
from ringwatch_proto.v1 import enroll_pb2, enroll_pb2_grpc

T = TypeVar("T")

_LOG: Final = logging.getLogger("ringwatch.collector.access")
# A common name holds 64 characters; those of host names, so that no log, shell or screen is surprised.
_NODE_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_MOST_REQUEST: Final = 16 << 10


def _refused(code: grpc.StatusCode, reason: str, sentence: str) -> CallRefused:
    return CallRefused(code, reason, sentence)


class EnrollmentService(enroll_pb2_grpc.EnrollmentServicer):  # type: ignore[misc]  # generated, no types
    """Serves ``ringwatch.v1.Enrollment``. Raises CallRefused, which the guard turns into an answer."""

    def __init__(
        self,
        *,
        authority: Authority | None,
        book: AccessBook,
        registry: Registry,
        audit: AuditLog,
        now_s: Callable[[], float],
        hours: float,
    ) -> None:
        self._authority = authority
        self._authority_pem = certificate_pem(authority.certificate) if authority is not None else b""
        self._book = book
        self._registry = registry
        self._audit = audit
        self._now_s = now_s
        self._hours = hours

    async def Enroll(
        self, request: enroll_pb2.EnrollRequest, _context: Context
    ) -> enroll_pb2.NodeCertificate:
        """Sign the first certificate of a node that a join token lets in."""
        token = self._registry.join_token(request.join_token[:256])
        if token is None:
            raise _refused(
                grpc.StatusCode.UNAUTHENTICATED,
                "bad_join_token",
                "the join token is unknown, expired, used up or revoked",
            )
        node = self._name_for(token, request.node)
        certificate = self._signed(node, request.request)
        if not await _ask_disk(lambda: self._book.use(token)):
            raise _refused(grpc.StatusCode.UNAUTHENTICATED, "bad_join_token", "the join token is used up")
        return await self._hand_out(node, certificate, actor=f"join token {token.id}", action="access.enroll")

    async def Renew(self, request: enroll_pb2.RenewRequest, context: Context) -> enroll_pb2.NodeCertificate:
        """Sign the next certificate of a node that shows a valid one."""
        caller = caller_of(context)
        if caller.node is None:
            raise _refused(
                grpc.StatusCode.UNAUTHENTICATED, "no_credential", "a node renews with its certificate"
            )
        certificate = self._signed(caller.node, request.request)
        return await self._hand_out(caller.node, certificate, actor=caller.name, action="access.renew")

    def _name_for(self, token: Token, node: str) -> str:
        """Return the name that the token may give; raise CallRefused when it may not give this one."""
        if not _NODE_NAME.fullmatch(node):
            raise _refused(
                grpc.StatusCode.INVALID_ARGUMENT,
                "node_name",
                "a node's name is 1 to 64 letters, digits, dots, dashes and underscores",
            )
        if not fnmatchcase(node, token.nodes or "*"):
            raise _refused(
                grpc.StatusCode.PERMISSION_DENIED,
                "foreign_node",
                f"join token {token.id} is for nodes {token.nodes!r}, not for {node!r}",
            )
        if token.nodes != node and self._registry.good_until_s(node) > self._now_s():
            raise _refused(
                grpc.StatusCode.ALREADY_EXISTS,
                "node_is_taken",
                f"{node!r} has a valid certificate: `ringwatch collector revoke {node}` first, "
                "or use a token that is for this node alone",
            )
        return node

    def _signed(self, node: str, request: bytes) -> x509.Certificate:
        if self._authority is None:
            raise _refused(
                grpc.StatusCode.UNIMPLEMENTED, "no_authority", "this collector has no CA: it signs nothing"
            )
        try:
            if len(request) > _MOST_REQUEST:
                raise ValueError(f"the request is longer than {_MOST_REQUEST} bytes")
            return self._authority.for_node(node, request, self._hours)
        except ValueError as error:
            raise _refused(grpc.StatusCode.INVALID_ARGUMENT, "bad_request", str(error)) from error

    async def _hand_out(
        self, node: str, certificate: x509.Certificate, *, actor: str, action: str
    ) -> enroll_pb2.NodeCertificate:
        """Write the certificate down, then return it."""
        issued = Issued(
            serial=serial_of(certificate),
            node=node,
            issued_ns=to_ns(self._now_s()),
            expires_ns=expiry_ns(certificate),
        )
        await _ask_disk(lambda: self._book.note_certificate(issued))
        await self._registry.refresh()
        await self._audit.append(actor=actor, action=action, target=node, result=f"serial {issued.serial}")
        _LOG.info("%s: node %s got certificate %s", action, node, issued.serial)
        return enroll_pb2.NodeCertificate(
            certificate=certificate_pem(certificate),
            authority=self._authority_pem,
            expires_ns=issued.expires_ns,
        )


async def _ask_disk(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except StoreError as error:
        raise _refused(grpc.StatusCode.UNAVAILABLE, "store", str(error)[:300]) from error
