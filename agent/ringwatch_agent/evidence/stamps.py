"""Reads the time and host that stand at the head of a log line. Guesses no time zone and no year."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_MONTHS: Final = {
    name: number
    for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)  # noqa: SIM905
}
_MONTH: Final = "(?P<month>" + "|".join(_MONTHS) + ")"
_ISO: Final = re.compile(
    r"(?P<year>\d{4})[-/](?P<mon>\d\d)[-/](?P<day>\d\d)[T ](?P<h>\d\d):(?P<m>\d\d):(?P<s>\d\d)"
    r"(?:[.,](?P<f>\d{1,9}))?(?P<zone>Z|[+-]\d\d:?\d\d)?"
)
_CTIME: Final = re.compile(
    rf"\b{_MONTH}\s+(?P<day>\d{{1,2}}) (?P<h>\d\d):(?P<m>\d\d)(?::(?P<s>\d\d))?"
    r"(?:\.(?P<f>\d+))?(?: (?P<year>\d{4}))?"
)
_NAMED: Final = re.compile(
    rf"\b{_MONTH} (?P<day>\d{{1,2}}) (?P<year>\d{{4}}) (?P<h>\d\d):(?P<m>\d\d):(?P<s>\d\d)(?P<f>)"
)
_BOOT: Final = re.compile(r"^(?:.{0,60}kernel:\s*)?(?:<\d+>)?\[\s*(?P<s>\d{1,9}\.\d{3,6})\]")
_KMSG: Final = re.compile(r"^\d{1,3},\d+,(?P<us>\d+),[-c]")
_GLOG: Final = re.compile(
    r"\b[EWIF](?P<mon>\d)(?P<day>\d\d) (?P<h>\d\d):(?P<m>\d\d):(?P<s>\d\d)(?:\.(?P<f>\d+))?"
)
_SYSLOG_HOST: Final = re.compile(rf"\b(?:{'|'.join(_MONTHS)})\s+\d{{1,2}} [\d:.]+ (?P<host>[\w.-]+) ")
_NCCL_HOST: Final = re.compile(r"(?:^|\] |\s)(?P<host>[A-Za-z][\w.-]*):\w+(?::\w+)? \[\d+\] ")
# Lines without a year are put into this one: only differences within a file are used.
_NO_YEAR: Final = 2000
_HEAD: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """Time and host of a line; absent is None and empty."""

    at_s: float | None = None
    node: str = ""


def _seconds(parts: dict[str, str | None], month: int) -> float | None:
    try:
        when = datetime(
            int(parts.get("year") or _NO_YEAR),
            month,
            int(parts["day"] or 1),
            int(parts["h"] or 0),
            int(parts["m"] or 0),
            min(int(parts["s"] or 0), 59),
            tzinfo=UTC,
        )
    except ValueError:
        return None
    fraction = parts.get("f")
    return when.timestamp() + (float(f"0.{fraction}") if fraction else 0.0)


def _time(head: str) -> float | None:
    found = _ISO.search(head)
    if found:
        return _seconds(found.groupdict(), int(found["mon"]))
    for shape in (_NAMED, _CTIME):
        found = shape.search(head)
        if found:
            return _seconds(found.groupdict(), _MONTHS[found["month"]])
    found = _BOOT.match(head)
    if found:
        return float(found["s"])
    found = _KMSG.match(head)
    if found:
        return int(found["us"]) / 1e6
    found = _GLOG.search(head)
    return _seconds(found.groupdict(), int(found["mon"])) if found else None


def read(text: str) -> Stamp:
    """Return the time and host at the head of a line."""
    head = text[:_HEAD]
    host = _SYSLOG_HOST.search(head) or _NCCL_HOST.search(head)
    return Stamp(at_s=_time(head), node=host["host"] if host else "")
