"""Judges network ports. Counters alone accuse only past a limit."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from ringwatch_collector.diagnosis.conclusion import EFFECT, Conclusion
from ringwatch_collector.diagnosis.scene import Scene, grouped, quoted
from ringwatch_knowledge.observation import Observation

# https://github.com/nebius/soperator/issues/481
_LINK_DOWNED_TOTAL: Final = 10
# A total without a time span says little; these are far above what one re-plugging leaves behind.
_PHYSICAL: Final[dict[str, float]] = {
    "symbol_error": 100.0,
    "link_error_recovery": 10.0,
    "port_rcv_errors": 100.0,
    "local_link_integrity_errors": 1.0,
    "excessive_buffer_overrun_errors": 1.0,
}
# Counters of RDMA transport retries, as totals.
_TRANSPORT: Final[dict[str, float]] = {
    "local_ack_timeout_err": 100.0,
    "packet_seq_err": 1000.0,
    "out_of_sequence": 10_000.0,
    "rnr_nak_retry_err": 1.0,
    "req_transport_retries_exceeded": 1.0,
    "implied_nak_seq_err": 100.0,
}
_ALLOWANCE: Final = "allowance_exceeded"
# At 100 Gb/s and above a site without jumbo frames is not set up as meant.
_FAST_MBPS: Final = 100_000.0
_SMALL_MTU: Final = 1500.0
_FLAPS: Final = 3


def judge(scene: Scene) -> Iterator[Conclusion]:
    """Yield what ports and their counters tell."""
    for where, rows in grouped(scene.of("port")).items():
        yield from _state(where, rows)
        yield from _counters(where, rows)
    yield from _rates(scene)
    yield from _transport(scene)
    yield from _netdevs(scene)
    yield from _allowances(scene)
    yield from _link_lines(scene)
    yield from _completions(scene)
    yield from _exported(scene)


def _named(rows: list[Observation], *names: str) -> list[Observation]:
    return [each for each in rows if each.name in names]


def _state(where: str, rows: list[Observation]) -> Iterator[Conclusion]:
    states = _named(rows, "state", "phys_state")
    words = [re.sub(r"^\d+:\s*", "", each.word).lower() for each in states]
    for at, word in enumerate(words):
        if word in {
            "down",
            "polling",
            "sleep",
            "linkerrorrecovery",
            "portconfigurationtraining",
            "link down",
        }:
            disabled = "disabled" in words
            yield Conclusion(
                fault_class="config.ib_port_setup" if disabled else "ib_link.down",
                evidence=quoted(states),
                where=where,
            )
            return
        if word == "disabled":
            yield Conclusion(fault_class="config.ib_port_setup", evidence=(states[at],), where=where)
            return
        if word in {"init", "initializing", "armed"}:
            yield Conclusion(
                fault_class="config.ib_port_setup", evidence=quoted(states), where=where,
                note="the link is up but no subnet manager has set the port up",
            )  # fmt: skip
            return


def _counters(where: str, rows: list[Observation]) -> Iterator[Conclusion]:
    downed = [each for each in _named(rows, "link_downed") if each.value > _LINK_DOWNED_TOTAL]
    up = any(
        "active" in each.word.lower() or "linkup" in each.word.lower()
        for each in _named(rows, "state", "phys_state")
    )
    if downed:
        yield Conclusion(
            fault_class="ib_link.flapping", evidence=quoted(downed), where=where,
            note="the port is up now" if up else "",
            settle=("the same counter an hour later: is it still rising",),
        )  # fmt: skip
    physical = [each for each in rows if each.value >= _PHYSICAL.get(each.name, math.inf)]
    if physical:
        yield Conclusion(
            fault_class="ib_link.symbol_errors", evidence=quoted(physical), where=where, confidence=0.7,
            settle=("the same counters a minute later: their rate",),
        )  # fmt: skip


def _rates(scene: Scene) -> Iterator[Conclusion]:
    """A port below its siblings, or below the speed of its own network device, is too slow."""
    rates = [each for each in scene.of("port", "rate") if not math.isnan(each.value)]
    layers = {(each.device, each.fields.get("port")): each.word for each in scene.of("port", "link_layer")}
    up = [each for each in rates if not _is_down(scene, each)]
    speeds = scene.of("netdev", "speed")
    promised = {each.fields.get("pci", ""): each.value / 1000 for each in speeds if each.fields.get("pci")}
    usual: dict[str, float] = {}
    for layer in set(layers.values()) | {""}:
        alike = Counter(each.value for each in up if _layer(layers, each) == layer).most_common(1)
        if alike and alike[0][1] > 1:
            usual[layer] = alike[0][0]
    slow = [
        each
        for each in up
        if each.value < promised.get(each.fields.get("pci", ""), 0.0)
        or each.value < usual.get(_layer(layers, each), 0.0)
        or re.search(r"\b[12]X\b", each.word)
    ]
    if slow:
        yield Conclusion(
            fault_class="ib_link.rate_low", evidence=quoted(slow, 12),
            where=", ".join(dict.fromkeys(each.device for each in slow)),
            note="all ports alike: look at the switch before the cables" if len(slow) == len(up) else "",
        )  # fmt: skip


def _layer(layers: dict[tuple[str, str | None], str], port: Observation) -> str:
    """Return the link layer of a port: a management port on Ethernet is no sibling of the fabric's."""
    return layers.get((port.device, port.fields.get("port")), "")


