"""Turns a kernel log line into the fault it tells of. Reads no log, keeps no clock, raises nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cache

from ringwatch_knowledge import data_files, sxid, xid
from ringwatch_proto import events

# The kernel's own limit is below 1 KiB a record (CONSOLE_EXT_LOG_MAX); longer text is not its line.
LONGEST_LINE = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFault:
    """What one line tells.

    ``kind`` is a kind of ``ringwatch_proto.events``; ``severity`` is 1 info, 2 warning, 3 critical;
    ``code`` is the Xid or SXid, else 0; ``pci_address`` is ``0000:0a:00.0`` or empty; ``text`` is the
    line without its time stamp; ``fields`` are what the line holds, ``pattern`` included.
    """

    pattern_id: str
    kind: str
    severity: int
    code: int
    pci_address: str
    text: str
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One shape of line. Its literal anchors are looked for before the expression runs."""

    id: str
    title: str
    kind: str
    severity: int
    anchors: tuple[str, ...]
    regex: re.Pattern[str]
    code_from: str = ""
    pci_from: str = ""
    refines: str = ""
    first_action: str = ""
    # (field, expression, severity): the first that matches the whole field decides.
    severity_rules: tuple[tuple[str, re.Pattern[str], int], ...] = ()
    # (field, expression): a line whose field matches is no fault.
    ignore: tuple[tuple[str, re.Pattern[str]], ...] = ()

    def fields_of(self, line: str) -> dict[str, str] | None:
        """Return the named parts of a line of this shape, None for any other line."""
        if not any(anchor in line for anchor in self.anchors):
            return None
        found = self.regex.search(line)
        if found is None:
            return None
        fields = {name: value for name, value in found.groupdict().items() if value is not None}
        if any(rule.fullmatch(fields.get(name, "")) for name, rule in self.ignore):
            return None
        return fields


@cache
def patterns() -> tuple[Pattern, ...]:
    """Return every pattern, bases before what refines them."""
    return tuple(
        Pattern(
            id=row["id"],
            title=row["title"],
            kind=row["kind"],
            severity=row["severity"],
            anchors=tuple(row["anchors"]),
            regex=re.compile(row["regex"]),
            code_from=row.get("code_from", ""),
            pci_from=row.get("pci_from", ""),
            refines=row.get("refines", ""),
            first_action=row.get("first_action", ""),
            severity_rules=tuple(
                (name, re.compile(rule), severity) for name, rule, severity in row.get("severity_rules", [])
            ),
            ignore=tuple((name, re.compile(rule)) for name, rule in row.get("ignore", [])),
        )
        for row in data_files.read("kernel_log.json")["patterns"]
    )


_ADDRESS = re.compile(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([0-9a-f]{2})(?:\.([0-7]))?")
# Time stamps of dmesg, of dmesg -T, and the level that the console puts first.
_STAMP = re.compile(r"^(?:<\d+>)?\s*\[[^\]]{2,30}\]\s*")


def pci_address(text: str) -> str:
    """Return ``dddd:bb:dd.f`` in lower case for any way drivers write it; empty when it is none.

    The NVIDIA driver leaves out the function, which is 0 for a GPU, and NVML writes eight digits
    of domain where the kernel writes four.
    """
    found = _ADDRESS.fullmatch(text.lower())
    if found is None:
        return ""
    domain, bus, device, function = found.groups()
    return f"{int(domain or '0', 16):04x}:{bus}:{device}.{function or '0'}"


def _requester(fields: dict[str, str]) -> str:
    """Return the address of an old AER line, which gives the requester id instead: ``id=0010``."""
    if "id" not in fields:
        return ""
    requester = int(fields["id"], 16)
    return f"0000:{requester >> 8:02x}:{requester >> 3 & 0x1F:02x}.{requester & 7}"


def _severity(pattern: Pattern, fields: dict[str, str], code: int, text: str) -> int:
    if pattern.kind == events.GPU_XID:
        return xid.lookup(code, text).severity
    if pattern.kind == events.NVSWITCH_SXID:
        return sxid.lookup(code, fields.get("fatality", "")).severity
    for name, rule, severity in pattern.severity_rules:
        if rule.fullmatch(fields.get(name, "")):
            return severity
    return pattern.severity


def _printable(line: str) -> str:
    """Return the line without its time stamp and with nothing that moves a terminal's cursor."""
    text = _STAMP.sub("", line).strip()
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _refine(base: Pattern, line: str, fields: dict[str, str]) -> tuple[str, dict[str, str]]:
    for pattern in patterns():
        if pattern.refines == base.id:
            more = pattern.fields_of(line)
            if more is not None:
                return pattern.id, fields | more
    return base.id, fields


def _fault(pattern: Pattern, line: str, fields: dict[str, str]) -> KernelFault:
    code = int(fields.get(pattern.code_from, "0"))
    address = pci_address(fields.get(pattern.pci_from, "")) or _requester(fields)
    pattern_id, fields = _refine(pattern, line, fields)
    text = _printable(line)
    return KernelFault(
        pattern_id=pattern_id,
        kind=pattern.kind,
        severity=_severity(pattern, fields, code, text),
        code=code,
        pci_address=address,
        text=text,
        fields={name: _printable(value) for name, value in fields.items()} | {"pattern": pattern_id},
    )


def match(line: str) -> KernelFault | None:
    """Return the fault that a kernel log line tells of, None for every other line."""
    line = line[:LONGEST_LINE]
    for pattern in patterns():
        if pattern.refines:
            continue
        fields = pattern.fields_of(line)
        if fields is not None:
            return _fault(pattern, line, fields)
    return None


class Follower:
    """Matches the lines of one log in their order, where a fault takes more than one line.

    A GPU that is lost at probe prints its address two lines before; one memory kill prints two
    lines with the same pid, of which the second is counted in ``repeats`` and not told again.
    """

    _NEAR_LINES = 3

    def __init__(self) -> None:
        self.repeats = 0
        self._address = ""
        self._lines_since_address = 0
        self._killed_pid = ""

    def match(self, line: str) -> KernelFault | None:
        """Return the fault that this line tells of, with what the lines before it add."""
        self._note_address(line)
        fault = match(line)
        if fault is None:
            return None
        if fault.kind == events.GPU_LOST and not fault.pci_address:
            return replace(fault, pci_address=self._address)
        return None if self._is_repeat(fault) else fault

    def _note_address(self, line: str) -> None:
        self._lines_since_address += 1
        if "NVRM: The NVIDIA GPU " in line:
            self._address = pci_address(line.partition("NVRM: The NVIDIA GPU ")[2].split(" ")[0].strip())
            self._lines_since_address = 0
        elif self._lines_since_address >= self._NEAR_LINES:
            self._address = ""

    def _is_repeat(self, fault: KernelFault) -> bool:
        if fault.kind != events.KERNEL_OOM:
            return False
        pid, self._killed_pid = self._killed_pid, fault.fields.get("pid", "")
        if pid and pid == self._killed_pid:
            self.repeats += 1
            return True
        return False
