"""Tests of what NVLink 5 lines say beyond their code, on lines from public reports."""

import pytest

from ringwatch_knowledge import nvlink5, xid

_XID = "NVRM: Xid (PCI:0009:01:00): "


@pytest.mark.parametrize(
    ("line", "unit", "link", "investigate"),
    [
        (
            "149, NETIR_LINK_EVT  Fatal   XC0 i0 Link 01 (0x021425c6 0x00000000 0x00000000)",
            "NETIR_LINK_EVT",
            1,
            "peer_device",
        ),
        (
            "149, NETIR_BER_EVENT Nonfatal XC0 i0 Link 03 (0x00086226 0x00000001 0x00000000)",
            "NETIR_BER_EVENT",
            3,
            "link_signal_and_cables",
        ),
        (
            "145, pid=876767, name=r, RLW_RXPIPE Nonfatal XC0 i0 Link 13 (0x0409a0c2 0x00000008 0x00000001)",
            "RLW_RXPIPE",
            13,
            "contact_support",
        ),
    ],
)
def test_registers_name_what_to_look_at(line: str, unit: str, link: int, investigate: str) -> None:
    """Unit, link and the vendor's next step come out of the words in brackets."""
    decoded = nvlink5.decode(int(line[:3]), _XID + line)

    assert decoded is not None
    assert (decoded.unit, decoded.link) == (unit, link)
    assert decoded.report is not None
    assert decoded.report.investigate == investigate


def test_an_unknown_status_is_not_guessed() -> None:
    """A register value that the table lacks keeps its unit and gets no advice."""
    decoded = nvlink5.decode(149, _XID + "149, NETIR Fatal XC0 i0 Link -1 (0x000fe406 0x40000000 0x00000000)")

    assert decoded is not None
    assert (decoded.unit, decoded.link, decoded.report) == ("NETIR", -1, None)


def test_other_codes_have_no_registers() -> None:
    """Xid 74 of older NVLinks is laid out differently."""
    assert nvlink5.decode(74, _XID + "74, pid=1, NVLink: fatal error detected on link 14(0x0, 0x0)") is None


def test_the_meaning_of_the_line_carries_it() -> None:
    """The operator reads which link, and what the vendor wants done."""
    line = _XID + "149, NETIR_LINK_EVT Fatal XC0 i0 Link 01 (0x021425c6 0x00000000 0x00000000)"

    meaning = xid.lookup(149, line)

    assert meaning.fault_class == "nvlink.fatal"
    assert meaning.meaning.startswith("link 1: NETIR_LINK_EVT; reset the GPU now, then look at: peer device")
