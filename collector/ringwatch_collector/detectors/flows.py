"""Which link holds a job's transfers up, from the kernel's word on its TCP flows. Decides nothing is slow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ringwatch_collector.detectors.places import bits_per_s, node_name, percent
from ringwatch_collector.detectors.window import Index
from ringwatch_collector.view import FleetView, JobView
from ringwatch_proto.records import Bearing, Evidence, Subject
from ringwatch_proto.signals import BY_NAME

FRESH_S: Final = 5.0
# Flows that carry less than this share of the busiest are control traffic; their rates mean nothing.
BULK_SHARE: Final = 0.02
# A slow link was seen at a hundredth of the others' delivery rate, a healthy spread at a quarter.
SLOW_SHARE: Final = 0.4
OWN_SHARE: Final = 0.6
BUSY_SHARE: Final = 0.15
UNSENT_BYTES: Final = 32_768.0
# The slowest of several has to stand apart by this to be named alone.
APART: Final = 0.5
OVERLIMITS_PER_S: Final = 1.0
_ERRORS: Final = (
    "port.tx_drops_per_s",
    "port.tx_errors_per_s",
    "port.rx_errors_per_s",
    "port.rx_drops_per_s",
    "port.symbol_errors_per_s",
    "port.out_of_sequence_per_s",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowLink:
    """The link, which end is suspected, and the readings. ``sure_end`` tells whether the end is known."""

    culprit: Subject
    sure_end: bool
    evidence: tuple[Evidence, ...]
    unsure: tuple[str, ...]
    inputs: dict[str, float]


def slow_link(view: FleetView, job: JobView) -> SlowLink | None:
    """Return the one link whose flows are slow while the job's others are not; None when there is none."""
    bulk = _bulk(view, job)
    slow = _slow(view, bulk)
    if slow.size == 0 or slow.size * 2 > bulk.size:
        return None
    flows = view.flows
    senders, receivers = np.unique(flows.node_of[slow]), np.unique(flows.peer_of[slow])
    if senders.size > 1 and receivers.size > 1:
        slow = _apart(view, slow)
        senders, receivers = np.unique(flows.node_of[slow]), np.unique(flows.peer_of[slow])
    if slow.size == 0:
        return None
    if receivers.size == 1 and senders.size > 1:
        return _built(view, slow, bulk, int(receivers[0]), -1, sure_end=True)
    if slow.size > 1:
        return _built(view, slow, bulk, int(senders[0]), -1, sure_end=True)
    return _one_flow(view, slow, bulk)


def _bulk(view: FleetView, job: JobView) -> Index:
    flows = view.flows
    mine = np.array([name == job.job for name in flows.job], np.bool_)
    usable = mine & (view.now_s - flows.received_s <= FRESH_S) & np.isfinite(flows.delivery_bits_per_s)
    usable &= (flows.peer_of >= 0) & (flows.peer_of != flows.node_of)
    bytes_per_s = np.where(usable, np.nan_to_num(flows.tx_bytes_per_s), 0.0)
    busiest = float(bytes_per_s.max(initial=0.0))
    return np.flatnonzero(usable & (bytes_per_s >= BULK_SHARE * busiest) & (bytes_per_s > 0))


def _slow(view: FleetView, bulk: Index) -> Index:
    """Return flows far below the typical one, and below themselves, that had data to send."""
    if bulk.size < 3:
        return bulk[:0]
    flows = view.flows
    rate = flows.delivery_bits_per_s[bulk].astype(np.float64)
    own = flows.reference_delivery_bits_per_s[bulk]
    waiting = (flows.busy_share[bulk] >= BUSY_SHARE) | (flows.unsent_bytes[bulk] >= UNSENT_BYTES)
    below = rate <= SLOW_SHARE * float(np.median(rate))
    changed = np.isnan(own) | (rate <= OWN_SHARE * own)
    return bulk[below & changed & waiting]


def _apart(view: FleetView, slow: Index) -> Index:
    """Return the flows of one link out of several slow ones, none when no link stands apart.

    A slow sender delays the acknowledgements of what it receives too, so that a flow towards it looks
    slow as well: the port that holds packets back decides, then the bytes that wait, then the rate.
    """
    flows = view.flows
    troubled = [node for node in np.unique(flows.node_of[slow]).tolist() if port_trouble(view, node)]
    if len(troubled) == 1:
        return np.asarray(slow[flows.node_of[slow] == troubled[0]])
    unsent = np.nan_to_num(flows.unsent_bytes[slow])
    most = np.argsort(unsent)[::-1]
    if unsent[most[0]] >= UNSENT_BYTES and unsent[most[1]] <= APART * unsent[most[0]]:
        return slow[most[:1]]
    rate = flows.delivery_bits_per_s[slow]
    order = np.argsort(rate)
    return slow[order[:1]] if rate[order[0]] <= APART * rate[order[1]] else slow[:0]


