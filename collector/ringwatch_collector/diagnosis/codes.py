"""Judges Xid and SXid lines: which came first on which GPU, and what only followed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from ringwatch_collector.diagnosis.conclusion import EFFECT, Conclusion
from ringwatch_collector.diagnosis.scene import Scene, quoted
from ringwatch_knowledge import sxid, xid
from ringwatch_knowledge.observation import Observation

# The driver's own words beat its number: the same code has told different things in different drivers.
_WORDS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"allen off the bus"), "gpu.off_bus"),
    (re.compile(r"waiting for RPC response|GSP RPC|GSP task exception|GSP-CrashCat"), "firmware.gsp_failure"),
    (re.compile(r"\bUncontained\b"), "gpu_memory.uncorrectable_uncontained"),
    (re.compile(r"\bContained\b"), "gpu_memory.uncorrectable_contained"),
    (
        re.compile(r"(?i)remapp?\w* .*fail|failed to (?:record|remap)|retirement.*fail"),
        "gpu_memory.remap_failed",
    ),
    (
        re.compile(
            r"Out Of Range Address|Illegal Address|Invalid Address|Misaligned Address|MMU Fault|FAULT_P[DT]E"
        ),
        "application.illegal_address",
    ),
    (re.compile(r"(?i)NVLink:? .{0,200}\bfatal error"), "nvlink.fatal"),
    (re.compile(r"(?i)NVLink.{0,200}\b(?:non-?fatal|recoverable|retrained|minor)\b"), "nvlink.nonfatal"),
    (re.compile(r"CTX SWITCH TIMEOUT"), "gpu.engine_hang"),
)
_NONFATAL: Final = re.compile(r"(?i)\bnon-?fatal\b")

_FOLLOW_ON: Final = frozenset({43, 45, 154, 174, 68})
_MEMORY: Final = "gpu_memory."
_FIRST_S: Final = 60.0
# Uncorrectable errors this often, this far apart, are no single event (a reset lies between them).
_REPEATED_TIMES: Final = 3
_REPEATED_APART_S: Final = 600.0
_REPEATED_SPAN_S: Final = 3600.0


def fault_of(seen: Observation) -> str:
    """Return the class of fault of one Xid line."""
    code = int(seen.value)
    meaning = xid.lookup(code, seen.text)
    if code in {144, 145, 146, 147, 148, 149, 150, 154}:
        return meaning.fault_class
    for words, fault in _WORDS:
        if words.search(seen.text):
            if fault == "nvlink.fatal" and _NONFATAL.search(seen.text):
                return "nvlink.nonfatal"
            return fault
    if code == 43:
        return "application.gpu_exception"
    return meaning.fault_class


def judge(scene: Scene) -> Iterator[Conclusion]:
    """Yield what the driver's codes tell."""
    by_device: dict[str, list[Observation]] = defaultdict(list)
    for each in scene.of("xid"):
        by_device[f"{each.node} {each.device}".strip()].append(each)
    known = [where for where in by_device if where]
    if len(known) == 1 and "" in by_device:
        # A summary names the GPU once and goes on without it.
        by_device[known[0]] += by_device.pop("")
    conclusions = [each for where, seen in by_device.items() for each in _of_device(where, seen)]
    yield from _merged(conclusions)
    yield from _switches(scene)


def _of_device(where: str, seen: list[Observation]) -> Iterator[Conclusion]:
    classes: dict[str, list[Observation]] = defaultdict(list)
    for each in seen:
        classes[fault_of(each)].append(each)
    follow_on = [each for each in seen if int(each.value) in _FOLLOW_ON]
    memory = [each for name, rows in classes.items() if name.startswith(_MEMORY) for each in rows]
    roots = {name: rows for name, rows in classes.items() if not _only_follows(rows)}
    if memory:
        yield _memory(where, memory, follow_on)
    for name, rows in roots.items():
        if not name.startswith(_MEMORY) and not name.startswith("none."):
            yield _one(where, name, rows, classes, follow_on)
    if not roots:
        yield _only_effects(where, seen)


def _only_follows(rows: list[Observation]) -> bool:
    return all(int(each.value) in _FOLLOW_ON for each in rows)


_CAUSE: Final = re.compile(r"caused by previous Xid (?P<code>\d{1,3})\b")


def _only_effects(where: str, seen: list[Observation]) -> Conclusion:
    caused = [each for each in seen if _CAUSE.search(each.text)]
    if caused:
        return _of_cause(where, seen, caused)
    codes = {int(each.value) for each in seen}
    if 154 in codes:
        last = [each for each in seen if int(each.value) == 154][-1]
        action = xid.lookup(154, last.text).first_action
        return Conclusion(
            fault_class="gpu.recovery_action", evidence=quoted(seen), where=where, role=EFFECT,
            action="more_evidence" if action == "none" else action,
            settle=("the Xid before this one: dmesg from the same hour",),
        )  # fmt: skip
    if 43 in codes:
        return Conclusion(
            fault_class="application.gpu_exception", evidence=quoted(seen), where=where,
            ruled_out=("GPU hardware: Xid 43 stops one channel after a fault of its own program",),
        )  # fmt: skip
    return Conclusion(
        fault_class="unknown.needs_more_evidence", evidence=quoted(seen), where=where, role=EFFECT,
        note="only follow-on codes: a channel was torn down because something else happened",
        settle=("the first Xid or SXid before these lines", "the job's own log"),
    )  # fmt: skip


