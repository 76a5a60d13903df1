"""Tests of the file that pictures are kept in."""

import zlib
from pathlib import Path

import pytest

from ringwatch_proto.errors import RecordingError
from ringwatch_proto.recording import Kept, as_bytes, kept, kept_in, written
from ringwatch_proto.v1.query_pb2 import Fleet
from ringwatch_proto.v1.recording_pb2 import Frame


def _frame(second: int) -> Frame:
    return Frame(wall_ns=second * 1_000_000_000, fleet=Fleet(collector=f"c{second}"))


def test_frames_come_back_as_they_were_written(tmp_path: Path) -> None:
    """Time and content, in order."""
    path = tmp_path / "a.rwrec"
    size = written(path, [kept(_frame(1)), kept(_frame(2))])

    assert size == path.stat().st_size
    assert [each.frame().fleet.collector for each in kept_in(path)] == ["c1", "c2"]
    assert [each.wall_ns for each in kept_in(path)] == [1_000_000_000, 2_000_000_000]


@pytest.mark.parametrize("cut", [1, 10, 17])
def test_a_torn_tail_loses_the_last_frame_only(tmp_path: Path, cut: int) -> None:
    """The machine went down while it was being written."""
    data = as_bytes([kept(_frame(1)), kept(_frame(2))])
    path = tmp_path / "a.rwrec"
    path.write_bytes(data[:-cut])

    assert [each.frame().fleet.collector for each in kept_in(path)] == ["c1"]


def test_a_damaged_frame_ends_the_file(tmp_path: Path) -> None:
    """A picture that may be wrong is not shown."""
    data = bytearray(as_bytes([kept(_frame(1)), kept(_frame(2))]))
    data[-3] ^= 0xFF
    path = tmp_path / "a.rwrec"
    path.write_bytes(data)

    assert len(list(kept_in(path))) == 1


@pytest.mark.parametrize("content", [b"", b"hello\n" * 10])
def test_another_file_is_no_recording(tmp_path: Path, content: bytes) -> None:
    """The message says which file."""
    path = tmp_path / "a.rwrec"
    path.write_bytes(content)

    with pytest.raises(RecordingError, match=r"a\.rwrec: not a recording"):
        list(kept_in(path))


def test_a_frame_that_inflates_without_end_is_refused() -> None:
    """A recording may come from somebody else."""
    bomb = Kept(wall_ns=1, body=zlib.compress(bytes(100 << 20), 9))

    with pytest.raises(RecordingError, match="more than any picture"):
        bomb.frame()


@pytest.mark.parametrize("body", [b"nothing compressed", zlib.compress(b"\xff\xff\xff")])
def test_a_frame_that_is_none_is_refused(body: bytes) -> None:
    """Neither the inflater's nor the parser's error gets out."""
    with pytest.raises(RecordingError, match="cannot be read"):
        Kept(wall_ns=1, body=body).frame()
