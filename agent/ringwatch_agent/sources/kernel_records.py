"""Reads records of the kernel log in their order and counts those that were overrun. Judges none."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ringwatch_proto.errors import SourceError, SourceUnsupported

# A record is at most CONSOLE_EXT_LOG_MAX = 8 KiB; a smaller buffer makes read() fail with EINVAL.
_READ_BYTES: Final = 8192
# A log that grows faster than this is read on at the next beat. Below the 4096 events that a
# collector takes in one batch, should every line tell of a fault.
_READS_AT_ONCE: Final = 4000
_ESCAPE: Final = re.compile(r"\\x([0-9a-f]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelRecord:
    """One record; ``boot_us`` is the kernel's own time stamp, microseconds since boot."""

    sequence: int
    boot_us: int
    text: str


def parse_record(line: bytes) -> KernelRecord | None:
    """Read ``priority,sequence,microseconds,flags[,...];text``; None for anything else."""
    head, separator, text = line.decode("utf-8", "replace").partition(";")
    parts = head.split(",")
    if not separator or len(parts) < 4 or not (_is_number(parts[1]) and _is_number(parts[2])):
        return None
    text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    return KernelRecord(sequence=int(parts[1]), boot_us=int(parts[2]), text=text)


def _is_number(text: str) -> bool:
    return len(text) < 21 and text.isascii() and text.isdigit()


class KernelRecords:
    """Follows ``path``: the device, or a file of the same form."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._partial = b""
        self.next_sequence: int | None = None

    def open(self) -> None:
        """Open the log; what was read before a close is not read again."""
        self.close()
        try:
            self._file = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, PermissionError) as error:
            raise SourceUnsupported(f"{self._path}: {error.strerror}") from error
        except OSError as error:
            raise SourceError(f"{self._path}: {error.strerror}") from error

    def close(self) -> None:
        """Close the log."""
        if self._file is not None:
            os.close(self._file)
        self._file, self._partial = None, b""

    def take(self) -> tuple[list[KernelRecord], int, bool]:
        """Return the new records, how many were lost before them, and whether that is all for now."""
        records: list[KernelRecord] = []
        lost = 0
        for _ in range(_READS_AT_ONCE):
            data = self._read()
            if data is None:
                return records, lost, True
            for record in self._split(data):
                # Opened again, the log begins at its oldest record.
                if self.next_sequence is None or record.sequence >= self.next_sequence:
                    lost += record.sequence - (self.next_sequence or record.sequence)
                    self.next_sequence = record.sequence + 1
                    records.append(record)
        return records, lost, False

    def _read(self) -> bytes | None:
        """Return some bytes, none of them after an overrun; None at the end of the log."""
        if self._file is None:
            raise SourceError(f"{self._path} is not open")
        try:
            return os.read(self._file, _READ_BYTES) or None
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno == errno.EPIPE:
                return b""
            raise SourceError(f"{self._path}: {error.strerror}") from error

    def _split(self, data: bytes) -> list[KernelRecord]:
        *lines, self._partial = (self._partial + data).split(b"\n")
        # Lines that begin with a space are key=value continuations of the record before them.
        found = (parse_record(line) for line in lines if line and not line.startswith(b" "))
        return [record for record in found if record is not None]
