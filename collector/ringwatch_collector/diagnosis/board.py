"""Judges how GPUs are connected inside a node: PCIe slots, NVLink bridges, sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ringwatch_collector.diagnosis.conclusion import BENIGN, Conclusion
from ringwatch_collector.diagnosis.scene import Scene, grouped, quoted


def judge(scene: Scene) -> Iterator[Conclusion]:
    """Yield what lspci, NVLink states and the topology matrix tell."""
    yield from _lspci(scene)
    yield from _nvlink(scene)
    yield from _topology(scene)


def _lspci(scene: Scene) -> Iterator[Conclusion]:
    capable = {each.device: each for each in scene.of("pcie", "cap")}
    for each in scene.of("pcie", "sta"):
        if each.word == "other":
            continue
        cap = capable.get(each.device)
        evidence = (each, cap) if cap is not None else (each,)
        narrow = bool(each.fields["narrow"]) or (cap is not None and each.value < cap.value)
        if narrow and each.word != "" and (cap is None or each.value * 2 <= cap.value):
            yield Conclusion(fault_class="pcie.degraded", evidence=evidence, where=each.device)
        elif narrow or each.fields["slow"]:
            yield Conclusion(
                fault_class=BENIGN, evidence=evidence, where=each.device,
                note="a GPU that idles lowers its link speed; judge it under load",
            )  # fmt: skip


def _nvlink(scene: Scene) -> Iterator[Conclusion]:
    models = {each.device: each.word for each in scene.of("nvlink", "gpu")}
    for where, rows in grouped(scene.of("nvlink", "link")).items():
        dead = [each for each in rows if each.word == "inactive"]
        partly = 0 < len(dead) < len(rows)
        board = any(
            word in models.get(rows[0].device, "") for word in ("SXM", "HGX", "NVL", "GB200", "GB300")
        )
        if partly or (dead and board):
            links = ", ".join(each.fields["link"] for each in dead)
            yield Conclusion(
                fault_class="nvlink.inactive", evidence=quoted(dead), where=where, note=f"links {links}"
            )
        elif dead:
            yield Conclusion(
                fault_class=BENIGN, evidence=quoted(dead), where=where,
                note="no link is active and the card has no NVLink board: a PCIe card without a bridge",
            )  # fmt: skip


_FAR: Final = frozenset({"SYS"})


def _topology(scene: Scene) -> Iterator[Conclusion]:
    rows = scene.of("topology", "row")
    far = {each.device: set(each.word.split()) - {"X"} <= _FAR for each in rows}
    if len(rows) > 2 and any(far.values()) and not all(far.values()):
        odd = [each for each in rows if far[each.device]]
        yield Conclusion(
            fault_class="config.numa_placement", evidence=quoted(odd),
            where=", ".join(each.device for each in odd), confidence=0.6,
            note="these GPUs reach every other one only across the sockets",
        )  # fmt: skip
