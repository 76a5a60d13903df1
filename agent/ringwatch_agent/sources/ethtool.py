"""Asks a driver for its statistics with the SIOCETHTOOL ioctl, as ``ethtool -S`` does. Changes nothing.

Layouts: linux/ethtool.h (ethtool_sset_info, ethtool_gstrings, ethtool_stats).
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from typing import Final

_SIOCETHTOOL: Final = 0x8946
_GSSET_INFO: Final = 0x37
_GSTRINGS: Final = 0x1B
_GSTATS: Final = 0x1D
_SS_STATS: Final = 1
_NAME_BYTES: Final = 32
_SSET_INFO: Final = struct.Struct("=IIQI")
_IFREQ: Final = struct.Struct("16sP")
# The kernel writes as many values as the driver has when it is asked, not as many as there is room for.
_SLACK: Final = 4096
_MOST: Final = 100_000


class Ethtool:
    """Statistics of the interfaces of this network namespace; the names of each are asked for once."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._names: dict[str, list[str]] = {}

    def statistics(self, interface: str) -> list[tuple[str, int]]:
        """Return the statistics of an interface, none when its driver has none. Raise OSError."""
        count = self._count(interface)
        if not 0 < count <= _MOST:
            return []
        names = self._names.get(interface)
        if names is None or len(names) != count:
            names = self._names[interface] = self._read_names(interface, count)
        buffer = ctypes.create_string_buffer(8 + 8 * (count + _SLACK))
        struct.pack_into("=II", buffer, 0, _GSTATS, count)
        self._ask(interface, buffer)
        (told,) = struct.unpack_from("=I", buffer, 4)
        values = struct.unpack_from(f"={min(told, count)}Q", buffer, 8)
        return list(zip(names, values, strict=False))

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._names.clear()

    def _count(self, interface: str) -> int:
        buffer = ctypes.create_string_buffer(_SSET_INFO.size)
        _SSET_INFO.pack_into(buffer, 0, _GSSET_INFO, 0, 1 << _SS_STATS, 0)
        self._ask(interface, buffer)
        _, _, mask, count = _SSET_INFO.unpack_from(buffer)
        return int(count) if mask else 0

    def _read_names(self, interface: str, count: int) -> list[str]:
        buffer = ctypes.create_string_buffer(12 + _NAME_BYTES * (count + _SLACK))
        struct.pack_into("=III", buffer, 0, _GSTRINGS, _SS_STATS, count)
        self._ask(interface, buffer)
        names = (buffer.raw[at : at + _NAME_BYTES] for at in range(12, 12 + _NAME_BYTES * count, _NAME_BYTES))
        return [name.split(b"\0", 1)[0].decode(errors="replace").strip() for name in names]

    def _ask(self, interface: str, buffer: ctypes.Array[ctypes.c_char]) -> None:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        request = _IFREQ.pack(interface.encode()[:15], ctypes.addressof(buffer))
        fcntl.ioctl(self._socket, _SIOCETHTOOL, request)
