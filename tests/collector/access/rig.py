"""A collector behind mutual TLS as `collector init` makes it, and callers of every kind."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from tests.collector.rig import Client

from ringwatch_collector.access.authority import Authority, certificate_pem, key_pem, new_key
from ringwatch_collector.access.book import AccessBook
from ringwatch_collector.access.setup import Files, Secret, Wish, make_files, make_tokens
from ringwatch_collector.app import Collector
from ringwatch_collector.config import load_config
from ringwatch_collector.store.database import Database
from ringwatch_collector.store.engine import sqlite_url
from ringwatch_proto.v1 import enroll_pb2, enroll_pb2_grpc, query_pb2_grpc, runs_pb2_grpc

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A key and its certificate, as PEM."""

    key: bytes
    certificate: bytes


def request_for(node: str) -> tuple[bytes, bytes]:
    """Return a new key and a certificate request signed by it."""
    key = new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return key_pem(key), request.public_bytes(serialization.Encoding.PEM)


def pair_of(authority: Authority, node: str, hours: float = 1.0) -> Pair:
    """Return what a node would hold that the authority signed for."""
    key, request = request_for(node)
    return Pair(key=key, certificate=certificate_pem(authority.for_node(node, request, hours)))


@dataclass(slots=True)
class Fort:
    """A running collector behind TLS."""

    folder: Path
    collector: Collector
    port: int
    secrets: dict[str, Secret]
    _channels: list[grpc.aio.Channel] = field(default_factory=list)

    @property
    def files(self) -> Files:
        """Return where its files lie."""
        return Files(self.folder)

    @property
    def authority(self) -> Authority:
        """Return its CA."""
        return Authority.load(self.files.authority.read_bytes(), self.files.authority_key.read_bytes())

    @property
    def book(self) -> AccessBook:
        """Return its book, as a command beside it would open it."""
        return AccessBook(self.collector.store.database)

    def dial(
        self, pair: Pair | None = None, *, second: bool = False, ca: bytes | None = None
    ) -> grpc.aio.Channel:
        """Return a channel to the port for certificates, or to the second one."""
        root = ca or self.files.authority.read_bytes()
        key, chain = (pair.key, pair.certificate) if pair else (None, None)
        port = self.collector.access.second_port if second else self.port
        # Channels with the same target share connections, and with them the proof of who calls.
        channel = grpc.aio.secure_channel(
            f"localhost:{port}",
            grpc.ssl_channel_credentials(root, key, chain),
            options=[("grpc.use_local_subchannel_pool", 1)],
        )
        self._channels.append(channel)
        return channel

    def agent(self, pair: Pair | None = None, *, second: bool = False) -> Client:
        """Return a stream, not greeted yet."""
        return Client(self.dial(pair, second=second))

    def query(self, **how: Any) -> Any:
        """Return a stub of Query on the second port."""
        return query_pb2_grpc.QueryStub(self.dial(second=True, **how))

    def runs(self) -> Any:
        """Return a stub of Runs on the second port."""
        return runs_pb2_grpc.RunsStub(self.dial(second=True))

    def enrollment(self, pair: Pair | None = None) -> Any:
        """Return a stub of Enrollment: with a certificate on the first port, without on the second."""
        return enroll_pb2_grpc.EnrollmentStub(self.dial(pair, second=pair is None))

    def headers(self, role: str) -> Headers:
        """Return what a person of that role sends with each call."""
        return (("authorization", f"Bearer {self.secrets[role].secret}"),)

    async def enrolled(self, node: str, join: str | None = None) -> Pair:
        """Return what a node holds after it joined."""
        key, request = request_for(node)
        secret = self.secrets["join"].secret if join is None else join
        answer = await self.enrollment().Enroll(
            enroll_pb2.EnrollRequest(join_token=secret, node=node, request=request)
        )
        return Pair(key=key, certificate=answer.certificate)

    async def close(self) -> None:
        """End callers and collector."""
        for channel in self._channels:
            await channel.close()
        await self.collector.stop()


@asynccontextmanager
async def fort(folder: Path, **settings: object) -> AsyncIterator[Fort]:
    """Run what `collector init` makes, on free ports, until the end of the block."""
    wish = Wish(
        folder=folder,
        names=("localhost", "127.0.0.1"),
        listen="127.0.0.1:0",
        listen_without_certificate="127.0.0.1:0",
    )
    make_files(wish, anew=False)
    database = Database(sqlite_url(folder))
    made = make_tokens(wish, AccessBook(database), time.time(), anew=False, by="test")
    database.close()
    access = {"refresh_s": 0.1, "failed_delay_s": 0.0, **dict(settings.pop("access", {}))}  # type: ignore[call-overload]
    collector = Collector(
        load_config(Files(folder).settings, {}, {"access": access, "name": "test", **settings})
    )
    running = Fort(folder, collector, await collector.start(), {each.role: each for each in made})
    try:
        yield running
    finally:
        await running.close()


async def refused(call: Any) -> grpc.aio.AioRpcError:
    """Await a call that must fail and return how."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("the call was served")
