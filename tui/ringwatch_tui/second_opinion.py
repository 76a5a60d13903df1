"""Asks ``ringwatch diagnose`` about evidence that an operator has: a process of its own, without a shell."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Final

# A log of hundreds of megabytes takes seconds; a console that waits longer has lost its operator.
_PATIENCE_S: Final = 60.0
_LARGEST_PASTE: Final = 8 << 20


def command_for(text: str) -> tuple[list[str], bytes]:
    """Return the arguments and the standard input for what was given: a path on one line, or a paste."""
    line = text.strip()
    if "\n" not in line and line and _exists(line):
        return [str(Path(line).expanduser())], b""
    return ["-"], text.encode()[:_LARGEST_PASTE]


def _exists(line: str) -> bool:
    try:
        return Path(line).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, or no such user
        return False


async def asked(text: str) -> str:
    """Return what diagnose says about a path or a paste, its refusals included."""
    arguments, given = command_for(text)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ringwatch.main", "diagnose", "--why", "--", *arguments,
        stdin=PIPE, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    try:
        out, trouble = await asyncio.wait_for(process.communicate(given), _PATIENCE_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"diagnose did not end within {_PATIENCE_S:.0f} s; run it in a shell: ringwatch diagnose"
    return "\n".join(part.decode("utf-8", "replace").strip() for part in (out, trouble) if part.strip())
