"""Starts, asks and gives up the NVML reader process. Knows its frames, not what they mean."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any, BinaryIO, Final

from ringwatch_agent.sources.pipe_frames import Frame, read_frame, write_frame
from ringwatch_proto.errors import SourceError

_MODULE: Final = "ringwatch_agent.sources.nvml_reader"
_GONE: Final = Frame({})
# One heap for all of its threads: they allocate little, and each heap of its own would hold memory.
_ENVIRONMENT: Final = {"MALLOC_ARENA_MAX": "1"}


class NvmlProcess:
    """One reader process. ``ask`` may be called from several threads."""

    def __init__(self, columns: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start the process; raise SourceError when that fails. ``environment`` unset: ours."""
        command = [sys.executable, "-m", _MODULE]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**(os.environ if environment is None else environment), **_ENVIRONMENT},
                start_new_session=True,  # a Ctrl-C in the agent's terminal is not for the reader
            )
        except OSError as error:
            raise SourceError(f"the NVML reader did not start: {error.strerror}") from error
        self._ids = itertools.count(1)
        self._writing = threading.Lock()
        self._waiting: dict[int, SimpleQueue[Frame]] = {}
        threading.Thread(target=self._receive, name="nvml-answers", daemon=True).start()
        with contextlib.suppress(OSError):  # it ended at once: the first question says so
            write_frame(_pipe(self._process.stdin), {"columns": list(columns)})

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def ask(self, operation: str, within_s: float, **arguments: str | float | list[str]) -> Frame:
        """Return the answer; raise SourceError when there is none within the time."""
        number, answer = next(self._ids), SimpleQueue[Frame]()
        self._waiting[number] = answer
        try:
            with self._writing:
                write_frame(_pipe(self._process.stdin), {"id": number, "op": operation, **arguments})
            frame = answer.get(timeout=within_s)
        except Empty:
            raise SourceError(f"the NVML reader has not answered for {within_s:.0f} s") from None
        except (OSError, ValueError) as error:
            raise SourceError("the NVML reader is gone") from error
        finally:
            self._waiting.pop(number, None)
        if frame is _GONE:
            raise SourceError("the NVML reader ended")
        return frame

    def stop(self) -> bool:
        """End the process; return whether it is gone. One in an uninterruptible call cannot be ended."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        if not self.is_gone(0.3):
            self._process.kill()
        return self.is_gone(0.5)

    def is_gone(self, within_s: float = 0.0) -> bool:
        """Return whether the process has ended."""
        try:
            self._process.wait(timeout=within_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _receive(self) -> None:
        with _pipe(self._process.stdout) as pipe, contextlib.suppress(OSError, ValueError):
            while (frame := read_frame(pipe)) is not None:
                waiting = self._waiting.get(_number(frame.words.get("id")))
                if waiting is not None:
                    waiting.put(frame)
        for waiting in list(self._waiting.values()):
            waiting.put(_GONE)


def _number(value: Any) -> int:  # noqa: ANN401 - whatever JSON held
    return value if isinstance(value, int) else 0


def _pipe(pipe: Any) -> BinaryIO:  # noqa: ANN401 - Popen types its pipes by mode
    assert pipe is not None
    return pipe  # type: ignore[no-any-return] # both pipes are asked for above
