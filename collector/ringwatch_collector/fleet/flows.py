"""TCP flows between nodes: the newest seconds of each (node, peer) and what is usual. Blames nobody."""

from __future__ import annotations

import ipaddress
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_collector.fleet.waves import Wave
from ringwatch_collector.view import Floats, FlowView, Ints, Seconds
from ringwatch_proto import layout

FLOW_DTYPE: Final = np.dtype(list(layout.FLOW_FIELDS))
_RECENT: Final = 8
_LEARNED: Final = 64
_RECENT_S: Final = 5.0
# A flow below this moves too little for its delivery rate to say anything about the path.
_TRAFFIC_BYTES_PER_S: Final = 10_000.0
_RINGS: Final = ("at_s", "delivery", "busy", "unsent")
_LATEST: Final = ("rtt_s", "retransmits_per_s", "tx_bytes_per_s", "rx_bytes_per_s")


class Flows:
    """One row a (node, peer address); the sockets and ranks of a node are summed into it."""

    def __init__(
        self, dropped: Counter[str], *, most: int, skipped: int = 5, reference_readings: int = 20
    ) -> None:
        self._dropped = dropped
        self._most = most
        self._skipped = skipped
        self._reference_readings = reference_readings
        self._row_of: dict[tuple[int, bytes], int] = {}
        self._rows_of_key: dict[int, tuple[bytes, Ints]] = {}
        self._peers: list[bytes] = []
        self._jobs: list[str] = []
        self._node_of_address: dict[bytes, int] = {}
        self._addresses_of: dict[int, set[bytes]] = {}
        # The node of each row's peer; None when addresses changed.
        self._peer_nodes: Ints | None = None
        # What an earlier collector had learned of flows that were not seen again yet.
        self._recalled: dict[tuple[int, bytes], float] = {}
        self._allocate(16)

    def __len__(self) -> int:
        return len(self._peers)

    def _allocate(self, rows: int) -> None:
        self._rings = {name: np.full((rows, _RECENT), np.nan) for name in _RINGS}
        self._latest = {name: np.full(rows, np.nan, np.float32) for name in _LATEST}
        self._node_of: Ints = np.full(rows, -1, np.int64)
        self._received_s: Seconds = np.full(rows, -np.inf)
        self._taken: Ints = np.zeros(rows, np.int64)
        self._healthy: Floats = np.full((rows, _LEARNED), np.nan, np.float32)
        self._healthy_count: Ints = np.zeros(rows, np.int64)
        self._reference: Floats = np.full(rows, np.nan, np.float32)

    def _grow(self) -> None:
        names = [name for name, value in vars(self).items() if isinstance(value, np.ndarray)]
        old = {name: getattr(self, name) for name in names}
        rings, latest = self._rings, self._latest
        rows = self._node_of.size
        self._allocate(2 * rows)
        for name, value in old.items():
            getattr(self, name)[:rows] = value
        for name, value in rings.items():
            self._rings[name][:rows] = value
        for name, value in latest.items():
            self._latest[name][:rows] = value

    def hello(self, node: int, addresses: Sequence[str]) -> None:
        """Take over the addresses of a node's ports, so that flows towards it can be named."""
        named = {packed for packed in map(packed_address, addresses) if packed is not None}
        for gone in self._addresses_of.get(node, set()) - named:
            if self._node_of_address.get(gone) == node:
                del self._node_of_address[gone]
        if named != self._addresses_of.get(node):
            self._peer_nodes = None
        self._node_of_address.update(dict.fromkeys(named, node))
        self._addresses_of[node] = named

    def put(self, wave: Wave, job_of_row: Callable[[int, int], str]) -> None:
        """Write the FLOW records of one wave; ``job_of_row`` names the job of a node's rank row."""
        if not wave.flows.data:
            return
        data = [np.frombuffer(packed, FLOW_DTYPE) for packed in wave.flows.data]
        rows = np.concatenate(
            [
                self._rows(wave.nodes[batch], each)
                for batch, each in zip(wave.flows.batches, data, strict=True)
            ]
        )
        records, found = np.concatenate(data), rows >= 0
        at_s = np.array(wave.at_s)[wave.flows.batch_of_each(FLOW_DTYPE.itemsize)]
        if not found.all():
            records, rows, at_s = records[found], rows[found], at_s[found]
        distinct, first, back = np.unique(rows, return_index=True, return_inverse=True)
        if not distinct.size:
            return
        self._name_jobs(distinct, records["rank_row"][first], job_of_row)
        newer = at_s[first] >= self._received_s[distinct]
        self._write(distinct, newer, _summed(records, back, distinct.size), at_s[first])

    def _name_jobs(
        self, rows: Ints, rank_rows: NDArray[np.integer], job_of_row: Callable[[int, int], str]
    ) -> None:
        nodes = self._node_of[rows].tolist()
        for row, node, rank_row in zip(rows.tolist(), nodes, rank_rows.tolist(), strict=True):
            self._jobs[row] = job_of_row(node, rank_row)

    def _write(self, rows: Ints, newer: NDArray[np.bool_], sums: dict[str, Seconds], at_s: Seconds) -> None:
        rows, at_s = rows[newer], at_s[newer]
        places = self._taken[rows] % _RECENT
        self._rings["at_s"][rows, places] = at_s
        for name in ("delivery", "busy", "unsent"):
            self._rings[name][rows, places] = sums[name][newer]
        for name in _LATEST:
            self._latest[name][rows] = sums[name][newer]
        self._taken[rows] += 1
        self._received_s[rows] = at_s

    def _rows(self, node: int, records: NDArray[np.void]) -> Ints:
        key = records["peer"].tobytes()
        known = self._rows_of_key.get(node)
        if known is not None and known[0] == key:
            return known[1]
        rows = np.array(
            [self._row(node, key[at : at + 16]) for at in range(0, len(key), 16)], np.int64
        ).reshape(len(key) // 16)
        self._rows_of_key[node] = (key, rows)
        return rows

    def _row(self, node: int, peer: bytes) -> int:
        row = self._row_of.get((node, peer))
        if row is None:
            if len(self._peers) >= self._most:
                self._dropped["flow_beyond_limit"] += 1
                return -1
            row = self._row_of[node, peer] = len(self._peers)
            if row >= self._node_of.size:
                self._grow()
            self._peers.append(peer)
            self._jobs.append("")
            self._node_of[row] = node
            if (known := self._recalled.pop((node, peer), None)) is not None:
                self._reference[row] = known
                # Counted as learned: from here on it follows slow change.
                self._healthy_count[row] = self._reference_readings
        return row

    def recall(self, delivery: dict[tuple[int, bytes], float]) -> None:
        """Remember what (node, peer) deliver while healthy, for when they are seen again."""
        self._recalled = dict(delivery)

    def learned(self) -> list[tuple[int, bytes, float]]:
        """Return (node, peer, bits a second) of each flow that has a reference."""
        known = np.flatnonzero(~np.isnan(self._reference[: len(self._peers)])).tolist()
        return [(int(self._node_of[row]), self._peers[row], float(self._reference[row])) for row in known]

    def learn(self, now_s: float, ill: Collection[str]) -> None:
        """Learn what each flow delivers while its job is not ``ill``; called once a second."""
        count = len(self._peers)
        usable = np.array([job not in ill for job in self._jobs], np.bool_)
        delivery = self._delivery(now_s)
        usable &= ~np.isnan(delivery) & (self._received_s[:count] > now_s - 2.0)
        usable &= self._taken[:count] > self._skipped
        rows = np.flatnonzero(usable)
        self._healthy[rows, self._healthy_count[rows] % _LEARNED] = delivery[rows]
        self._healthy_count[rows] += 1
        counts = self._healthy_count[rows]
        first = rows[counts == self._reference_readings]
        self._reference[first] = np.nanmedian(self._healthy[first], axis=1) if first.size else np.nan
        # Afterwards it follows slow change: a tenth of the way each time the ring was filled anew.
        again = rows[(counts > self._reference_readings) & (counts % _LEARNED == 0)]
        if again.size:
            newest = np.nanmedian(self._healthy[again], axis=1)
            self._reference[again] += 0.1 * (newest - self._reference[again])

    def _recent(self, name: str, now_s: float) -> Seconds:
        count = len(self._peers)
        fresh = self._rings["at_s"][:count] > now_s - _RECENT_S
        return np.where(fresh, self._rings[name][:count], np.nan)

    def _delivery(self, now_s: float) -> Floats:
        recent = self._recent("delivery", now_s)
        return _quiet(np.nanmin, recent).astype(np.float32)

    def view(self, now_s: float) -> FlowView:
        """Return what detectors see."""
        count = len(self._peers)
        if self._peer_nodes is None or self._peer_nodes.size != count:
            peers = [self._node_of_address.get(peer, -1) for peer in self._peers]
            self._peer_nodes = np.array(peers, np.int64)
        return FlowView(
            node_of=self._node_of[:count],
            peer_of=self._peer_nodes,
            job=self._jobs,
            received_s=self._received_s[:count],
            delivery_bits_per_s=self._delivery(now_s),
            busy_share=_quiet(np.nanmean, self._recent("busy", now_s)).astype(np.float32),
            unsent_bytes=_quiet(np.nanmean, self._recent("unsent", now_s)).astype(np.float32),
            rtt_s=self._latest["rtt_s"][:count],
            retransmits_per_s=self._latest["retransmits_per_s"][:count],
            tx_bytes_per_s=self._latest["tx_bytes_per_s"][:count],
            reference_delivery_bits_per_s=self._reference[:count],
        )

    def forget(self, now_s: float, after_s: float) -> None:
        """Drop flows that were not heard of for so long, when there are many of them."""
        count = len(self._peers)
        old = self._received_s[:count] < now_s - after_s
        if not count or np.count_nonzero(old) * 4 < count:
            return
        kept = np.flatnonzero(~old)
        for array in (
            *self._rings.values(),
            *self._latest.values(),
            self._node_of,
            self._received_s,
            self._taken,
            self._healthy,
            self._healthy_count,
            self._reference,
        ):
            array[: kept.size] = array[kept]
            array[kept.size : count] = 0 if array.dtype == np.int64 else np.nan
        self._received_s[kept.size : count] = -np.inf
        self._peers = [self._peers[at] for at in kept.tolist()]
        self._jobs = [self._jobs[at] for at in kept.tolist()]
        self._row_of = {(int(self._node_of[at]), peer): at for at, peer in enumerate(self._peers)}
        self._rows_of_key = {}
        self._peer_nodes = None


def packed_address(text: str) -> bytes | None:
    """Return an address as 16 bytes, IPv4 mapped into IPv6; None for loopback and for what is none."""
    try:
        address = ipaddress.ip_address(text.partition("/")[0].partition("%")[0])
    except ValueError:
        return None
    if address.is_loopback or address.is_unspecified:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return b"\0" * 10 + b"\xff\xff" + address.packed
    return address.packed


def _summed(records: NDArray[np.void], back: Ints, rows: int) -> dict[str, Seconds]:
    """Join the records of one peer: the worst delivery and busy share, the sum of what is moved."""
    sums = {name: np.full(rows, np.nan) for name in ("delivery", "busy", "unsent", *_LATEST)}
    with np.errstate(invalid="ignore", divide="ignore"):
        values = {
            name: records[name].astype(np.float64) for name in records.dtype.names or () if name != "peer"
        }
        moving = (values["tx_bytes_per_s"] >= _TRAFFIC_BYTES_PER_S) | (values["unsent_bytes"] > 0)
        delivery = np.where(
            moving & (values["delivery_bits_per_s"] > 0), values["delivery_bits_per_s"], np.nan
        )
        busy = np.clip(values["busy_s"] / values["interval_s"], 0.0, 1.0)
        np.fmin.at(sums["delivery"], back, delivery)
        np.fmax.at(sums["busy"], back, busy)
        np.fmax.at(sums["rtt_s"], back, values["rtt_s"])
        for target, source in (
            ("unsent", "unsent_bytes"),
            ("retransmits_per_s", "retransmits_per_s"),
            ("tx_bytes_per_s", "tx_bytes_per_s"),
            ("rx_bytes_per_s", "rx_bytes_per_s"),
        ):
            present = np.isfinite(values[source])
            sums[target][back[present]] = 0.0
            np.add.at(sums[target], back[present], values[source][present])
    return {name: np.where(np.abs(value) < 1e15, value, np.nan) for name, value in sums.items()}


def _quiet(function: Callable[..., Seconds], values: Seconds) -> Seconds:
    with warnings.catch_warnings():
        # A flow without any reading gives NaN, which is what it should give.
        warnings.simplefilter("ignore", RuntimeWarning)
        return function(values, axis=1)
