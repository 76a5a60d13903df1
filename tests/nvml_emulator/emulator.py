"""Builds the emulated NVML once and lets a test change what it says while it runs."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
import time
from pathlib import Path

_HERE = Path(__file__).parent
_SOURCES = (_HERE / "nvml.c", _HERE / "state.h", _HERE / "profiles.h")
_FLAGS = ("-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread")
# Values of the key ``profile``: which board all GPUs are.
H100, A100, B200 = 0, 1, 2


def library() -> Path:
    """Return the folder that holds ``libnvidia-ml.so.1``, built if these sources were not yet."""
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in _SOURCES)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"ringwatch-nvml-{os.getuid()}-{digest}"
    target = folder / "libnvidia-ml.so.1"
    if not target.exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        # Several builds at once are each their own file; the last to finish is as good as the first.
        handle, name = tempfile.mkstemp(suffix=".so", dir=folder)
        os.close(handle)
        fresh = Path(name)
        subprocess.run(["cc", *_FLAGS, "-o", str(fresh), str(_SOURCES[0])], check=True)
        fresh.replace(target)
    return folder


class Emulator:
    """The state of one emulated driver; eight GPUs unless ``gpus`` says otherwise."""

    def __init__(self, folder: Path) -> None:
        self._state = folder / "nvml-state"
        self._values: dict[str, int] = {}
        self.environment = {**os.environ, "LD_LIBRARY_PATH": str(library()), "NVML_STATE": str(self._state)}
        self.set()

    def set(self, **values: int) -> None:
        """Change values from now on; ``gpu0__block=1`` is the key ``gpu0.block``."""
        self._values |= {key.replace("__", "."): value for key, value in values.items()}
        self._write()

    def grow(self, key: str, rate: int) -> None:
        """Have a counter grow by ``rate`` a second from now on, from 0: the driver's clock is ours."""
        self.set(**{key: -int(rate * time.monotonic()), f"{key}_rate": rate})

    def clear(self, **values: int) -> None:
        """Make everything healthy but ``values``. Xids and reloads that were are not unmade."""
        lasting = ("xid.", "reloads")
        self._values = {key: value for key, value in self._values.items() if key.startswith(lasting)}
        self.set(**values)

    def xid(self, gpu: int, code: int) -> None:
        """Have the driver report an Xid of a GPU once."""
        count = self._values.get("xid.count", 0) + 1
        self._values |= {"xid.count": count, f"xid.{count}": gpu * 100_000 + code}
        self._write()

    def _write(self) -> None:
        fresh = self._state.with_suffix(".tmp")
        fresh.write_text("".join(f"{key}={value}\n" for key, value in self._values.items()))
        fresh.replace(self._state)
