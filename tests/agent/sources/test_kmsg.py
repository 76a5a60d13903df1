"""The kernel log: faults, backfill, overruns, floods, ownership."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ringwatch_agent.sources.base import EventRecord
from ringwatch_agent.sources.kernel_position import KernelPosition
from ringwatch_agent.sources.kernel_records import KernelRecord, parse_record
from ringwatch_agent.sources.kmsg import KmsgSource
from ringwatch_knowledge.kernel_log import KernelFault
from ringwatch_proto import events
from ringwatch_proto.errors import SourceUnsupported


def match(line: str) -> KernelFault | None:
    """Match ``fault CODE PCI``."""
    word, _, rest = line.partition(" ")
    if word != "fault":
        return None
    code, _, pci = rest.partition(" ")
    return KernelFault(
        pattern_id="p", kind=events.GPU_XID, severity=3, code=int(code), pci_address=pci, text=line, fields={}
    )


class Log:
    """A file in the form of the kernel log."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sequence = 100
        path.touch()

    def write(self, *lines: str, skip: int = 0, continuation: str = "") -> None:
        """Append records; ``skip`` sequences are lost before the first."""
        self.sequence += skip
        with self.path.open("a") as file:
            for line in lines:
                file.write(f"4,{self.sequence},{time.monotonic_ns() // 1000},-;{line}\n{continuation}")
                self.sequence += 1


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """An empty log."""
    return Log(tmp_path / "kmsg")


def test_a_record_is_read_as_the_kernel_writes_it() -> None:
    """Priority, sequence, time, flags with extras, text with escapes."""
    record = parse_record(b"6,339,5140900,-,caller=T1;NET: a\\x0ab; c")
    assert record == KernelRecord(sequence=339, boot_us=5140900, text="NET: a\nb; c")


@pytest.mark.parametrize(
    "line", [b"", b";", b"1,2,3;x", b"a,b,c,-;x", b"4,1,-;x", b"\xff\xfe", b"4,-1,2,-;x"]
)
def test_what_is_no_record_is_left_out(line: bytes) -> None:
    """Hostile or torn bytes are no exception."""
    assert parse_record(line) is None


def test_lines_from_before_are_backfill_and_new_ones_are_not(log: Log) -> None:
    """What lay in the log before the agent is kept and never pages."""
    log.write("fault 79 0000:41:00.0", "nothing")
    source = KmsgSource(match, path=log.path)
    source.open()
    (old,) = source.read().events
    assert (old.backfill, old.code, old.device) == (True, 79, "0000:41:00.0")
    log.write("fault 48 0000:41:00.0", continuation=" SUBSYSTEM=pci\n")
    (new,) = source.read().events
    assert (new.backfill, new.code) == (False, 48)
    assert abs(new.wall_ns - time.time_ns()) < 60e9
    source.close()


def test_a_gap_in_the_sequences_is_counted(log: Log) -> None:
    """Lines that the kernel overwrote before they were read are lost, and said to be."""
    source = KmsgSource(match, path=log.path)
    source.open()
    log.write("nothing")
    source.read()
    log.write("fault 79 ", skip=17)
    reading = source.read()
    lost = [event for event in reading.events if event.kind == events.KERNEL_LINES_LOST]
    assert [event.code for event in lost] == [17]
    assert reading.dropped == {"kmsg.lines": 17}


def test_a_flood_is_told_once_and_then_counted(log: Log) -> None:
    """Twins within five seconds collapse, per device and code."""
    now = [1000.0]
    source = KmsgSource(match, path=log.path, clock=lambda: now[0])
    source.open()
    source.read()
    log.write(*["fault 63 0000:41:00.0"] * 50, "fault 63 0000:42:00.0")
    assert [event.device for event in source.read().events] == ["0000:41:00.0", "0000:42:00.0"]
    now[0] += 6
    (repeated,) = source.read().events
    assert (repeated.device, repeated.fields["repeats"]) == ("0000:41:00.0", "49")
    now[0] += 12
    assert source.read().events == ()
    log.write("fault 63 0000:41:00.0")
    (again,) = source.read().events
    assert "repeats" not in again.fields


def test_only_lines_of_owned_devices_or_of_none_are_told(log: Log) -> None:
    """Several agents on one kernel each tell their own."""
    source = KmsgSource(match, path=log.path, owned_pci=frozenset({"0000:41:00.0"}))
    source.open()
    source.read()
    log.write("fault 79 0000:41:00.0", "fault 79 0000:42:00.0", "fault 79 ")
    assert [event.device for event in source.read().events] == ["0000:41:00.0", ""]


def test_opened_again_it_goes_on_where_it_was(log: Log) -> None:
    """A reopened log begins at its oldest record; nothing is told twice."""
    source = KmsgSource(match, path=log.path)
    source.open()
    source.read()
    log.write("fault 79 ")
    assert len(source.read().events) == 1
    source.close()
    log.write("fault 48 ")
    source.open()
    assert [(event.code, event.backfill) for event in source.read().events] == [(48, False)]


def test_a_new_agent_does_not_tell_old_lines_again(log: Log, tmp_path: Path) -> None:
    """The position outlives the agent, for as long as the kernel does."""
    log.write("fault 79 ")

    def read_by_a_new_agent(boot_id: str) -> list[int]:
        source = KmsgSource(match, path=log.path, position=KernelPosition(tmp_path / "at.json", boot_id))
        source.open()
        told = [event.code for event in source.read().events]
        source.read()
        source.close()
        return told

    assert read_by_a_new_agent("boot-1") == [79]
    log.write("fault 48 ")
    assert read_by_a_new_agent("boot-1") == [48]
    assert read_by_a_new_agent("boot-1") == []
    assert read_by_a_new_agent("boot-2") == [79, 48]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"boot_id": "b"}', '{"boot_id": "b", "next": "x"}'])
def test_a_position_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    """Then the log is read from its beginning, as backfill."""
    (tmp_path / "at.json").write_text(text)
    assert KernelPosition(tmp_path / "at.json", "b").load() is None


def test_a_position_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    """A full disk costs a repetition, not a reading."""
    KernelPosition(tmp_path / "no" / "at.json", "b").save(7)


def test_a_machine_without_a_kernel_log_says_so(tmp_path: Path) -> None:
    """No device, as in most containers, is "unsupported"."""
    with pytest.raises(SourceUnsupported, match="No such file"):
        KmsgSource(match, path=tmp_path / "none").open()


@pytest.mark.root
def test_the_real_kernel_log_carries_a_line_written_to_it() -> None:
    """/dev/kmsg takes a line and gives it back as a fault."""
    source = KmsgSource(match)
    source.open()
    source.read()
    number = os.getpid() % 30000
    with Path("/dev/kmsg").open("w") as kernel:
        kernel.write(f"<6>fault {number} test\n")
    told = _until(lambda: [event for event in source.read().events if event.code == number])
    assert [event.backfill for event in told] == [False]
    source.close()


def _until(ask: Callable[[], list[EventRecord]]) -> list[EventRecord]:
    while not (found := ask()):
        time.sleep(0.01)
    return found
