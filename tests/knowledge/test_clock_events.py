"""Tests of the names of clock event reasons."""

from ringwatch_knowledge import clock_events


def test_bits_are_single_and_unique() -> None:
    """A row stands for one bit."""
    bits = [event.bit for event in clock_events.EVENTS]

    assert all(bit.bit_count() == 1 for bit in bits)
    assert len(set(bits)) == len(bits)


def test_a_mask_is_read_as_its_names() -> None:
    """The operator reads words."""
    assert clock_events.names(0x1 | 0x20 | 0x40) == ("gpu_idle", "sw_thermal_slowdown", "hw_thermal_slowdown")
    assert clock_events.names(0) == ()


def test_an_unknown_bit_is_shown_as_its_value() -> None:
    """A bit that a later driver adds is neither dropped nor guessed."""
    assert clock_events.names(0x4 | 0x8000) == ("sw_power_cap", "0x8000")


def test_normal_reasons_are_not_bad() -> None:
    """Idle, a power cap under load and set clocks are no faults by themselves."""
    normal = [event.bit for event in clock_events.EVENTS if event.standing in ("benign", "intended", "load")]

    assert all(clock_events.BAD_MASK & bit == 0 for bit in normal)
