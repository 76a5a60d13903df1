"""Event files: those of a real writer, and broken ones."""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path

import pytest
from tensorboardX import SummaryWriter  # type: ignore[import-untyped] # ships no types

from ringwatch_agent.sources.base import Reading
from ringwatch_agent.sources.file_steps import FileStepsSource
from ringwatch_agent.sources.followed_files import Chunk
from ringwatch_agent.sources.outsiders import FIRST_ROW, Roster
from ringwatch_agent.sources.tensorboard import tensorboard_source
from ringwatch_agent.sources.tfrecord import LARGEST_READ, TfRecords, masked_crc
from ringwatch_agent.tensorboard.event_pb2 import Event
from ringwatch_proto.errors import SourceUnsupported
from ringwatch_proto.layout import STEP

BEGIN_S = 1_700_000_000.0


def source(folder: Path) -> FileStepsSource:
    """Return the source over all event files of a folder."""
    return tensorboard_source({"llm": f"{folder}/**/events.out.tfevents.*"}, Roster())


def steps(reading: Reading) -> list[tuple[int, int, float, float]]:
    """Return (row, step, seconds, loss) of each packed step."""
    return [
        (row, step, step_s, loss)
        for row, _, step, _, step_s, _, _, _, loss, _, _ in STEP.iter_unpack(reading.steps)
    ]


def record(data: bytes) -> bytes:
    """Frame one record."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))


def event(step: int, wall_s: float, **scalars: float) -> bytes:
    """Frame one event of scalars."""
    made = Event(wall_time=wall_s, step=step)
    for tag, value in scalars.items():
        made.summary.value.add(tag=tag.replace("__", "/"), simple_value=value)
    return record(made.SerializeToString())


def test_the_files_of_a_real_writer_become_steps_and_losses(tmp_path: Path) -> None:
    """Times of the writer, the mean where it logs every tenth step; long texts are passed over."""
    writer = SummaryWriter(str(tmp_path / "run"))
    for number in range(5):
        wall_s = BEGIN_S + 4.0 * number
        writer.add_scalar("train/loss", 2.0 - number, 10 * number, walltime=wall_s)
        writer.add_scalar("lr", 0.1, 10 * number, walltime=wall_s)
        writer.add_text("note", "x" * 3 * LARGEST_READ, 10 * number, walltime=wall_s)
    writer.close()
    reading = source(tmp_path).read()
    found = steps(reading)
    assert [(row, step, loss) for row, step, _, loss in found] == [
        (FIRST_ROW, 10, 1.0),
        (FIRST_ROW, 20, 0.0),
        (FIRST_ROW, 30, -1.0),
    ]
    assert [step_s for _, _, step_s, _ in found] == pytest.approx([0.4, 0.4, 0.4])
    assert reading.outsiders is not None
    assert [(each.job, each.rank) for each in reading.outsiders.ranks] == [("llm", 0)]
    assert reading.dropped == {}


def test_a_writer_a_rank_is_known_by_its_folder(tmp_path: Path) -> None:
    """rank_3, rank3, rank-3."""
    for rank in (0, 3):
        file = tmp_path / f"rank_{rank}/events.out.tfevents.1.host"
        file.parent.mkdir()
        file.write_bytes(b"".join(event(step, BEGIN_S + step, loss=1.0) for step in range(4)))
    reading = source(tmp_path).read()
    assert reading.outsiders is not None
    assert sorted(each.rank for each in reading.outsiders.ranks) == [0, 3]
    assert len(steps(reading)) == 4


def test_a_record_that_is_not_whole_waits_and_loses_nothing(tmp_path: Path) -> None:
    """Byte by byte, as a writer may flush."""
    data = b"".join(event(step, BEGIN_S + step, loss=1.0) for step in range(4))
    file = tmp_path / "events.out.tfevents.1.host"
    reader = source(tmp_path)
    file.write_bytes(b"")
    found = []
    for at in range(0, len(data), 7):
        with file.open("ab") as more:
            more.write(data[at : at + 7])
        found += steps(reader.read())
    assert [step for _, step, _, _ in found] == [1, 2]


def test_a_record_with_wrong_data_is_counted_and_the_next_is_read(tmp_path: Path) -> None:
    """Its length was right, so the frame holds."""
    good = [event(step, BEGIN_S + step, loss=1.0) for step in range(5)]
    broken = bytearray(good[2])
    broken[14] ^= 0xFF
    (tmp_path / "events.out.tfevents.1.host").write_bytes(b"".join([*good[:2], bytes(broken), *good[3:]]))
    reading = source(tmp_path).read()
    assert reading.dropped == {"tensorboard.bad_crc": 1}
    assert [step for _, step, _, _ in steps(reading)] == [1, 3]


def test_a_file_with_a_wrong_length_is_given_up_and_the_others_are_read(tmp_path: Path) -> None:
    """There is nothing to go by until it begins anew."""
    (tmp_path / "events.out.tfevents.1.bad").write_bytes(b"\x01" * 64)
    good = b"".join(event(step, BEGIN_S + step, loss=1.0) for step in range(4))
    (tmp_path / "events.out.tfevents.2.good").write_bytes(good)
    reader = source(tmp_path)
    reading = reader.read()
    assert reading.dropped == {"tensorboard.broken": 1}
    assert len(steps(reading)) == 2
    (tmp_path / "events.out.tfevents.1.bad").unlink()
    (tmp_path / "events.out.tfevents.1.bad").write_bytes(good[:-1])
    assert len(steps(reader.read())) == 1


def test_a_job_that_goes_back_to_a_checkpoint_has_no_negative_step(tmp_path: Path) -> None:
    """Step 9, then step 5 again."""
    data = [event(step, BEGIN_S + at, loss=1.0) for at, step in enumerate((7, 8, 9, 5, 6, 7))]
    (tmp_path / "events.out.tfevents.1.host").write_bytes(b"".join(data))
    assert [(step, step_s) for _, step, step_s, _ in steps(source(tmp_path).read())] == [
        (8, 1),
        (9, 1),
        (6, 1),
    ]


def test_a_record_that_is_no_event_is_counted(tmp_path: Path) -> None:
    """A right frame around something else."""
    (tmp_path / "events.out.tfevents.1.host").write_bytes(record(b"\xff\xff\xff"))
    assert source(tmp_path).read().dropped == {"tensorboard.bad_record": 1}


def test_large_records_are_passed_over_in_any_number_of_parts() -> None:
    """Nothing of them is kept."""
    data = record(b"x" * (3 * LARGEST_READ)) + record(b"small")
    records, dropped = TfRecords("t"), Counter[str]()
    found = [
        each
        for at in range(0, len(data), 1000)
        for each in records.take(Chunk(data=data[at : at + 1000]), dropped)
    ]
    assert found == [b"small"]
    assert not dropped


def test_the_checksum_is_the_one_of_the_standard() -> None:
    """CRC-32C of "123456789" is e3069283 (RFC 3720), masked as TFRecord does."""
    crc = 0xE3069283
    assert masked_crc(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_a_source_without_files_in_the_settings_says_so() -> None:
    """It is off until it is told what to read."""
    with pytest.raises(SourceUnsupported, match="JOB=PATTERN"):
        tensorboard_source({}, Roster()).open()
