"""Tests of reading kernel log lines, on lines from public reports (tests/fixtures/kernel_log)."""

import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringwatch_knowledge import kernel_log
from ringwatch_proto import events

FIXTURES = Path(__file__).parents[1] / "fixtures" / "kernel_log"
LINES = json.loads((FIXTURES / "lines.json").read_text(encoding="utf-8"))
HARMLESS = json.loads((FIXTURES / "harmless.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", LINES, ids=lambda row: row["line"][:60])
def test_a_fault_line_is_read(row: dict[str, object]) -> None:
    """Kind, severity, code and address come out of a line as it was reported."""
    fault = kernel_log.match(str(row["line"]))

    assert fault is not None
    read = (fault.pattern_id, fault.kind, fault.severity, fault.code, fault.pci_address)
    assert read == tuple(row[name] for name in ("pattern", "kind", "severity", "code", "pci_address"))


@pytest.mark.parametrize("row", HARMLESS, ids=lambda row: row["line"][:60])
def test_a_harmless_line_tells_nothing(row: dict[str, str]) -> None:
    """A line that only looks like a fault raises nothing."""
    assert kernel_log.match(row["line"]) is None


def test_every_pattern_has_a_line_and_an_event_kind() -> None:
    """A shape that no line was ever seen for is a guess."""
    seen = {row["pattern"] for row in LINES}

    for pattern in kernel_log.patterns():
        assert pattern.kind in events.EVENT_KINDS
        assert pattern.anchors
        assert pattern.title
        if pattern.id != "mlx5_ib_link":  # its public examples are ports that come up
            assert pattern.id in seen


def test_an_infiniband_port_that_goes_down_is_told() -> None:
    """The driver prints one line for every state; only DOWN is a fault."""
    down = kernel_log.match("mlx5_core 0000:ab:00.0 mlx5_5: Port: 1 Link DOWN")

    assert down is not None
    assert (down.kind, down.pci_address, down.fields["rdma"]) == (
        events.PORT_DOWN,
        "0000:ab:00.0",
        "mlx5_5",
    )


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("0000:0a:00", "0000:0a:00.0"),
        ("00000000:10:1C.0", "0000:10:1c.0"),
        ("02:00", "0000:02:00.0"),
        ("0001:6c:00", "0001:6c:00.0"),
        ("00010000:17:00.0", "10000:17:00.0"),
        ("", ""),
        ("0000:zz:00.0", ""),
    ],
)
def test_an_address_is_written_one_way(written: str, address: str) -> None:
    """NVML, the driver and the kernel write the same address in three ways."""
    assert kernel_log.pci_address(written) == address


def test_the_text_of_a_fault_moves_no_cursor() -> None:
    """A process chooses its own name: control characters in it must not reach a terminal."""
    fault = kernel_log.match(
        "[1.5] NVRM: Xid (PCI:0000:02:00): 13, pid=7, name=a\x1b[2Jb, Graphics Exception"
    )

    assert fault is not None
    assert fault.text.isprintable()
    assert all(value.isprintable() for value in fault.fields.values())
    assert fault.text.startswith("NVRM: Xid")


def test_a_lost_gpu_takes_its_address_from_the_line_before() -> None:
    """At probe the driver prints the address two lines earlier and no Xid at all."""
    follower = kernel_log.Follower()

    assert follower.match("NVRM: The NVIDIA GPU 0000:b3:00.0") is None
    assert follower.match("NVRM: (PCI ID: 10de:2330) installed in this system has") is None
    fault = follower.match("NVRM: fallen off the bus and is not responding to commands.")

    assert fault is not None
    assert (fault.kind, fault.pci_address) == (events.GPU_LOST, "0000:b3:00.0")


def test_an_address_too_far_back_is_not_used() -> None:
    """An address that belongs to another message would blame the wrong GPU."""
    follower = kernel_log.Follower()
    follower.match("NVRM: The NVIDIA GPU 0000:b3:00.0")
    for number in range(4):
        follower.match(f"eth{number}: something else")

    fault = follower.match("NVRM: fallen off the bus and is not responding to commands.")

    assert fault is not None
    assert fault.pci_address == ""


def test_one_memory_kill_is_told_once() -> None:
    """The kernel prints two lines for one kill; the second is counted."""
    follower = kernel_log.Follower()
    lines = [str(row["line"]) for row in LINES if row["kind"] == events.KERNEL_OOM and "25315" in row["line"]]

    told = [fault for fault in map(follower.match, lines) if fault is not None]

    assert len(lines) == 2
    assert len(told) == 1
    assert follower.repeats == 1


@given(st.text(max_size=4000))
@settings(max_examples=300, deadline=None)
def test_any_text_is_survived(line: str) -> None:
    """A log holds whatever a driver or a root user writes."""
    fault = kernel_log.match(line)

    assert fault is None or fault.kind in events.EVENT_KINDS


@given(st.sampled_from([row["line"] for row in LINES]), st.integers(0, 300), st.text(max_size=30))
@settings(max_examples=300, deadline=None)
def test_a_torn_line_is_survived(line: str, cut: int, noise: str) -> None:
    """Reads of a busy console tear and interleave lines."""
    fault = kernel_log.match(line[:cut] + noise + line[cut:])

    assert fault is None or fault.text.isprintable()


def test_the_patterns_fit_a_node() -> None:
    """The agent holds these all the time: a few hundred KiB, not megabytes."""
    kernel_log.patterns.cache_clear()
    tracemalloc.start()
    kernel_log.patterns()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held < 2_000_000
