"""Writes a scan as one screen of text or as JSON lines. Judges nothing, prints nothing."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Final

from ringwatch_agent.look import Look, rows
from ringwatch_agent.running import losses
from ringwatch_agent.scan import Scan
from ringwatch_agent.scan_trouble import Trouble
from ringwatch_proto.records import Severity
from ringwatch_proto.signals import GpuState, Table, is_whole_gpu

_MOST_LINES: Final = 12
# How the reason of a source begins that is read only when it was asked for.
_NOT_SET: Final = "not set"
ACTIONS: Final[dict[str, str]] = {
    "check_app": "look at the job first; at the GPU when it comes back under other jobs",
    "check_link": "check cable, module and switch port",
    "check_nvlink": "check the NVLink and the device at its other end",
    "check_pcie": "check slot, riser and retimer; reseat at the next service",
    "check_power_cooling": "check power supply, fans and inlet air",
    "contact_vendor": "collect a bug report and ask the vendor",
    "drain_and_replace": "drain the node and have the part replaced",
    "drain_and_reset": "drain the node, then reset the GPU",
    "fix_app": "look at the job, not at the node",
    "fix_config": "correct the setting",
    "free_resource": "free what is used up",
    "more_evidence": "look closer: the evidence does not settle it",
    "none": "nothing to do",
    "reboot_node": "drain the node, then reboot it",
    "reset_gpu": "reset the GPU once no job is on it",
    "restart_app": "restart the job",
    "restart_service": "restart the service that it names",
    "watch": "watch it",
}


def screen(node: str, seen: Look, scan: Scan, dropped: Mapping[str, int]) -> str:
    """Return the scan as one screen; ``dropped`` is what the running agent lost since it started."""
    lines = [_headline(node, seen, scan), ""]
    for trouble in scan.troubles[:_MOST_LINES]:
        lines += _lines(trouble)
    if len(scan.troubles) > _MOST_LINES:
        lines.append(f"     and {len(scan.troubles) - _MOST_LINES} more: --json shows all")
    if not scan.troubles:
        lines.append("     nothing is wrong as far as was seen")
    if lost := losses(dropped):
        lines += ["", f"the running agent has dropped since it started: {lost}"]
    lines += ["", *_used(seen), *_unseen(seen, scan)]
    return "\n".join(lines)


def objects(node: str, seen: Look, scan: Scan, dropped: Mapping[str, int]) -> str:
    """Return one JSON object a trouble, one for each who uses a GPU, then one of the whole, a line each."""
    return "\n".join([*_troubles(scan), *_owners(seen), _whole(node, seen, scan, dropped)])


def _troubles(scan: Scan) -> Iterator[str]:
    for trouble in scan.troubles:
        yield json.dumps(
            {
                "trouble": trouble.fault_class,
                "component": trouble.component,
                "severity": trouble.severity.word,
                "device": trouble.device,
                "where": trouble.where,
                "text": trouble.text,
                "action": trouble.action,
                "what_to_do": ACTIONS.get(trouble.action, trouble.action),
                "runbook": trouble.runbook,
                "source": trouble.source,
            }
        )


def _owners(seen: Look) -> Iterator[str]:
    return (json.dumps({"owner": asdict(owner)}) for owner in seen.owners)


def _whole(node: str, seen: Look, scan: Scan, dropped: Mapping[str, int]) -> str:
    down = {health.name: health.reason or "no answer" for health in seen.health.values() if not health.up}
    return json.dumps(
        {
            "node": node,
            "worst": scan.worst.word if scan.troubles else "OK",
            "troubles": len(scan.troubles),
            "gpus": _states(seen),
            "not_read": down,
            "older_faults": scan.older_faults,
            "dropped": dict(dropped),
            "took_s": round(seen.took_s, 2),
        }
    )


def gaps(seen: Look) -> list[tuple[list[str], str, list[str]]]:
    """Return (signals, reason, devices) of what is not read, devices that lack the same together."""
    names = {device.id: device.name for table in seen.tables.values() for device in table.devices}
    lacks: dict[tuple[str, str], list[str]] = {}
    for device, signals in seen.missing.items():
        for signal, reason in signals.items():
            lacks.setdefault((signal, reason), []).append(names.get(device, device))
    grouped: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (signal, reason), devices in lacks.items():
        grouped.setdefault((reason, tuple(devices)), []).append(signal)
    return [(sorted(signals), reason, list(devices)) for (reason, devices), signals in grouped.items()]


def _headline(node: str, seen: Look, scan: Scan) -> str:
    counts = Counter(trouble.severity for trouble in scan.troubles)
    worst = [f"{counts[severity]} {severity.word}" for severity in reversed(Severity) if counts[severity]]
    states = _states(seen)
    gpus = ", ".join(f"{count} {state}" for state, count in states.items()) or "none seen"
    told = [node, "  ".join(worst) or "OK", f"{sum(states.values())} GPUs: {gpus}", _models(seen)]
    return "   ".join(part for part in told if part)


def _states(seen: Look) -> dict[str, int]:
    if Table.GPU not in seen.tables:
        return {}
    counts: Counter[str] = Counter()
    for device, readings in rows(seen.tables[Table.GPU]):
        if is_whole_gpu(device.id):
            state = readings.get("gpu.state", math.nan)
            known = not math.isnan(state)
            counts[GpuState(int(state)).name.lower().replace("_", " ") if known else "no answer yet"] += 1
    return dict(counts)


def _models(seen: Look) -> str:
    if Table.GPU not in seen.tables:
        return ""
    devices = [each for each in seen.tables[Table.GPU].devices if is_whole_gpu(each.id)]
    models = sorted({device.model for device in devices if device.model})
    drivers = sorted({facts["driver"] for facts in seen.facts.values() if facts.get("driver")})
    return ", ".join([*models, *(f"driver {driver}" for driver in drivers)])


def _used(seen: Look) -> Iterator[str]:
    """Yield a line a job: which ranks of it use which GPUs here."""
    names = {device.id: device.name for table in seen.tables.values() for device in table.devices}
    jobs: dict[tuple[str, str], list[str]] = {}
    for owner in seen.owners:
        rank = f" rank {owner.rank}" if owner.rank >= 0 else ""
        key = (owner.job or owner.program or owner.pod, owner.user)
        jobs.setdefault(key, []).append(f"{names.get(owner.gpu, owner.gpu)}{rank}")
    for (job, user), places in jobs.items():
        yield f"used by {job}{f' of {user}' if user else ''}: {', '.join(places)}"


def _lines(trouble: Trouble) -> list[str]:
    where = f"{trouble.where}  " if trouble.where else ""
    action = ACTIONS.get(trouble.action, trouble.action)
    runbook = f"   (ringwatch runbook show {trouble.runbook})" if trouble.runbook else ""
    return [
        f"{trouble.severity.word:<4} {where}{trouble.fault_class}: {trouble.text}",
        f"     -> {action}{runbook}",
    ]


def _unseen(seen: Look, scan: Scan) -> list[str]:
    down = [health for health in seen.health.values() if not health.up]
    not_set = [health.name for health in down if health.reason.startswith(_NOT_SET)]
    lines = [
        f"not read: {health.name}: {health.reason or 'no answer'}"
        for health in down
        if health.name not in not_set
    ]
    if not_set:
        lines.append(f"not set up: {', '.join(not_set)}")
    if scan.older_faults:
        lines.append(f"{scan.older_faults} faults older than an hour in the kernel log are not judged")
    lines.append(f"looked for {seen.took_s:.1f} s")
    return lines
