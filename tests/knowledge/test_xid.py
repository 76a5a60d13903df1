"""Tests of the Xid catalogue."""

import pytest

from ringwatch_knowledge import xid

ORIGINS = {"hardware", "application", "software", "unknown"}
ROLES = {"root", "effect", "notice", "unknown"}


def test_every_code_has_meaning_and_sources() -> None:
    """A row without a source or outside the vocabularies is not knowledge."""
    for code in xid.codes():
        meaning = xid.lookup(code)
        assert meaning.known
        assert meaning.title
        assert len(meaning.title) <= 100
        assert meaning.severity in (1, 2, 3)
        assert meaning.origin in ORIGINS
        assert meaning.role in ROLES
        assert all(source.startswith("http") or "NVSentinel" in source for source in meaning.sources)
        assert meaning.sources


def test_the_catalogue_says_its_month() -> None:
    """Data ages: the month is part of it."""
    year, _, month = xid.as_of().partition("-")

    assert int(year) >= 2026
    assert 1 <= int(month) <= 12


@pytest.mark.parametrize("code", [0, -1, 177, 999])
def test_an_unknown_code_is_unknown_and_never_guessed(code: int) -> None:
    """Nothing is made up about a code that the catalogue lacks."""
    meaning = xid.lookup(code)

    assert not meaning.known
    assert (meaning.fault_class, meaning.origin, meaning.role) == ("unknown", "unknown", "unknown")
    assert meaning.severity == 2
    assert str(code) in meaning.title


@pytest.mark.parametrize(
    ("code", "fault_class", "origin", "role"),
    [
        (13, "application.gpu_exception", "application", "root"),
        (31, "application.illegal_address", "application", "root"),
        (43, "application.gpu_exception", "application", "effect"),
        (45, "none.follow_on", "unknown", "effect"),
        (48, "gpu_memory.uncorrectable_contained", "hardware", "root"),
        (74, "nvlink.fatal", "hardware", "root"),
        (79, "gpu.off_bus", "hardware", "root"),
        (95, "gpu_memory.uncorrectable_uncontained", "hardware", "root"),
        (119, "firmware.gsp_failure", "software", "root"),
        (154, "gpu.recovery_action", "unknown", "effect"),
    ],
)
def test_the_common_codes_are_told_apart(code: int, fault_class: str, origin: str, role: str) -> None:
    """Hardware is not blamed for a program's fault, nor a victim for its cause."""
    meaning = xid.lookup(code)

    assert (meaning.fault_class, meaning.origin, meaning.role) == (fault_class, origin, role)


def test_a_code_that_follows_another_is_never_a_hardware_root() -> None:
    """An effect that is blamed hides its cause."""
    assert all(xid.lookup(code).role == "effect" for code in (43, 45, 154))


@pytest.mark.parametrize(
    ("code", "text", "severity", "action"),
    [
        (145, "RLW_RXPIPE Nonfatal XC0 i0 Link 13 (0x0409a0c2)", 2, "check_nvlink"),
        (147, "TREX Fatal XC0 i0 Link 1 (0x1)", 3, "check_nvlink"),
        (94, "Contained: SM (0x1). RST: No, D-RST: No", 2, "restart_app"),
        (94, "Contained: SM (0x1). RST: No, D-RST: Yes", 3, "drain_and_reset"),
        (154, "GPU recovery action changed from 0x4 (Drain and Reset) to 0x0 (None)", 1, "none"),
        (154, "GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)", 3, "reboot_node"),
        (154, "GPU recovery action changed from 0x0 (None) to 0x9 (New)", 2, "contact_vendor"),
    ],
)
def test_the_words_of_the_driver_beat_the_number(code: int, text: str, severity: int, action: str) -> None:
    """The same code can be harmless or fatal; its line says which."""
    meaning = xid.lookup(code, text)

    assert (meaning.severity, meaning.first_action) == (severity, action)
