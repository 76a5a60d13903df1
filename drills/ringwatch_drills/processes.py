"""Starts and ends the processes of lab and demo: sessions of their own, logs in files, no survivors."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

RINGWATCH: Final = (sys.executable, "-m", "ringwatch.main")
_END_S: Final = 5.0


def _dying_with_parent(command: Sequence[str]) -> list[str]:
    """Let the kernel kill the process when the calling thread is gone, however that happens.

    ``setpriv`` is in util-linux; a ``preexec_fn`` would fork beside the threads of gRPC.
    """
    setpriv = shutil.which("setpriv")
    return [*([setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []), *command]


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that was started, and where its words go."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self.popen.pid

    @property
    def ended(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self.popen.poll()

    def last_words(self, lines: int = 6) -> str:
        """Return the end of the log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.strip().splitlines()[-lines:])

    def end(self, *, gently: bool = True) -> None:
        """End the process and everything that it started. Safe to call twice."""
        if gently and self.popen.poll() is None:
            self.popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(_END_S)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait()
        for stream in (self.popen.stdin, self.popen.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def start(
    name: str,
    command: Sequence[str],
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    pipes: bool = False,
) -> Process:
    """Start a process that dies with this thread; ``pipes`` gives it stdin and stdout to talk by."""
    log = folder / f"{name}.log"
    with log.open("ab") as file:
        output: IO[bytes] | int = subprocess.PIPE if pipes else file
        popen = subprocess.Popen(
            _dying_with_parent(command),
            stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
            stdout=output,
            stderr=file,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    return Process(name=name, popen=popen, log=log)


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def console(address: str, user: str) -> int:
    """Run the operator's console in this terminal until it is left; return its exit code.

    A process of its own: when the terminal goes away the console dies with it, and what is left tidies up.
    """
    options = ["--collector", address, "--role", "operator", "--user", user]
    return subprocess.run([*RINGWATCH, "console", *options], check=False).returncode
