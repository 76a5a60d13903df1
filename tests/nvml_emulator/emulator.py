"""Builds the emulated NVML once and lets a test change what it says while it runs."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

_SOURCE = Path(__file__).with_name("nvml.c")


def library() -> Path:
    """Return the folder that holds ``libnvidia-ml.so.1``, built if this source was not yet."""
    digest = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"ringwatch-nvml-{os.getuid()}-{digest}"
    target = folder / "libnvidia-ml.so.1"
    if not target.exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        fresh = folder / f"{os.getpid()}.so"
        command = [
            "cc",
            "-shared",
            "-fPIC",
            "-O1",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-o",
            str(fresh),
            str(_SOURCE),
        ]
        subprocess.run(command, check=True)
        fresh.replace(target)
    return folder


class Emulator:
    """The state of one emulated driver."""

    def __init__(self, folder: Path) -> None:
        self._state = folder / "nvml-state"
        self._values: dict[str, int] = {}
        self.environment = {**os.environ, "LD_LIBRARY_PATH": str(library()), "NVML_STATE": str(self._state)}
        self.set()

    def set(self, **values: int) -> None:
        """Change values from now on; ``gpu0__block=1`` is the key ``gpu0.block``."""
        self._values |= {key.replace("__", "."): value for key, value in values.items()}
        fresh = self._state.with_suffix(".tmp")
        fresh.write_text("".join(f"{key}={value}\n" for key, value in self._values.items()))
        fresh.replace(self._state)
