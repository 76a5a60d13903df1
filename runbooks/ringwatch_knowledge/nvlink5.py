"""What the sub-units of NVLink 5 report in an Xid 144 to 150. Knows nothing of links that work."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from ringwatch_knowledge import data_files

CODES: Final = range(144, 151)
_LINE: Final = re.compile(
    r"\b(?P<unit>[A-Z][A-Z0-9_]{2,40})\s+(?:Link )?(?:Non-?fatal|Fatal)\b.{0,40}?\bLink\s+(?P<link>-?\d{1,3})"
    r"\s*\((?P<first>0x[0-9a-fA-F]{1,8}) (?P<second>0x[0-9a-fA-F]{1,8})"
)
_NOW: Final = {"none": "nothing", "reset_gpu": "reset the GPU", "xid_154": "do as the Xid 154 beside it says"}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitReport:
    """One row of the vendor's table.

    ``fatal`` is nonfatal, fatal or link_fatal; ``now`` the vendor's immediate action; ``investigate`` what
    to look at afterwards; ``side`` where the cause lies; ``promoted`` the action when the error was
    promoted to fatal.
    """

    id: str
    code: int
    units: tuple[str, ...]
    status: int
    reason: int
    fatal: str
    now: str
    investigate: str
    side: str
    promoted: str = ""

    @property
    def advice(self) -> str:
        """Return the vendor's words on it as one clause."""
        return f"{_NOW[self.now]} now, then look at: {self.investigate.replace('_', ' ')} ({self.side})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What one line says: unit, link (-1: none in particular), and the vendor's row or None."""

    unit: str
    link: int
    report: UnitReport | None


@cache
def reports() -> tuple[UnitReport, ...]:
    """Return every row of the table."""
    return tuple(
        UnitReport(**row | {"units": tuple(row["units"])}) for row in data_files.read("nvlink5.json")["units"]
    )


def decode(code: int, text: str) -> Decoded | None:
    """Return what an NVLink 5 line says beyond its code, None for a line without registers."""
    found = _LINE.search(text) if code in CODES else None
    if found is None:
        return None
    first, second = int(found["first"], 16), int(found["second"], 16)
    return Decoded(
        unit=found["unit"], link=int(found["link"]), report=_report(code, found["unit"], first, second)
    )


def _report(code: int, unit: str, first: int, second: int) -> UnitReport | None:
    """Return the row of a lost link's reason, else of the status as a value, else of one of its bits."""
    reason = first >> 20 & 0x3F
    rows = [row for row in reports() if row.code == code and unit in row.units]
    with_reason = [row for row in rows if row.reason == reason and row.status in (0, second)]
    if any(row.reason for row in rows) and with_reason:
        return with_reason[0]
    exact = [row for row in rows if row.status == second and row.reason == 0]
    by_bit = [row for row in rows if row.status and row.status & second == row.status]
    return next(iter(exact or by_bit), None)
