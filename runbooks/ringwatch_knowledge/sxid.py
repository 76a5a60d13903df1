"""What an NVSwitch SXid code means. Never guesses about an unknown code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from ringwatch_knowledge import data_files


@dataclass(frozen=True, slots=True, kw_only=True)
class SxidMeaning:
    """One SXid code. ``fatality`` is the usual class: non_fatal, potentially_fatal, fatal, always_fatal.

    ``severity`` is 1 info, 2 warning or 3 critical. An always-fatal SXid takes every GPU and switch
    of the machine into its reset.
    """

    code: int
    name: str
    title: str
    meaning: str
    unit: str
    fatality: str
    severity: int
    fault_class: str
    first_action: str
    vendor_action: str
    runbook: str
    sources: tuple[str, ...]

    @property
    def known(self) -> bool:
        """Say whether the catalogue has this code."""
        return self.unit != ""


@cache
def _catalogue() -> tuple[str, dict[int, SxidMeaning]]:
    document = data_files.read("sxid.json")
    addresses = document["sources"]
    return document["as_of"], {
        row["code"]: SxidMeaning(
            **row | {"sources": tuple(addresses.get(name, name) for name in row["sources"])}
        )
        for row in document["sxids"]
    }


def as_of() -> str:
    """Return the month of the catalogue, ``YYYY-MM``."""
    return _catalogue()[0]


def codes() -> tuple[int, ...]:
    """Return every code that the catalogue has, in order."""
    return tuple(sorted(_catalogue()[1]))


def _unknown(code: int) -> SxidMeaning:
    return SxidMeaning(
        code=code,
        name="",
        title=f"SXid {code}, which this catalogue does not know",
        meaning="Read the word Fatal or Non-fatal in the line.",
        unit="",
        fatality="unknown",
        severity=2,
        fault_class="unknown",
        first_action="contact_vendor",
        vendor_action="",
        runbook="nvlink",
        sources=(),
    )


def lookup(code: int, word: str = "") -> SxidMeaning:
    """Return the meaning of an SXid; an unknown code is "unknown", severity warning.

    ``word`` is Fatal or Non-fatal as the line has it, and beats the table.
    """
    meaning = _catalogue()[1].get(code) or _unknown(code)
    if word == "Fatal":
        return replace(meaning, severity=3, fault_class="nvswitch.fatal")
    if word == "Non-fatal":
        return replace(meaning, severity=min(meaning.severity, 2), fault_class="nvswitch.nonfatal")
    return meaning
