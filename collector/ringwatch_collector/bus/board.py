"""The whole fleet from its partitions: detectors show theirs on the bus, everybody puts them together."""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from ringwatch_collector.bus.link import BusError, Link
from ringwatch_collector.follow import Bell
from ringwatch_proto.codec import to_ns
from ringwatch_proto.v1 import query_pb2

_LOG: Final = logging.getLogger("ringwatch.collector.bus")
_SHOWN_S: Final = 0.5
# A partition that was not shown for so long has no detector.
_GONE_S: Final = 5.0
_MOST_SHOWN: Final = 64 << 20
_MOST_INCIDENTS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What a detector last said of one partition."""

    fleet: query_pb2.Fleet
    heard_s: float


class Board:
    """The newest answer of each partition."""

    def __init__(self, link: Link, partitions: int, name: str, bell: Bell) -> None:
        self._link = link
        self._partitions = partitions
        self._name = name
        self._bell = bell
        self._parts: dict[int, _Part] = {}
        self._began_s = time.monotonic()

    async def listen(self) -> None:
        """Take what detectors show until cancelled."""
        async for subject, data in self._link.heard("fleet.*"):
            part = _unpacked(data)
            number = subject.rpartition(".")[2]
            if part is None or not number.isdecimal() or int(number) >= self._partitions:
                continue
            self._parts[int(number)] = _Part(fleet=part, heard_s=time.monotonic())
            self._bell.ring()

    async def show(self, answers: Callable[[], Mapping[int, query_pb2.Fleet]]) -> None:
        """Show our partitions until cancelled."""
        while True:
            for partition, fleet in answers().items():
                try:
                    await self._link.say(f"fleet.{partition}", zlib.compress(fleet.SerializeToString(), 1))
                except BusError as error:
                    _LOG.debug("partition %d is not shown: %s", partition, error)
            await asyncio.sleep(_SHOWN_S)

    def missing(self) -> list[int]:
        """Return the partitions that no detector speaks for."""
        now_s = time.monotonic()
        return [
            number
            for number in range(self._partitions)
            if now_s - (self._parts[number].heard_s if number in self._parts else self._began_s) > _GONE_S
        ]

    def fleet(self, troubles: Iterable[str] = ()) -> query_pb2.Fleet:
        """Return the whole fleet, and in its troubles what is not seen."""
        now_s = time.monotonic()
        parts = [part.fleet for part in self._parts.values() if now_s - part.heard_s <= _GONE_S]
        whole = query_pb2.Fleet(collector=self._name, wall_ns=to_ns(time.time()))
        nodes: dict[str, query_pb2.NodeSummary] = {}
        for part in parts:
            for node in part.nodes:
                known = nodes.get(node.node)
                if known is None or node.last_seen_age_s < known.last_seen_age_s:
                    nodes[node.node] = node
            whole.jobs.extend(part.jobs)
            whole.incidents.extend(part.incidents)
            whole.runs.extend(part.runs)
        whole.nodes.extend(nodes[name] for name in sorted(nodes))
        whole.incidents.sort(key=lambda each: (each.state == "resolved", -each.severity, -each.opened_ns))
        beyond = whole.incidents[_MOST_INCIDENTS:]
        del whole.incidents[_MOST_INCIDENTS:]
        whole.open_left_out = sum(part.open_left_out for part in parts) + sum(
            each.state != "resolved" for each in beyond
        )
        whole.health.CopyFrom(_health([part.health for part in parts]))
        whole.health.nodes_known = len(nodes)
        told = list(dict.fromkeys(text for part in parts for text in part.health.troubles))
        del whole.health.troubles[:]
        whole.health.troubles.extend([*self._unseen(), *troubles, *told])
        return whole

    def _unseen(self) -> list[str]:
        missing = self.missing()
        return (
            [f"no detector looks at {len(missing)} of {self._partitions} parts of the fleet"]
            if missing
            else []
        )


def _health(parts: list[query_pb2.Health]) -> query_pb2.Health:
    """Return the health of the whole: counts add up, and the worst of the rest stands."""
    if not parts:
        return query_pb2.Health(evaluated_age_s=float("nan"))
    known = sum(part.nodes_known for part in parts)
    return query_pb2.Health(
        rules_active=min(part.rules_active for part in parts),
        evaluated_age_s=max(part.evaluated_age_s for part in parts),
        input_completeness=sum(part.input_completeness * part.nodes_known for part in parts) / known
        if known
        else 1.0,
        nodes_reporting=sum(part.nodes_reporting for part in parts),
        batches_taken=max(part.batches_taken for part in parts),
        messages_refused=max(part.messages_refused for part in parts),
        readings_dropped=max(part.readings_dropped for part in parts),
        tick_ms=max(part.tick_ms for part in parts),
        plaintext_off_loopback=any(part.plaintext_off_loopback for part in parts),
    )


def _unpacked(data: bytes) -> query_pb2.Fleet | None:
    try:
        return query_pb2.Fleet.FromString(zlib.decompressobj().decompress(data, _MOST_SHOWN))
    except (zlib.error, DecodeError):
        return None