def _one_flow(view: FleetView, slow: Index, bulk: Index) -> SlowLink:
    """Decide which end of a single flow is suspected: the queue of a port says, else the sender's side."""
    sender, receiver = int(view.flows.node_of[slow[0]]), int(view.flows.peer_of[slow[0]])
    if not port_trouble(view, sender) and port_trouble(view, receiver):
        return _built(view, slow, bulk, receiver, sender, sure_end=True)
    return _built(view, slow, bulk, sender, receiver, sure_end=bool(port_trouble(view, sender)))


def _built(view: FleetView, slow: Index, bulk: Index, node: int, peer: int, *, sure_end: bool) -> SlowLink:
    trouble = port_trouble(view, node)
    flows, first = view.flows, int(slow[np.argmin(view.flows.delivery_bits_per_s[slow])])
    others = np.setdiff1d(bulk, slow)
    ports = _rows(view, node)
    device = trouble[0][0] if trouble else view.port.devices[ports[0]] if len(ports) == 1 else ""
    evidence = [_flow_evidence(view, int(flow), others) for flow in slow[:4]]
    evidence += [
        Evidence(
            at_s=view.now_s, bearing=Bearing.SUPPORTS, text=text, source="ports", node=node_name(view, node)
        )
        for _, text in trouble
    ]
    unsure = () if sure_end else ("which end of the link: no port counter says, the sender's is named",)
    return SlowLink(
        culprit=Subject(
            kind="link",
            node=node_name(view, node),
            device=device,
            peer=node_name(view, peer) if peer >= 0 else "",
        ),
        sure_end=sure_end,
        evidence=tuple(evidence),
        unsure=unsure,
        inputs={
            "delivery_bits_per_s": float(flows.delivery_bits_per_s[first]),
            "others_delivery_bits_per_s": float(np.median(flows.delivery_bits_per_s[others])),
            "busy_share": float(flows.busy_share[first]),
            "unsent_bytes": float(flows.unsent_bytes[first]),
        },
    )


def _flow_evidence(view: FleetView, flow: int, others: Index) -> Evidence:
    flows = view.flows
    sender, receiver = node_name(view, int(flows.node_of[flow])), node_name(view, int(flows.peer_of[flow]))
    usual = float(np.median(flows.delivery_bits_per_s[others]))
    text = (
        f"{sender} -> {receiver} delivers {bits_per_s(float(flows.delivery_bits_per_s[flow]))}, "
        f"the other links {bits_per_s(usual)}; busy {percent(float(flows.busy_share[flow]))} of the time, "
        f"{float(np.nan_to_num(flows.unsent_bytes[flow])) / 1e3:.0f} kB not yet sent"
    )
    return Evidence(at_s=view.now_s, bearing=Bearing.SUPPORTS, text=text, source="TCP_INFO", node=sender)


def _rows(view: FleetView, node: int) -> list[int]:
    return np.flatnonzero(np.asarray(view.port.node_of) == node).tolist()


def port_trouble(view: FleetView, node: int) -> list[tuple[str, str]]:
    """Return (port, words) for ports that hold packets back, lose them or run below the others' speed."""
    found = []
    port = view.port
    overlimits, backlog = (
        _latest(view, "port.queue_overlimits_per_s"),
        _latest(view, "port.queue_backlog_bytes"),
    )
    speed = _latest(view, "port.speed_gbit_per_s")
    usual = float(np.median(speed[np.isfinite(speed)])) if np.isfinite(speed).any() else float("nan")
    for row in _rows(view, node):
        name = port.devices[row]
        if overlimits[row] >= OVERLIMITS_PER_S:
            held = f"port {name}: its egress queue holds packets back {overlimits[row]:.0f} times a second, "
            found.append((name, f"{held}{np.nan_to_num(backlog[row]) / 1e3:.0f} kB wait in it"))
        if speed[row] < usual:
            found.append(
                (name, f"port {name} runs at {speed[row]:g} Gbit/s, the fleet's at {usual:g} Gbit/s")
            )
        for signal in _ERRORS:
            rate = _latest(view, signal)[row]
            if rate > 1.0:
                found.append((name, f"port {name}: {BY_NAME[signal].help} {rate:.0f} a second"))
    return found


def _latest(view: FleetView, signal: str) -> np.ndarray:
    return view.port.latest(BY_NAME[signal].id)
