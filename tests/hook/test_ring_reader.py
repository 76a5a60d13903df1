"""The ring as a hostile process may leave it."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from ringwatch_agent.hook.ring_writer import RingWriter
from ringwatch_agent.sources.ring_reader import RingReader
from ringwatch_proto.errors import LayoutError
from ringwatch_proto.ring import RING_BYTES, HeaderWord


def poke(fd: int, word: HeaderWord, value: int) -> None:
    os.pwrite(fd, struct.pack("=Q", value), word * 8)


def test_only_memory_of_the_right_size_is_taken(tmp_path: Path) -> None:
    """A file on disk, a pipe and a short memfd are refused, and stay the caller's to close."""
    path = tmp_path / "file"
    path.write_bytes(bytes(RING_BYTES))
    on_disk, (pipe, other_end) = os.open(path, os.O_RDONLY), os.pipe()
    short = os.memfd_create("short")
    for fd in (on_disk, pipe, other_end, short):
        with pytest.raises(LayoutError):
            RingReader(fd)
        os.close(fd)


@pytest.mark.parametrize("word", [HeaderWord.MAGIC, HeaderWord.VERSION, HeaderWord.RECORDS])
def test_another_layout_is_refused(word: HeaderWord) -> None:
    """Magic, version and size must be those that this reader knows."""
    ring = RingWriter()
    poke(ring.fd, word, 99)
    with pytest.raises(LayoutError):
        RingReader(ring.fd)


def test_a_ring_that_is_cut_short_while_it_is_read_raises() -> None:
    """Truncation is an error, never a fault of the reader."""
    ring = RingWriter()
    reader = RingReader(ring.fd)
    os.ftruncate(ring.fd, 20)
    for read in (reader.state, reader.records):
        with pytest.raises(LayoutError):
            read()


def test_counters_that_jump_are_lost_records_or_an_error() -> None:
    """Forward, at most a ring's worth is read; backward is no ring any more."""
    ring = RingWriter()
    reader = RingReader(ring.fd)
    poke(ring.fd, HeaderWord.WRITTEN, (1 << 64) - 5)
    assert reader.records() == []
    assert reader.lost == (1 << 64) - 5
    poke(ring.fd, HeaderWord.WRITTEN, 3)
    with pytest.raises(LayoutError):
        reader.records()


def test_a_writer_that_died_while_it_wrote_is_read_as_it_stands() -> None:
    """The lock stays odd for ever then; the words are more use than none."""
    ring = RingWriter()
    for word, value in ((HeaderWord.STEP, 5), (HeaderWord.LAUNCHED, 4), (HeaderWord.COMPLETED, 3)):
        ring.words[word] = value
    poke(ring.fd, HeaderWord.STATE_LOCK, 7)
    state = RingReader(ring.fd).state()
    assert (state.step, state.launched, state.completed) == (5, 4, 3)