def _is_down(scene: Scene, rate: Observation) -> bool:
    states = [
        each for each in scene.of("port", "state", "phys_state")
        if each.device == rate.device and each.fields.get("port") == rate.fields.get("port")
    ]  # fmt: skip
    return any("down" in each.word.lower() or "polling" in each.word.lower() for each in states)


def _transport(scene: Scene) -> Iterator[Conclusion]:
    retries = [each for each in scene.of("port") if each.value >= _TRANSPORT.get(each.name, math.inf)]
    if not retries:
        return
    lossless = [
        each for each in scene.of("nic") if re.match(r"[rt]x_prio[1-7]_(bytes|packets|pause)$", each.name)
    ]
    unused = bool(lossless) and all(each.value == 0 for each in lossless)
    pauses = [
        each for each in scene.of("nic") if re.match(r"[rt]x_prio\d_pause$", each.name) and each.value > 0
    ]
    busy = [each for each in scene.of("nic") if re.match(r"[rt]x_prio0_(bytes|packets)$", each.name)]
    if unused and not pauses:
        yield Conclusion(
            fault_class="config.rdma_setting", evidence=quoted(retries + busy), role=EFFECT, confidence=0.6,
            note="RDMA retries, and all traffic is in the class without flow control",
            settle=("PFC and ECN settings of switch and adapter", "the same counters a minute later"),
        )  # fmt: skip
    else:
        yield Conclusion(
            fault_class="ib_link.path_error", evidence=quoted(retries), role=EFFECT, confidence=0.6,
            settle=("the same counters a minute later", "the counters of the other end"),
        )  # fmt: skip


def _netdevs(scene: Scene) -> Iterator[Conclusion]:
    devices = grouped(scene.of("netdev"))
    speeds = {each.device: each.value for each in scene.of("netdev", "speed")}
    small = []
    for where, rows in devices.items():
        flags = ",".join(each.word for each in _named(rows, "flags"))
        if "LOOPBACK" in flags or where.startswith(("lo", "docker", "veth", "virbr", "cni", "br-")):
            continue
        down = [
            each
            for each in _named(rows, "operstate", "link_detected")
            if each.word.lower() in {"down", "no", "lowerlayerdown"}
        ]
        wanted = (
            not re.search("[A-Z]{2}", flags)
            or "UP" in flags.split(",")
            or "SLAVE" in flags
            or "NO-CARRIER" in flags
        )
        if down and wanted:
            infiniband = re.match(r"ib|mlx", rows[0].device)
            yield Conclusion(
                fault_class="ib_link.down" if infiniband else "ethernet.link_down",
                evidence=quoted(down), where=where,
            )  # fmt: skip
        if speeds.get(rows[0].device, 0.0) >= _FAST_MBPS:
            small += [each for each in _named(rows, "mtu") if each.value <= _SMALL_MTU]
    if small:
        yield Conclusion(
            fault_class="config.mtu_mismatch", evidence=quoted(small),
            where=", ".join(each.device for each in small), confidence=0.6,
            note="1500 bytes on a port of 100 Gb/s or more", settle=("the site's value, and the peer's MTU",),
        )  # fmt: skip
    mtus = {each.value for each in scene.of("netdev", "mtu") if re.match(r"en|eth|ib|bond", each.device)}
    if not small and len(mtus) > 1 and scene.signs("nccl_truncated"):
        yield Conclusion(
            fault_class="config.mtu_mismatch", evidence=quoted(scene.of("netdev", "mtu")), confidence=0.6
        )


