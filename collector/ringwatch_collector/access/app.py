"""Builds what guards the collector's ports from its settings, and keeps it up to date. Decides nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import grpc
import grpc.aio

from ringwatch_collector.access.authority import Authority
from ringwatch_collector.access.book import AccessBook
from ringwatch_collector.access.callers import Role
from ringwatch_collector.access.denials import Denials
from ringwatch_collector.access.enrollment import EnrollmentService
from ringwatch_collector.access.guard import Guard, GuardPorts
from ringwatch_collector.access.identity import Identity
from ringwatch_collector.access.limits import CallRates, Failures
from ringwatch_collector.access.registry import Registry
from ringwatch_collector.access.tls import ServerCertificates, ServerFiles
from ringwatch_collector.audit import AuditLog
from ringwatch_collector.clock import Clock
from ringwatch_collector.config import CollectorConfig
from ringwatch_collector.counters import Counters
from ringwatch_proto.errors import ConfigError
from ringwatch_proto.v1 import enroll_pb2_grpc

_LOG: Final = logging.getLogger("ringwatch.collector.access")


class Access:
    """The guard of one collector, and what it looks things up in."""

    def __init__(
        self, config: CollectorConfig, book: AccessBook, audit: AuditLog, clock: Clock, counters: Counters
    ) -> None:
        """Read the book and the CA; raise StoreError or ConfigError when that cannot be."""
        self._config = config
        self._settings = config.access
        self.registry = Registry(book, clock.now_s)
        # The ports that are served; 0 for none.
        self.port = self.second_port = 0
        self._denials = Denials(audit, clock)
        self.guard = Guard(
            GuardPorts(
                identity=Identity(
                    tokens=self.registry, certified=self.registry.certified, open_to=self.open_to
                ),
                is_good=self.registry.is_good,
                on_denied=self._denials.note,
                rates=CallRates(self._settings.calls_per_s, self._settings.calls_burst, clock.monotonic_s),
                failures=Failures(self._settings.failed_delay_s, clock.monotonic_s),
                counters=counters,
                most_streams=self._settings.open_streams,
            )
        )
        self.enrollment = EnrollmentService(
            authority=_authority(self._settings.authority_certificate, self._settings.authority_key),
            book=book,
            registry=self.registry,
            audit=audit,
            now_s=clock.now_s,
            hours=self._settings.node_certificate_hours,
        )

    def open_to(self) -> Sequence[Role]:
        """Return the roles that are trusted without proof: on plaintext all, until the first token."""
        if self._config.tls_certificate:
            return (Role.AGENT,) if self._settings.agents_without_certificate else ()
        return (Role.AGENT,) if self.registry.has_people else tuple(Role)

    def serve(self, server: grpc.aio.Server) -> int:
        """Add the Enrollment service and the ports, and return the first one; raise ConfigError."""
        enroll_pb2_grpc.add_EnrollmentServicer_to_server(self.enrollment, server)
        self.port = self._bind(server, self._config.listen, certified=True)
        if self._settings.listen:
            self.second_port = self._bind(server, self._settings.listen, certified=False)
        return self.port

    def _bind(self, server: grpc.aio.Server, address: str, *, certified: bool) -> int:
        credentials = self._credentials(certified=certified)
        try:
            if credentials is None:
                port = server.add_insecure_port(address)
            else:
                port = server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise ConfigError(f"cannot listen on {address}: {error}") from error
        if not port:
            raise ConfigError(f"cannot listen on {address}")
        return int(port)

    def _credentials(self, *, certified: bool) -> grpc.ServerCredentials | None:
        config = self._config
        if not config.tls_certificate:
            return None
        authority = Path(config.tls_client_ca) if certified and config.tls_client_ca else None
        files = ServerFiles(
            certificate=Path(config.tls_certificate), key=Path(config.tls_key), client_authority=authority
        )
        return ServerCertificates(files).credentials()

    def troubles(self) -> list[str]:
        """Return what a person has to know."""
        found = [self.registry.trouble] if self.registry.trouble else []
        if self._config.tls_certificate and self._settings.agents_without_certificate:
            found.append("access.agents_without_certificate: anybody may speak for any node")
        return found

    async def run(self) -> None:
        """Read the book again every few seconds, and end the streams of whoever it names no more."""
        while True:
            await asyncio.sleep(self._settings.refresh_s)
            await self.registry.refresh()
            if ended := self.guard.end_revoked():
                _LOG.warning("%d streams were ended: their credentials are not valid any more", ended)


def _authority(certificate: str, key: str) -> Authority | None:
    if not certificate:
        return None
    try:
        return Authority.load(Path(certificate).read_bytes(), Path(key).read_bytes())
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"access.authority_certificate: {error}") from error
