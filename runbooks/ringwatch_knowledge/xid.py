"""What an Xid code means. Knows nothing about incidents and never guesses about an unknown code."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from ringwatch_knowledge import data_files, nvlink5


@dataclass(frozen=True, slots=True, kw_only=True)
class XidMeaning:
    """One Xid code, as the catalogue of ``as_of()`` has it.

    ``severity`` is 1 info, 2 warning or 3 critical. ``origin`` says where to look: hardware,
    application, software (driver or firmware) or unknown. ``role`` says what the line is: ``root``
    reports a fault itself, ``effect`` follows another event and must not be blamed, ``notice`` is
    no fault. ``vendor_action`` is the vendor's own token, ``runbook`` a hint and may be empty.
    """

    code: int
    name: str
    title: str
    meaning: str
    severity: int
    fault_class: str
    origin: str
    role: str
    impact: str
    first_action: str
    vendor_action: str
    runbook: str
    current: bool
    sources: tuple[str, ...]

    @property
    def known(self) -> bool:
        """Say whether the catalogue has this code."""
        return bool(self.name)


@cache
def _catalogue() -> tuple[str, dict[int, XidMeaning]]:
    document = data_files.read("xid.json")
    addresses = document["sources"]
    return document["as_of"], {
        row["code"]: XidMeaning(
            **row | {"sources": tuple(addresses.get(name, name) for name in row["sources"])}
        )
        for row in document["xids"]
    }


def as_of() -> str:
    """Return the month of the catalogue, ``YYYY-MM``."""
    return _catalogue()[0]


def codes() -> tuple[int, ...]:
    """Return every code that the catalogue has, in order."""
    return tuple(sorted(_catalogue()[1]))


def _unknown(code: int) -> XidMeaning:
    return XidMeaning(
        code=code,
        name="",
        title=f"Xid {code}, which this catalogue does not know",
        meaning="Read the driver's own text, and the GPU's recovery action.",
        severity=2,
        fault_class="unknown",
        origin="unknown",
        role="unknown",
        impact="unknown",
        first_action="contact_vendor",
        vendor_action="",
        runbook="",
        current=False,
        sources=(),
    )


_RECOVERY: Final = re.compile(r"recovery action changed from \S+ \([^)]*\) to (0x[0-9a-f]+) \(")
_RESET: Final = re.compile(r"\b(?:D-)?RST: Yes")


def lookup(code: int, text: str = "") -> XidMeaning:
    """Return the meaning of an Xid; a code that the catalogue lacks is "unknown", severity warning.

    The driver's own words in ``text`` beat the table where they say more than the number: Fatal or
    Nonfatal (144 to 150), the new recovery action (154), whether a reset is needed (94).
    """
    meaning = _catalogue()[1].get(code)
    if meaning is None:
        return _unknown(code)
    return _refined(meaning, text) if text else meaning


def _refined(meaning: XidMeaning, text: str) -> XidMeaning:
    if meaning.code in nvlink5.CODES:
        return _by_unit(meaning, text)
    if meaning.code == 94 and _RESET.search(text):
        return replace(meaning, severity=3, first_action="drain_and_reset")
    recovery = _RECOVERY.search(text) if meaning.code == 154 else None
    if recovery is not None:
        return _recovery(meaning, int(recovery[1], 16))
    return meaning


def _by_unit(meaning: XidMeaning, text: str) -> XidMeaning:
    """Return what the unit's own registers add, and the line's own word on how bad it is."""
    decoded = nvlink5.decode(meaning.code, text)
    if decoded is not None and decoded.report is not None:
        link = f"link {decoded.link}: " if decoded.link >= 0 else ""
        meaning = replace(meaning, meaning=f"{link}{decoded.unit}; {decoded.report.advice}")
    if " Nonfatal" in text:
        return replace(meaning, severity=2, fault_class="nvlink.nonfatal")
    if " Fatal" in text:
        return replace(meaning, severity=3, fault_class="nvlink.fatal")
    return meaning


# Values of NVML_FI_DEV_GET_GPU_RECOVERY_ACTION (nvml.h), which Xid 154 prints in hexadecimal.
_RECOVERY_ACTIONS: Final[dict[int, tuple[int, str]]] = {
    0: (1, "none"),
    1: (3, "reset_gpu"),
    2: (3, "reboot_node"),
    3: (2, "drain_and_reset"),
    4: (3, "drain_and_reset"),
}


def _recovery(meaning: XidMeaning, action: int) -> XidMeaning:
    severity, first_action = _RECOVERY_ACTIONS.get(action, (2, "contact_vendor"))
    return replace(meaning, severity=severity, first_action=first_action)
