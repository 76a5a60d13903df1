"""Judges RDMA ports: state, rate and counters. Counters alone accuse only past a limit."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from ringwatch_collector.diagnosis.conclusion import EFFECT, Conclusion
from ringwatch_collector.diagnosis.scene import Scene, grouped, named, quoted
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


def judge(scene: Scene) -> Iterator[Conclusion]:
    """Yield what ports and their counters tell."""
    for where, rows in grouped(scene.of("port")).items():
        yield from _state(where, rows)
        yield from _counters(where, rows)
    yield from _rates(scene)
    yield from _transport(scene)
    yield from _exported(scene)


def _state(where: str, rows: list[Observation]) -> Iterator[Conclusion]:
    states = named(rows, "state", "phys_state")
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
    downed = [each for each in named(rows, "link_downed") if each.value > _LINK_DOWNED_TOTAL]
    up = any(
        "active" in each.word.lower() or "linkup" in each.word.lower()
        for each in named(rows, "state", "phys_state")
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
