"""Runs one program by its argument list: no shell, no inherited environment, bounded output and time."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

_MOST_BYTES: Final = 256 * 1024
# How long the output of a program that was killed may still take to end.
_REAP_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a program left: ``code`` is negative for a signal, None when it ran past its time."""

    code: int | None
    out: str
    error: str

    @property
    def well(self) -> bool:
        """Say whether it said that all is well."""
        return self.code == 0

    @property
    def words(self) -> str:
        """Return the end of what it said, for a person."""
        said = (self.error.strip() or self.out.strip())[-400:]
        if self.code is None:
            return f"ran past its time; {said}".rstrip("; ")
        return said or f"exit code {self.code}"


async def run(argv: Sequence[str], environment: Mapping[str, str], timeout_s: float) -> Ended:
    """Run a program to its end; raise OSError when it cannot be started."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=dict(environment),
        cwd="/",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # so that its children end with it
    )
    reading = asyncio.ensure_future(_read(process))
    try:
        await asyncio.wait_for(asyncio.shield(reading), timeout_s)
        code: int | None = await process.wait()
    except TimeoutError:
        code = None
    finally:
        await _ended(process, reading)
    out, error = reading.result() if reading.done() and not reading.cancelled() else ("", "")
    return Ended(code=code, out=out, error=error)


async def _read(process: asyncio.subprocess.Process) -> tuple[str, str]:
    out, error = await asyncio.gather(_bounded(process.stdout), _bounded(process.stderr))
    return out, error


async def _bounded(stream: asyncio.StreamReader | None) -> str:
    """Return what a stream says, its middle left out when it says too much; reads to its end."""
    assert stream is not None
    kept = b""
    while chunk := await stream.read(65536):
        kept = (kept + chunk)[-_MOST_BYTES:]
    return kept.decode(errors="replace")


async def _ended(process: asyncio.subprocess.Process, reading: asyncio.Future[tuple[str, str]]) -> None:
    """End what still runs of the program, and its reading."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if not reading.done():
        await asyncio.wait([reading], timeout=_REAP_S)
        reading.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.wait([reading])
    await process.wait()
