"""One Xid that kernel log and NVML both told is one event, whichever came first."""

from __future__ import annotations

from array import array

import pytest

from ringwatch_agent.sources.base import Device, EventRecord, Reading, TableReading
from ringwatch_agent.xid_join import HOLD_S, XidJoin
from ringwatch_proto import events
from ringwatch_proto.signals import BY_NAME, Table

GPU = Device(id="GPU-1", name="gpu0", pci_address="0000:41:00.0")
TABLE = TableReading(
    table=Table.GPU, devices=(GPU,), signals=(BY_NAME["gpu.state"].id,), values=array("f", [0.0])
)


def xid(source: str, code: int = 79, device: str = "", *, backfill: bool = False) -> EventRecord:
    """Return an Xid as a source tells it: the kernel knows the address, NVML the UUID."""
    return EventRecord(
        wall_ns=1,
        kind=events.GPU_XID,
        severity=3,
        source=source,
        device=device or (GPU.pci_address if source == "kmsg" else GPU.id),
        code=code,
        text=f"{source} {code}",
        backfill=backfill,
    )


def told(join: XidJoin, now_s: float, *said: EventRecord) -> list[EventRecord]:
    """Return the events of one beat."""
    readings = [Reading(tables=(TABLE,)), *(Reading(events=(event,)) for event in said)]
    return [event for reading in join.join(readings, now_s) for event in reading.events]


def test_both_in_one_beat_are_the_kernels_line() -> None:
    """It has the driver's words; that NVML saw it too is said."""
    join = XidJoin()
    (event,) = told(join, 0.0, xid("nvml"), xid("kmsg"))
    assert (event.source, event.text) == ("kmsg", "kmsg 79")
    assert told(join, 10.0) == []
    assert join.joined == 1


@pytest.mark.parametrize("first", ["kmsg", "nvml"])
def test_one_after_the_other_is_one_event(first: str) -> None:
    """A beat apart, in either order."""
    join = XidJoin()
    other = "nvml" if first == "kmsg" else "kmsg"
    seen = [*told(join, 0.0, xid(first)), *told(join, 1.0, xid(other)), *told(join, 10.0)]
    assert [event.source for event in seen] == ["kmsg"]


def test_an_xid_without_a_line_is_told_after_a_while() -> None:
    """Where the kernel log cannot be read, NVML is all there is."""
    join = XidJoin()
    assert told(join, 0.0, xid("nvml")) == []
    (event,) = told(join, HOLD_S)
    assert event.source == "nvml"


def test_other_codes_and_gpus_are_other_events() -> None:
    """Only the same Xid of the same GPU is one."""
    join = XidJoin()
    seen = told(join, 0.0, xid("kmsg", 48), xid("nvml", 63), xid("nvml", 48, "GPU-2"))
    seen += told(join, HOLD_S)
    assert sorted((event.source, event.code, event.device) for event in seen) == [
        ("kmsg", 48, GPU.pci_address),
        ("nvml", 48, "GPU-2"),
        ("nvml", 63, GPU.id),
    ]


def test_a_line_from_before_takes_nothing_away() -> None:
    """What the log held at the start is another Xid than the one that just came."""
    join = XidJoin()
    seen = [*told(join, 0.0, xid("kmsg", backfill=True), xid("nvml")), *told(join, HOLD_S)]
    assert [event.source for event in seen] == ["kmsg", "nvml"]


def test_a_flood_of_nvml_is_told_once_and_counted() -> None:
    """As the kernel's floods are."""
    join = XidJoin()
    told(join, 0.0, *(xid("nvml") for _ in range(20)))
    first = told(join, HOLD_S)
    later = told(join, HOLD_S + 6.0)
    assert len(first) == 1
    assert [event.fields["repeats"] for event in later] == ["19"]


def test_silent_firmware_is_reported_to_who_reads_the_gpu() -> None:
    """By UUID, though the line has the address."""
    spared: list[str] = []
    told(XidJoin(spared.append), 0.0, xid("kmsg", 119), xid("kmsg", 79))
    assert spared == [GPU.id]