def _of_cause(where: str, seen: list[Observation], caused: list[Observation]) -> Conclusion:
    """Name the Xid that tore a channel down, which the driver tells even where its own line is gone."""
    found = _CAUSE.search(caused[0].text)
    meaning = xid.lookup(int(found["code"]) if found else 0, "")
    # Only a fatal error of a link tears channels down.
    name = meaning.fault_class.replace("nvlink.nonfatal", "nvlink.fatal")
    return Conclusion(
        fault_class=name, evidence=quoted(caused + seen), where=where, role=EFFECT, confidence=0.7,
        note=f"torn down by Xid {found['code'] if found else ''}, whose own line is not here",
        settle=("the line of that Xid: dmesg from the same hour",),
    )  # fmt: skip


def _one(
    where: str,
    name: str,
    rows: list[Observation],
    classes: dict[str, list[Observation]],
    follow_on: list[Observation],
) -> Conclusion:
    role = EFFECT if name == "gpu.engine_hang" and _after_application(rows, classes) else "root"
    meaning = xid.lookup(int(rows[0].value), rows[0].text)
    action = {"check_app": "fix_app", "none": ""}.get(meaning.first_action, meaning.first_action)
    if name == "application.gpu_exception" and len(classes) > 1:
        action = "restart_app"
    return Conclusion(
        fault_class=name,
        evidence=quoted(rows),
        where=where,
        role=role,
        action=action if meaning.fault_class == name or name.startswith("nvlink") else "",
        explains=tuple(each for each in follow_on if each not in rows),
        confidence=0.9 if meaning.known else 0.5,
        note=_said(meaning, name),
    )


def _said(meaning: xid.XidMeaning, name: str) -> str:
    """Return the title, and for NVLink 5 what the unit that reports says of itself."""
    return f"{meaning.title}: {meaning.meaning}" if name.startswith("nvlink.") else meaning.title


def _after_application(rows: list[Observation], classes: dict[str, list[Observation]]) -> bool:
    """Say whether the GPU hung only after a program on it had faulted."""
    began = rows[0].at_s
    for name, others in classes.items():
        if name.startswith("application."):
            first = others[0]
            if began is None or first.at_s is None:
                return first.line < rows[0].line
            return 0 <= began - first.at_s <= _FIRST_S
    return False


def _memory(where: str, seen: list[Observation], follow_on: list[Observation]) -> Conclusion:
    names = [fault_of(each) for each in seen]
    hard = [each for each, name in zip(seen, names, strict=True) if "uncorrectable" in name]
    for name in ("gpu_memory.remap_failed", "gpu_memory.uncorrectable_uncontained"):
        if name in names:
            break
    else:
        if _again_and_again(hard):
            name = "gpu_memory.repeated_errors"
        elif hard:
            name = "gpu_memory.uncorrectable_contained"
        else:
            name = "gpu_memory.remap_pending" if "gpu_memory.remap_pending" in names else names[0]
    action = ""
    if name == "gpu_memory.uncorrectable_contained":
        actions = {xid.lookup(int(each.value), each.text).first_action for each in hard}
        action = "restart_app" if actions == {"restart_app"} else "drain_and_reset"
    return Conclusion(
        fault_class=name,
        evidence=quoted(seen),
        where=where,
        action=action,
        confidence=0.9,
        explains=tuple(follow_on),
        ruled_out=("the program: memory errors are the GPU's own",),
    )


def _again_and_again(hard: list[Observation]) -> bool:
    times = sorted(each.at_s for each in hard if each.at_s is not None)
    separate = 0
    last = float("-inf")
    for at_s in times:
        if at_s - last > _REPEATED_APART_S:
            separate, last = separate + 1, at_s
    return separate >= _REPEATED_TIMES and times[-1] - times[0] > _REPEATED_SPAN_S


def _merged(conclusions: list[Conclusion]) -> Iterator[Conclusion]:
    """Join what several GPUs say of one thing: links have two ends, a job has many GPUs."""
    groups: dict[tuple[str, str], list[Conclusion]] = defaultdict(list)
    for each in conclusions:
        groups[each.fault_class, each.role].append(each)
    for same in groups.values():
        if len(same) == 1:
            yield same[0]
            continue
        first = min(same, key=lambda each: each.first_s)
        yield Conclusion(
            fault_class=first.fault_class,
            role=first.role,
            action=first.action,
            confidence=first.confidence,
            where=", ".join(each.where for each in same[:8]) + (" ..." if len(same) > 8 else ""),
            evidence=quoted((row for each in same for row in each.evidence), 12),
            explains=tuple(row for each in same for row in each.explains),
            note=first.note,
            ruled_out=first.ruled_out,
            settle=("whether the GPUs share a link partner, switch, or job",),
        )


def _switches(scene: Scene) -> Iterator[Conclusion]:
    seen = scene.of("sxid") + [
        each for each in scene.signs("fm_sxid") if re.fullmatch("[0-9]{1,6}", each.fields.get("code", ""))
    ]
    groups: dict[str, list[Observation]] = defaultdict(list)
    for each in seen:
        code = int(each.fields.get("code") or each.value)
        word = each.fields.get("fatality", "")
        meaning = sxid.lookup(code, word.capitalize() if word else "")
        name = meaning.fault_class if meaning.fault_class.startswith("nvswitch") else "nvswitch.nonfatal"
        groups[name].append(each)
    for name, rows in groups.items():
        yield Conclusion(
            fault_class=name,
            evidence=quoted(rows),
            where=", ".join(dict.fromkeys(f"{each.node} {each.device}".strip() for each in rows)),
            confidence=0.9,
        )
