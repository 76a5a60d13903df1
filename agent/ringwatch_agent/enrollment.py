"""Gets this node its certificate and renews it: a join token buys the first one, each buys the next.

Imported only where a node joins: the key and the request take a library that nothing else here needs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ringwatch_agent.backoff import Backoff
from ringwatch_agent.channel import Tls, open_channel, open_unproven_channel
from ringwatch_proto.errors import ConfigError
from ringwatch_proto.v1 import enroll_pb2, enroll_pb2_grpc

_log = logging.getLogger(__name__)
_ANSWER_S: Final = 15.0
# A laptop's lid, a stopped virtual machine: the clock is looked at again at least this often.
_LONGEST_WAIT_S: Final = 3600.0
_BACKOFF: Final = Backoff(base_s=1.0, cap_s=300.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """Where and as whom a node joins. ``tls`` names one file for key and certificate."""

    node: str
    collector: str
    join: str
    token_file: Path
    tls: Tls


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """When a certificate began and when it ends, Unix seconds."""

    begins_s: float
    ends_s: float

    def wait_s(self, now_s: float, dice: random.Random) -> float:
        """Return how long to wait before asking for the next one: until about half of it is over.

        The jitter keeps a fleet that joined at once from renewing at once.
        """
        left_s = self.ends_s - now_s
        kept_s = (self.ends_s - self.begins_s) * dice.uniform(0.4, 0.6)
        return min(_LONGEST_WAIT_S, max(left_s - kept_s, left_s / 4, 0.0))

    def is_due(self, now_s: float) -> bool:
        """Return whether the next one should be asked for."""
        return self.ends_s - now_s < 0.6 * (self.ends_s - self.begins_s)


class Enrollment:
    """One node's certificate, on disk."""

    def __init__(self, joining: Joining, dice: random.Random | None = None) -> None:
        self._joining = joining
        self._file = joining.tls.certificate
        self._dice = dice or random.Random()  # noqa: S311 - jitter, not a secret
        self.reason = ""

    def validity(self) -> Validity | None:
        """Return the validity of the certificate that is there; None for none, or one of another node."""
        try:
            certificate = x509.load_pem_x509_certificate(self._file.read_bytes())
        except (OSError, ValueError):
            return None
        if certificate.subject != _subject(self._joining.node):
            return None
        return Validity(
            begins_s=certificate.not_valid_before_utc.timestamp(),
            ends_s=certificate.not_valid_after_utc.timestamp(),
        )

    async def join(self) -> None:
        """Return once there is a valid certificate; tries for as long as it takes."""
        if not self._is_valid():
            await self._insist(self._enroll)

    async def run(self) -> None:
        """Renew for ever; join again where a certificate ended before it could be renewed."""
        while True:
            found = self.validity()
            if found is not None and self._is_valid():
                await asyncio.sleep(found.wait_s(_now_s(), self._dice))
                if found.is_due(_now_s()):
                    await self._insist(self._renew_or_enroll)
            else:
                await self._insist(self._enroll)

    def _is_valid(self) -> bool:
        found = self.validity()
        return found is not None and _now_s() < found.ends_s

    async def _insist(self, attempt: Callable[[], Awaitable[None]]) -> None:
        failures = 0
        while True:
            try:
                await attempt()
            except grpc.aio.AioRpcError as error:
                self._say(f"{error.code().name.lower()}: {error.details()}")
            except (OSError, ConfigError) as error:
                self._say(str(error))
            else:
                self.reason = ""
                return
            failures += 1
            await asyncio.sleep(_BACKOFF.wait_s(failures, 0.0, self._dice))

    def _say(self, reason: str) -> None:
        if reason != self.reason:
            _log.warning("no certificate for %s yet: %s", self._joining.node, reason)
        self.reason = reason

    async def _renew_or_enroll(self) -> None:
        await (self._renew() if self._is_valid() else self._enroll())

    async def _enroll(self) -> None:
        token = self._joining.token_file.read_text().strip()
        key, request = _request(self._joining.node)
        address = self._dice.choice(self._joining.join.split(",")).strip()
        async with open_unproven_channel(address, self._joining.tls.ca) as channel:
            answer = await enroll_pb2_grpc.EnrollmentStub(channel).Enroll(
                enroll_pb2.EnrollRequest(join_token=token, node=self._joining.node, request=request),
                timeout=_ANSWER_S,
            )
        self._keep(key, answer.certificate)

    async def _renew(self) -> None:
        key, request = _request(self._joining.node)
        address = self._dice.choice(self._joining.collector.split(",")).strip()
        async with open_channel(address, tls=self._joining.tls) as channel:
            answer = await enroll_pb2_grpc.EnrollmentStub(channel).Renew(
                enroll_pb2.RenewRequest(request=request), timeout=_ANSWER_S
            )
        self._keep(key, answer.certificate)

    def _keep(self, key: bytes, certificate: bytes) -> None:
        """Put key and certificate in place in one move: no reader sees the key of another certificate."""
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = self._file.with_name(f".{self._file.name}.new")
        beside.unlink(missing_ok=True)
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(key + certificate)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(self._file)
        _log.info("node %s has a new certificate", self._joining.node)


def _now_s() -> float:
    return datetime.now(UTC).timestamp()


def _subject(node: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node)])


def _request(node: str) -> tuple[bytes, bytes]:
    """Return a new key, which never leaves the node, and the request that it signs."""
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(node))
    except ValueError as error:
        raise ConfigError(f"node: {node!r} cannot stand in a certificate: {error}") from error
    request = builder.sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    return (
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain),
        request.public_bytes(pem),
    )
