"""The threads that serve training processes: awake for them, and for nothing else."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringwatch_agent.sources.steps import StepsSource

# Longer than either thread used to sleep at a time.
_LOOK_S = 1.2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the source listens."""
    return tmp_path / "hook.sock"


@pytest.fixture
def source(path: Path) -> Iterator[StepsSource]:
    """A source that listens, with nobody there yet."""
    made = StepsSource(path)
    made.open()
    yield made
    made.close()


def _threads() -> dict[str, threading.Thread]:
    return {each.name: each for each in threading.enumerate() if each.name.startswith("rank-")}


def _wakes() -> list[int]:
    """Return how often the kernel has let each of the threads go to sleep."""
    status = [Path(f"/proc/self/task/{each.native_id}/status").read_text() for each in _threads().values()]
    return [int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0]) for text in status]


def _rest() -> list[int]:
    """Return the counts once they no longer move."""
    before = _wakes()
    while True:
        time.sleep(_LOOK_S)
        before, earlier = _wakes(), before
        if before == earlier:
            return before


def test_with_nobody_there_no_thread_is_woken(source: StepsSource, path: Path) -> None:
    """Neither to sample nor to look at connections; a word from somebody wakes the listener."""
    assert len(_rest()) == 2
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
        stranger.connect(str(path))
        stranger.send(b"hello")
        assert stranger.recv(1) == b""
    assert source.read().dropped == {"hook.refused": 1}


def test_threads_that_rest_end_when_told(source: StepsSource) -> None:
    """However long nobody has come, and at once after it was opened again."""
    _rest()
    source.close()
    assert not _threads()
    source.open()
    assert len(_threads()) == 2
    source.close()
    assert not _threads()
