"""The connection to NATS: streams, subjects, and what is published and read there. It knows no fleet."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import (
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import APIError, NotFoundError

from ringwatch_collector.bus.config import BusConfig
from ringwatch_proto.errors import ConfigError

_LOG: Final = logging.getLogger("ringwatch.collector.bus")
_ANSWER_S: Final = 5.0
_RECONNECT_S: Final = 1
# Publishing the same again within it is the same message; a publisher tries again much sooner.
_DUPLICATE_S: Final = 120.0
# A reader that hears nothing for two of these begins again where it was.
_HEARTBEAT_S: Final = 1.0
_HELLO_DAYS: Final = 30
# What a publisher or reader may meet while NATS is away; it tries again.
BusError: Final = (NatsError, APIError, TimeoutError, OSError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message of a partition; ``left`` is how many are behind it."""

    sequence: int
    at_ns: int
    data: bytes
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far a partition was taken: the sequence of its last message that is durable, and its time."""

    sequence: int = 0
    at_ns: int = 0


class Link:
    """One process's connection."""

    def __init__(self, config: BusConfig) -> None:
        self._config = config
        self._client = Client()
        self._js: Any = None

    @property
    def connected(self) -> bool:
        """Return whether NATS is there."""
        return bool(self._client.is_connected)

    @property
    def most_bytes(self) -> int:
        """Return the size of the largest message that NATS takes."""
        return int(self._client.max_payload)

    async def open(self) -> None:
        """Connect and make the streams; raise ConfigError when that cannot be."""
        config = self._config
        options: dict[str, Any] = (
            {"user_credentials": config.credentials_file} if config.credentials_file else {}
        )
        if config.tls_ca:
            import ssl

            options["tls"] = ssl.create_default_context(cafile=config.tls_ca)
        try:
            async with asyncio.timeout(config.connect_s):
                await self._client.connect(
                    servers=[each.strip() for each in config.url.split(",")],
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=_RECONNECT_S,
                    connect_timeout=5,
                    allow_reconnect=True,
                    error_cb=_say,
                    **options,
                )
                self._js = self._client.jetstream(timeout=_ANSWER_S)
                await self._make_streams()
        except (*BusError, nats.errors.NoServersError) as error:
            await self._client.close()
            raise ConfigError(f"bus.url={config.url}: {type(error).__name__}: {error}") from error

    async def _make_streams(self) -> None:
        config, name = self._config, self._config.name
        await self._js.add_stream(
            StreamConfig(
                name=f"{name}_batches",
                subjects=[f"{name}.batch.*"],
                retention=RetentionPolicy.LIMITS,
                storage=StorageType.FILE,
                # A full bus refuses what is new: agents keep it. It never lets go of what is old.
                discard=DiscardPolicy.NEW,
                max_age=config.keep_hours * 3600.0,
                max_bytes=int(config.keep_gib * (1 << 30)),
                duplicate_window=_DUPLICATE_S,
                num_replicas=config.replicas,
            )
        )
        await self._js.add_stream(
            StreamConfig(
                name=f"{name}_notes",
                subjects=[f"{name}.hello.*", f"{name}.home.*"],
                retention=RetentionPolicy.LIMITS,
                storage=StorageType.FILE,
                max_msgs_per_subject=1,
                max_age=_HELLO_DAYS * 86400.0,
                num_replicas=config.replicas,
            )
        )

    async def close(self) -> None:
        """Let go of the connection."""
        await self._client.close()

    async def publish(self, partition: int, data: bytes, id: str) -> None:
        """Return once the message is durable; raise one of BusError when that is not known."""
        await self._js.publish(
            f"{self._config.name}.batch.{partition}", data, timeout=_ANSWER_S, headers={"Nats-Msg-Id": id}
        )

    async def keep_hello(self, key: str, data: bytes) -> None:
        """Return once the Hello is durable."""
        await self._js.publish(f"{self._config.name}.hello.{key}", data, timeout=_ANSWER_S)

    async def hello(self, key: str) -> bytes | None:
        """Return a Hello, None when the bus does not have it any more."""
        return await self._note(f"{self._config.name}.hello.{key}")

    async def move_home(self, node: str, partition: int) -> int | None:
        """Note the partition of a node and return the one that was noted before."""
        subject = f"{self._config.name}.home.{key_of(node.encode())}"
        before = await self._note(subject)
        if before is None or int(before) != partition:
            await self._js.publish(subject, str(partition).encode(), timeout=_ANSWER_S)
        return None if before is None else int(before)

    async def _note(self, subject: str) -> bytes | None:
        try:
            found = await self._js.get_last_msg(f"{self._config.name}_notes", subject)
        except NotFoundError:
            return None
        return bytes(found.data or b"")

    async def say(self, subject: str, data: bytes) -> None:
        """Tell whoever listens now; nothing is kept."""
        await self._client.publish(f"{self._config.name}.{subject}", data)

    async def heard(self, subject: str) -> AsyncIterator[tuple[str, bytes]]:
        """Yield (subject, data) of what is said, until the connection is closed for good."""
        subscription = await self._client.subscribe(f"{self._config.name}.{subject}")
        async for message in subscription.messages:
            yield message.subject, message.data

    async def ask(self, subject: str, data: bytes, within_s: float) -> bytes | None:
        """Return the first answer to a question, None when nobody answers in time."""
        try:
            answer = await self._client.request(f"{self._config.name}.{subject}", data, timeout=within_s)
        except BusError as error:
            _LOG.debug("nobody answers %s: %s", subject, error)
            return None
        return bytes(answer.data)

    async def answer(self, subject: str, reply: Callable[[str, bytes], Awaitable[bytes | None]]) -> None:
        """Answer questions until the connection is closed for good; None leaves one to others."""

        async def take(message: Any) -> None:  # noqa: ANN401  (nats has no exported type for it)
            found = await reply(message.subject.rpartition(".")[2], message.data)
            if found is not None:
                await message.respond(found)

        await self._client.subscribe(f"{self._config.name}.{subject}", cb=take)

    async def read(self, partition: int, after: Place, since_ns: int) -> AsyncIterator[Delivery]:
        """Yield a partition's messages from ``since_ns``, or from what follows ``after`` if that is older.

        The first one has no data when nothing is there yet. Ends when the connection is closed for good.
        """
        subject, stream = f"{self._config.name}.batch.{partition}", f"{self._config.name}_batches"
        first = after.sequence + 1 if after.sequence and after.at_ns < since_ns else 0
        # Never a start time: the library's own resets of an ordered consumer keep it and are refused.
        start = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=first or await self._first_since(stream, subject, since_ns),
        )
        subscription = await self._js.subscribe(
            subject, stream=stream, ordered_consumer=True, config=start, idle_heartbeat=_HEARTBEAT_S
        )
        try:
            if not (await subscription.consumer_info()).num_pending and not subscription.pending_msgs:
                yield Delivery(sequence=after.sequence, at_ns=after.at_ns, data=b"", left=0)
            async for message in subscription.messages:
                about = message.metadata
                yield Delivery(
                    sequence=about.sequence.stream,
                    at_ns=int(about.timestamp.timestamp() * 1e9),
                    data=message.data,
                    left=about.num_pending,
                )
        finally:
            await _unsubscribed(subscription)

    async def _first_since(self, stream: str, subject: str, since_ns: int) -> int:
        """Return the sequence of the first message since then, or the one that comes next."""
        last = (await self._js.stream_info(stream)).state.last_seq
        looking = await self._js.pull_subscribe(
            subject,
            stream=stream,
            config=ConsumerConfig(
                deliver_policy=DeliverPolicy.BY_START_TIME,
                opt_start_time=datetime.fromtimestamp(since_ns / 1e9, UTC),
                inactive_threshold=_ANSWER_S,
            ),
        )
        try:
            if not (await looking.consumer_info()).num_pending:
                return int(last) + 1
            found = (await looking.fetch(1, timeout=_ANSWER_S))[0]
            return int(found.metadata.sequence.stream)
        finally:
            await _unsubscribed(looking)


async def _unsubscribed(subscription: Any) -> None:  # noqa: ANN401  (nats has no exported type for it)
    try:
        await subscription.unsubscribe()
    except BusError as error:
        _LOG.debug("a reader was not taken back: %s", error)


async def _say(error: Exception) -> None:
    _LOG.warning("NATS: %s", error or type(error).__name__)


def key_of(data: bytes) -> str:
    """Return a name for data that can stand in a subject."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()
