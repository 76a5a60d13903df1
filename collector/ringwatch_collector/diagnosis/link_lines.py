"""Judges lines about links: a driver's word that one went down, and RDMA completions that failed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from ringwatch_collector.diagnosis.conclusion import EFFECT, Conclusion
from ringwatch_collector.diagnosis.scene import Scene, quoted
from ringwatch_knowledge.observation import Observation

_FLAPS: Final = 3


def judge(scene: Scene) -> Iterator[Conclusion]:
    """Yield what drivers and libraries say of links."""
    yield from _link_lines(scene)
    yield from _completions(scene)


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


def _code(seen: Observation) -> int:
    return int(seen.fields.get("status") or seen.fields.get("code") or 0)


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
        status = _code(each)
        fault = _STATUS.get(status)
        if fault:
            by_fault[fault].append(each)
        elif status == _FLUSHED and not events and len({_code(row) for row in lines}) == 1:
            by_fault["collective.peer_lost"].append(each)
    for fault, rows in by_fault.items():
        yield Conclusion(
            fault_class=fault, evidence=quoted(rows),
            role=EFFECT if fault == "collective.peer_lost" else "root",
            where=", ".join(dict.fromkeys(each.fields.get("peer", "") for each in rows)).strip(", "),
            settle=("the port counters of both ends", "the log of the peer"),
        )  # fmt: skip