def _allowances(scene: Scene) -> Iterator[Conclusion]:
    used_up = [each for each in scene.of("nic") if each.name.endswith(_ALLOWANCE) and each.value > 0]
    if used_up:
        yield Conclusion(
            fault_class="ethernet.bandwidth_limited", evidence=quoted(used_up),
            where=", ".join(dict.fromkeys(each.device for each in used_up if each.device)),
            ruled_out=("broken adapter: the cloud shapes this instance's traffic",),
        )  # fmt: skip


_RDMA_LINE: Final = re.compile(r"\b(?:mlx[45]_\d|ib\d|IPoIB|[Ii]nfini[Bb]and)")


def _link_lines(scene: Scene) -> Iterator[Conclusion]:
    downs: dict[tuple[str, bool], list[Observation]] = defaultdict(list)
    for each in scene.signs("eth_down"):
        if each.text.lower().count("nvlink") == 0 and "surprise_down_gpu" not in scene.on_line(each):
            downs[f"{each.node} {each.device}".strip(), bool(_RDMA_LINE.search(each.text))].append(each)
    for (where, rdma), rows in downs.items():
        back = [each for each in scene.signs("eth_up") if each.device == rows[0].device]
        if rdma:
            fault = "ib_link.flapping" if len(rows) >= _FLAPS else "ib_link.down"
        else:
            fault = "ethernet.link_down"
        yield Conclusion(
            fault_class=fault, evidence=quoted(rows + back), where=where,
            confidence=0.6 if back else 0.8, action="check_link",
            note="the link came back" if back else "",
        )  # fmt: skip


# ibv_wc_status (rdma-core, libibverbs/verbs.h): what each points to.
_STATUS: Final[dict[int, str]] = {
    1: "config.rdma_setting",
    2: "config.rdma_setting",
    4: "config.rdma_setting",
    9: "config.rdma_setting",
    10: "config.rdma_setting",
    11: "collective.peer_lost",
    12: "ib_link.path_error",
    13: "ib_link.path_error",
}
_FLUSHED: Final = 5


def _completions(scene: Scene) -> Iterator[Conclusion]:
    events = scene.signs("nccl_ib_event")
    lines = scene.signs("nccl_ib_status")
    for each in events:
        event = each.fields.get("event", "").lower()
        if "port error" in event:
            yield Conclusion(fault_class="ib_link.down", evidence=quoted([each, *lines]), where=each.device)
        elif "access violation" in event or "work queue" in event:
            yield Conclusion(
                fault_class="config.rdma_setting", evidence=quoted([*events, *lines]), where=each.device,
                confidence=0.6, explains=tuple(lines),
                settle=("MTU and GID index of both ends", "whether GPUDirect is in use"),
            )  # fmt: skip
            break
    by_fault: dict[str, list[Observation]] = defaultdict(list)
    for each in lines:
        status = int(each.fields.get("status", "0"))
        fault = _STATUS.get(status)
        if fault:
            by_fault[fault].append(each)
        elif status == _FLUSHED and not events and len({row.fields.get("status") for row in lines}) == 1:
            by_fault["collective.peer_lost"].append(each)
    for fault, rows in by_fault.items():
        yield Conclusion(
            fault_class=fault, evidence=quoted(rows),
            role=EFFECT if fault == "collective.peer_lost" else "root",
            where=", ".join(dict.fromkeys(each.fields.get("peer", "") for each in rows)).strip(", "),
            settle=("the port counters of both ends", "the log of the peer"),
        )  # fmt: skip


def _exported(scene: Scene) -> Iterator[Conclusion]:
    metrics = scene.of("metric")
    by_device = grouped(metrics)
    for where, rows in by_device.items():
        downed = [
            each
            for each in rows
            if each.name == "node_infiniband_link_downed_total" and each.value > _LINK_DOWNED_TOTAL
        ]
        state = [each for each in rows if each.name == "node_infiniband_state_id" and each.value not in {4.0}]
        if state:
            yield Conclusion(fault_class="ib_link.down", evidence=quoted(state), where=where)
        if downed:
            yield Conclusion(fault_class="ib_link.flapping", evidence=quoted(downed), where=where)
