"""Judges network devices of the host: link, MTU, and what a cloud allows them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ringwatch_collector.diagnosis.conclusion import Conclusion
from ringwatch_collector.diagnosis.scene import Scene, grouped, named, quoted

_ALLOWANCE: Final = "allowance_exceeded"
# At 100 Gb/s and above a site without jumbo frames is not set up as meant.
_FAST_MBPS: Final = 100_000.0
_SMALL_MTU: Final = 1500.0


def judge(scene: Scene) -> Iterator[Conclusion]:
    """Yield what network devices and their counters tell."""
    yield from _netdevs(scene)
    yield from _allowances(scene)


def _netdevs(scene: Scene) -> Iterator[Conclusion]:
    devices = grouped(scene.of("netdev"))
    speeds = {each.device: each.value for each in scene.of("netdev", "speed")}
    small = []
    for where, rows in devices.items():
        flags = ",".join(each.word for each in named(rows, "flags"))
        if "LOOPBACK" in flags or where.startswith(("lo", "docker", "veth", "virbr", "cni", "br-")):
            continue
        down = [
            each
            for each in named(rows, "operstate", "link_detected")
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
            small += [each for each in named(rows, "mtu") if each.value <= _SMALL_MTU]
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
