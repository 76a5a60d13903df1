"""Judges lines of known shape that stand for one fault each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ringwatch_collector.diagnosis import guesses
from ringwatch_collector.diagnosis.conclusion import EFFECT, Conclusion
from ringwatch_collector.diagnosis.scene import Scene, grouped, quoted
from ringwatch_knowledge import fault_classes, line_signs
from ringwatch_knowledge.observation import Observation

# On one line the more telling sign speaks: winner -> those it silences.
_SILENCES: Final[dict[str, frozenset[str]]] = {
    "shm_full": frozenset({"disk_full", "oom_job", "nccl_sys"}),
    "sigbus": frozenset({"dl_killed", "sigkill"}),
    "nccl_reg_mr": frozenset({"oom_job", "file_max", "nccl_ib_setup"}),
    "file_max": frozenset({"oom_job"}),
    "nccl_modify_qp": frozenset({"tcp_connect"}),
    "driver_not_loaded": frozenset({"container_nvml"}),
    "gloo_iface": frozenset({"tcp_connect"}),
    "nccl_ib_status": frozenset({"tcp_peer_closed"}),
    "sysrq": frozenset({"panic"}),
    "xid": frozenset({"gsp_heartbeat", "gpu_lost"}),
    "gpu_lost_nvml": frozenset({"k8s_alloc_failed"}),
    "nccl_ib_open": frozenset({"nccl_socket_net"}),
    "k8s_alloc_failed": frozenset({"container_nvml"}),
    "permission": frozenset({"slurm_prolog"}),
    "ray_died": frozenset({"sigkill", "segfault"}),
    "ray_oom": frozenset({"sigkill", "segfault"}),
    "rdma_lock_memory": frozenset({"oom_job", "efa_missing"}),
    "wc_retry": frozenset({"rdma_retry"}),
    "devx_denied": frozenset({"nvshmem"}),
}

# Judged together with others, elsewhere in this package.
_ELSEWHERE: Final = frozenset({
    "fm_sxid", "eth_down", "nccl_ib_status", "nccl_ib_event", "watchdog", "hvd_missing", "barrier_missing",
    "hung_task", "nfs_frames", "bbswitch_off", "py_exception", "elastic_failed", "mpi_signal",
    "aer_corrected", "aer_uncorrected", "peermem_notice", "k8s_alloc", "nccl_sys", "soft_lockup", "sysrq",
    "nccl_socket_net",
})  # fmt: skip

# A line of a shape that is known to be harmless accuses nobody, whatever words stand in it.
_BENIGN: Final = frozenset(sign.id for sign in line_signs.signs() if sign.role == "benign")


def judge(scene: Scene) -> Iterator[Conclusion]:
    """Yield one conclusion for each fault that lines of the catalogue speak for."""
    by_fault: dict[tuple[str, str, str], list[Observation]] = {}
    for sign in line_signs.signs():
        if sign.role in {"context", "benign", "hint"} or sign.id in _ELSEWHERE:
            continue
        for each in scene.signs(sign.id):
            if not _silenced(scene, each):
                key = (sign.fault_class, sign.role, sign.action)
                by_fault.setdefault(key, []).append(each)
    for (fault, role, action), seen in by_fault.items():
        yield Conclusion(
            fault_class=fault,
            role=role,
            action=action,
            evidence=quoted(seen),
            where=_where(seen),
            confidence=0.8 if role == "root" else 0.6,
        )
    yield from _powered_off(scene)
    yield from _on_purpose(scene)
    yield from _aer(scene)
    yield from _apei(scene)
    yield from _blocked(scene)
    yield from _weak(scene)


def _silenced(scene: Scene, seen: Observation) -> bool:
    names = scene.on_line(seen)
    if seen.name == "panic" and scene.signs("sysrq"):
        return True
    if guesses.explained_away(scene, seen):
        return True
    if any(name in _BENIGN for name in names):
        return True
    if seen.name in {"gsp_heartbeat", "gpu_lost"} and (scene.of("xid") and _told_by_xid(scene, seen)):
        return True
    return any(seen.name in _SILENCES.get(name, ()) for name in names)


def _told_by_xid(scene: Scene, seen: Observation) -> bool:
    codes = {79} if seen.name == "gpu_lost" else {119, 120}
    return any(int(each.value) in codes for each in scene.of("xid"))


def _where(seen: list[Observation]) -> str:
    places = dict.fromkeys(f"{each.node} {each.device}".strip() for each in seen)
    places.pop("", None)
    ranks = dict.fromkeys(f"rank {each.rank}" for each in seen if each.rank >= 0)
    return ", ".join([*list(places)[:6], *list(ranks)[:6]])


def _powered_off(scene: Scene) -> Iterator[Conclusion]:
    """Power saving that switches a GPU off explains that it is lost."""
    off, lost = scene.signs("bbswitch_off"), scene.signs("gpu_lost", "gpu_lost_nvml", "rminit_failed")
    if off and (lost or scene.of("xid")):
        yield Conclusion(
            fault_class="config.power_management", evidence=quoted(off + lost), explains=tuple(lost),
            where=_where(lost), ruled_out=("broken GPU: it was switched off by software just before",),
        )  # fmt: skip


def _on_purpose(scene: Scene) -> Iterator[Conclusion]:
    """A crash that somebody asked for explains the oops that it prints."""
    asked = scene.signs("sysrq")
    if asked:
        yield Conclusion(
            fault_class="host_cpu.kernel_crash", evidence=quoted(asked), action="none",
            explains=tuple(scene.signs("panic")), ruled_out=("driver or hardware: the crash was asked for",),
        )  # fmt: skip


def _aer(scene: Scene) -> Iterator[Conclusion]:
    hard = scene.signs("aer_uncorrected")
    soft = [each for each in scene.signs("aer_corrected") if "aer_uncorrected" not in scene.on_line(each)]
    if hard:
        yield Conclusion(
            fault_class="pcie.uncorrectable", evidence=quoted(hard + scene.signs("surprise_down_gpu")),
            action="check_pcie", where=_where(hard),
        )  # fmt: skip
    if soft:
        yield Conclusion(fault_class="pcie.correctable", evidence=quoted(soft), where=_where(soft))


_SEVERITY: Final = re.compile(r"event severity: (recoverable|fatal|corrected)")


def _apei(scene: Scene) -> Iterator[Conclusion]:
    """What the firmware reports of memory: severity and section stand on lines of their own."""
    lines = scene.signs("ghes_memory")
    memory = [each for each in lines if "section_type: memory" in each.text]
    severities = {found[1] for each in lines if (found := _SEVERITY.search(each.text))}
    if memory and severities:
        hard = severities & {"recoverable", "fatal"}
        yield Conclusion(
            fault_class="host_memory.uncorrectable" if hard else "host_memory.correctable",
            evidence=quoted(lines),
        )


def _blocked(scene: Scene) -> Iterator[Conclusion]:
    """Tasks that wait in the kernel: for storage when their stacks say so."""
    blocked, stacks = scene.signs("hung_task"), scene.signs("nfs_frames")
    locked = scene.signs("soft_lockup")
    if locked:
        yield Conclusion(
            fault_class="host_cpu.soft_lockup", evidence=quoted(locked + blocked), role="mixed",
            where=_where(locked),
        )  # fmt: skip
    if not blocked:
        return
    if stacks:
        yield Conclusion(
            fault_class="storage.hang", evidence=quoted(blocked + stacks), role=EFFECT, where=_where(blocked),
            confidence=0.6, settle=("nfsstat, the server's state, the mount's log",),
            order=0 if not locked else fault_classes.lookup("host_cpu.soft_lockup").order + 1,
        )  # fmt: skip
    elif not locked:
        fault = "host_cpu.soft_lockup" if len(blocked) > 2 else "host_cpu.unkillable_process"
        yield Conclusion(
            fault_class=fault, evidence=quoted(blocked), role=EFFECT, where=_where(blocked), confidence=0.5,
            settle=("the call traces below these lines: what they wait for",),
        )  # fmt: skip


def _weak(scene: Scene) -> Iterator[Conclusion]:
    """Lines that are told only for want of anything better: the ranking puts them last."""
    notice = scene.signs("peermem_notice")
    if notice:
        yield Conclusion(
            fault_class="driver.notice", evidence=quoted(notice), role=EFFECT, action="watch",
            note="printed when a process with registered GPU memory goes away",
        )  # fmt: skip
    raised = scene.signs("py_exception")
    if raised:
        yield Conclusion(
            fault_class="application.exception", evidence=quoted(raised), where=_where(raised), confidence=0.5
        )
    unclear = scene.signs("nccl_sys")
    if unclear:
        yield Conclusion(
            fault_class="unknown.needs_more_evidence", evidence=quoted(unclear), role=EFFECT, confidence=0.4,
            where=_where(unclear), settle=("the NCCL WARN lines before this one: set NCCL_DEBUG=INFO",),
        )  # fmt: skip
    sockets = scene.signs("nccl_socket_net")
    if sockets:
        yield Conclusion(
            fault_class="config.rdma_setting", evidence=quoted(sockets), confidence=0.5, order=86,
            where=_where(sockets), note="NCCL uses TCP: right where there is no RDMA, slow where there is",
            settle=("whether the node has RDMA ports: ibstat", "NCCL's reason: NCCL_DEBUG_SUBSYS=INIT,NET"),
        )  # fmt: skip
    ended = scene.signs("elastic_failed", "mpi_signal")
    if ended:
        yield Conclusion(
            fault_class="collective.peer_lost", evidence=quoted(ended), role=EFFECT, confidence=0.3,
            where=_where(ended), order=87, settle=("the log of the process that ended first",),
        )  # fmt: skip


def places(seen: list[Observation]) -> dict[str, list[Observation]]:
    """Return the observations by where they were made."""
    return grouped(seen)
