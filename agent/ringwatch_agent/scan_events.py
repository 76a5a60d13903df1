"""What events of the driver and the kernel log mean for a scan, by the catalogues. Reads no readings."""

from __future__ import annotations

from typing import Final

from ringwatch_agent.scan_trouble import Trouble
from ringwatch_agent.sources.base import EventRecord
from ringwatch_knowledge import kernel_log, sxid, xid
from ringwatch_proto import events
from ringwatch_proto.records import Severity

_BY_READINGS: Final = frozenset(
    {events.GPU_LOST, events.GPU_NOT_ANSWERING, events.GPU_RECOVERED, events.NVLINK_DOWN}
)


def meaning(event: EventRecord) -> Trouble | None:
    """Return what an event tells, None when it tells of nothing wrong or readings tell it better."""
    if event.kind == events.GPU_XID:
        known = xid.lookup(event.code, event.text)
        title, runbook = f"Xid {event.code}: {known.title}", known.runbook
        return _catalogued(known.severity, known.fault_class, known.first_action, runbook, title)
    if event.kind == events.NVSWITCH_SXID:
        switch = sxid.lookup(event.code, event.fields.get("fatality", ""))
        text = f"NVSwitch SXid {event.code}: {switch.title}"
        return _catalogued(switch.severity, switch.fault_class, switch.first_action, "nvswitch", text)
    if event.kind in _BY_READINGS and event.source == "nvml":
        return None
    if event.kind in (events.KERNEL_ERROR, events.KERNEL_OOM, events.GPU_LOST, events.NVLINK_DOWN):
        return _kernel(event)
    if event.kind == events.HOST_FAULT:
        return _catalogued(event.severity, "host.condition", "more_evidence", "host-fault", event.text)
    return None


def _kernel(event: EventRecord) -> Trouble:
    shapes = {pattern.id: pattern for pattern in kernel_log.patterns()}
    shape = shapes.get(event.fields.get("pattern", ""))
    title = f"{shape.title}: " if shape else ""
    action = shape.first_action if shape and shape.first_action else "more_evidence"
    fault_class = (
        "gpu.off_bus" if event.kind == events.GPU_LOST else f"kernel.{shape.id if shape else 'error'}"
    )
    runbook = "gpu-off-the-bus" if event.kind == events.GPU_LOST else "host-fault"
    return _catalogued(event.severity, fault_class, action, runbook, f"{title}{event.text}")


def _catalogued(severity: int, fault_class: str, action: str, runbook: str, text: str) -> Trouble:
    return Trouble(
        severity=Severity(severity), fault_class=fault_class, action=action, runbook=runbook, text=text
    )
