"""Judges readings of GPUs: memory, clocks, links, fabric. A healthy reading raises nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Final

from ringwatch_collector.diagnosis import codes
from ringwatch_collector.diagnosis.conclusion import BENIGN, Conclusion
from ringwatch_collector.diagnosis.scene import Scene, grouped, quoted
from ringwatch_knowledge import clock_events
from ringwatch_knowledge.observation import Observation

# Codes have up to three digits; more is a sentinel of an exporter.
_MOST_CODE: Final = 1000
_BUSY_PERCENT: Final = 50.0
# A reading that is wrong when it says yes, or is above zero.
_FLAGS: Final[dict[str, str]] = {
    "ecc_unc_volatile": "gpu_memory.uncorrectable_contained",
    "sram_threshold_exceeded": "gpu_memory.repeated_errors",
    "remap_pending": "gpu_memory.remap_pending",
    "retire_pending": "gpu_memory.remap_pending",
    "remap_failure": "gpu_memory.remap_failed",
    "reason_hw_thermal": "cooling.thermal_throttle",
    "reason_sw_thermal": "cooling.thermal_throttle",
    "reason_power_brake": "power.brake",
}
_YES: Final = frozenset({"yes", "active", "enabled", "pending"})


def on(seen: Observation) -> bool:
    """Say whether a flag is set: a word for yes, or a number above zero."""
    if seen.word.lower() in _YES:
        return True
    return not math.isnan(seen.value) and seen.value > 0


def judge(scene: Scene) -> Iterator[Conclusion]:
    """Yield what the readings of GPUs tell, look-alikes of faults as benign included."""
    readings = scene.of("gpu")
    for where, rows in grouped(readings).items():
        yield from _flags(where, rows)
        yield from _clocks(where, rows)
        yield from _pcie(where, rows)
        yield from _temperature(where, rows)
        yield from _power(where, rows)
        yield from _state(where, rows)
    yield from _fabric(readings)
    yield from _exported_xids(scene, readings)
    yield from _missing(readings)


def _named(rows: list[Observation], name: str) -> Observation | None:
    return next((each for each in rows if each.name == name), None)


def _value(rows: list[Observation], name: str) -> float:
    seen = _named(rows, name)
    return seen.value if seen is not None else float("nan")


def _busy(rows: list[Observation]) -> bool:
    return _value(rows, "util_percent") > _BUSY_PERCENT or _value(rows, "util_ratio") * 100 > _BUSY_PERCENT


def _flags(where: str, rows: list[Observation]) -> Iterator[Conclusion]:
    found: dict[str, list[Observation]] = {}
    for each in rows:
        fault = _FLAGS.get(each.name)
        if fault and on(each):
            found.setdefault(fault, []).append(each)
    context = [each for each in rows if each.name in {"remap_unc", "remap_corr"} and each.value > 0]
    for fault, seen in found.items():
        extra = context if fault.startswith("gpu_memory") else []
        yield Conclusion(fault_class=fault, evidence=quoted([*seen, *extra]), where=where, confidence=0.9)
    if context and not any(fault.startswith("gpu_memory") for fault in found):
        yield Conclusion(
            fault_class=BENIGN, evidence=quoted(context), where=where,
            note="rows were remapped in the past and nothing is pending",
        )  # fmt: skip


def _clocks(where: str, rows: list[Observation]) -> Iterator[Conclusion]:
    mask = _value(rows, "reasons_mask")
    if 0 < mask < 2**63:
        seen = quoted([each for each in rows if each.name == "reasons_mask"])
        bits = int(mask)
        if bits & clock_events.THERMAL_MASK:
            yield Conclusion(fault_class="cooling.thermal_throttle", evidence=seen, where=where)
        if bits & clock_events.POWER_MASK:
            yield Conclusion(fault_class="power.brake", evidence=seen, where=where)
    active = [each for each in rows if each.name.startswith("reason_") and on(each)]
    names = {each.name for each in active}
    if "reason_hw_slowdown" in names and not names & {"reason_hw_thermal", "reason_power_brake"}:
        yield Conclusion(
            fault_class="power.brake", evidence=quoted(active), where=where, confidence=0.5,
            note="hardware slowdown with neither heat nor brake named",
            settle=("HW Thermal Slowdown and HW Power Brake of the same moment", "the BMC's event log"),
        )  # fmt: skip
    harmless = [each for each in active if each.name in {"reason_idle", "reason_sw_power_cap"}]
    if harmless:
        yield Conclusion(
            fault_class=BENIGN, evidence=quoted(harmless), where=where,
            note="clocks are low because nothing runs, or held at the power limit under load",
        )  # fmt: skip


def _pcie(where: str, rows: list[Observation]) -> Iterator[Conclusion]:
    gen, gen_max = _value(rows, "pcie_gen"), _value(rows, "pcie_gen_max")
    width, width_max = _value(rows, "pcie_width"), _value(rows, "pcie_width_max")
    seen = quoted([each for each in rows if each.name.startswith("pcie_")])
    busy = _busy(rows)
    if math.isnan(gen_max) and gen == 1 and not busy:
        yield Conclusion(
            fault_class=BENIGN, evidence=seen, where=where,
            note="generation 1 is what an idle GPU shows; judge it under load",
        )  # fmt: skip
    if width * 4 <= width_max or (width < width_max and busy) or (gen < gen_max and busy):
        yield Conclusion(fault_class="pcie.degraded", evidence=seen, where=where)
    elif width < width_max or gen < gen_max:
        yield Conclusion(
            fault_class=BENIGN, evidence=seen, where=where,
            note="an idle GPU lowers its link; judge it under load",
        )  # fmt: skip


def _temperature(where: str, rows: list[Observation]) -> Iterator[Conclusion]:
    margin, heat = _named(rows, "temp_margin_c"), _named(rows, "temp_c")
    limit = _value(rows, "temp_slowdown_c")
    if margin is not None and margin.value <= 0:
        yield Conclusion(fault_class="cooling.thermal_throttle", evidence=(margin,), where=where)
    elif heat is not None and heat.value >= limit:
        yield Conclusion(fault_class="cooling.thermal_throttle", evidence=(heat,), where=where)


def _power(where: str, rows: list[Observation]) -> Iterator[Conclusion]:
    capped = _named(rows, "reason_sw_power_cap")
    limit, default = _value(rows, "power_limit_watts"), _value(rows, "power_default_watts")
    # Vendors' tools set limits on purpose within a few watts; a tenth is no rounding.
    if limit < default * 0.9:
        seen = quoted([each for each in rows if each.name in {"power_limit_watts", "power_default_watts"}])
        # A lower limit alone is somebody's wish; it is trouble when it is what holds the clocks down.
        if capped is not None and on(capped):
            yield Conclusion(
                fault_class="power.cap", evidence=(*seen, capped), where=where, action="fix_config"
            )
        else:
            yield Conclusion(
                fault_class=BENIGN, evidence=seen, where=where, note="the limit was set below the board's own"
            )


def _state(where: str, rows: list[Observation]) -> Iterator[Conclusion]:
    unreadable = [each for each in rows if each.name == "unreadable"]
    fields = {name for each in unreadable for name in each.word.split(",")}
    if len(fields) > 1:
        yield Conclusion(fault_class="gpu.off_bus", evidence=quoted(unreadable), where=where, confidence=0.7)
    elif fields:
        yield Conclusion(
            fault_class=BENIGN, evidence=quoted(unreadable), where=where,
            note="one reading failed while the others of the same GPU are there: read it again",
        )  # fmt: skip
    recovery = _named(rows, "recovery_action")
    wanted = recovery is not None and recovery.word.lower() not in {"none", "n/a", ""}
    code = _named(rows, "recovery_action_code")
    if recovery is not None and wanted:
        yield Conclusion(
            fault_class="gpu.recovery_action", evidence=(recovery,), where=where, action="reset_gpu"
        )
    elif code is not None and code.value > 0:
        yield Conclusion(fault_class="gpu.recovery_action", evidence=(code,), where=where, action="reset_gpu")
    reset = _named(rows, "reset_required")
    if reset is not None and on(reset):
        yield Conclusion(
            fault_class="gpu.recovery_action", evidence=(reset,), where=where, action="reset_gpu"
        )


def _fabric(readings: list[Observation]) -> Iterator[Conclusion]:
    bad = [
        each
        for each in readings
        if (each.name == "fabric_state" and each.word.lower() in {"in progress", "not started"})
        or (each.name == "fabric_status" and each.word.lower() not in {"success", "n/a"})
        or (each.name == "fabric_state_code" and each.value in {1, 2})
    ]
    if bad:
        yield Conclusion(
            fault_class="fabric_manager.not_ready", evidence=quoted(bad),
            settle=("the log of Fabric Manager (or nvlsm)", "how many GPUs the machine should have"),
        )  # fmt: skip


def _exported_xids(scene: Scene, readings: list[Observation]) -> Iterator[Conclusion]:
    rows = []
    for each in readings:
        if (
            each.name == "xid_count"
            and each.value > 0
            and re.fullmatch(r"[0-9]{1,4}", each.fields.get("xid", ""))
        ):
            rows.append(_as_xid(each, int(each.fields["xid"])))
        elif each.name == "xid" and 0 < each.value < _MOST_CODE:
            rows.append(_as_xid(each, int(each.value)))
    if rows and not scene.of("xid"):
        yield from codes.judge(Scene(rows))


def _as_xid(seen: Observation, code: int) -> Observation:
    return Observation(
        kind="xid", name=str(code), text=seen.text, file=seen.file, line=seen.line, value=float(code),
        node=seen.fields.get("Hostname", seen.node), device=seen.device, at_s=seen.at_s,
    )  # fmt: skip


def _missing(readings: list[Observation]) -> Iterator[Conclusion]:
    attached = next((each for each in readings if each.name == "attached"), None)
    # Boards come with 8 or 16 GPUs: one fewer is no machine that anybody sells.
    if attached is not None and attached.value in {7.0, 15.0}:
        yield Conclusion(
            fault_class="gpu.missing", evidence=(attached,), confidence=0.5,
            settle=("how many GPUs the machine should have", "lspci of the same node"),
        )  # fmt: skip
