"""The socket to the agent of this node: join, communicators, goodbye. Never waits, never raises.

The path is RINGWATCH_SOCKET, else ``/run/ringwatch/hook.sock``. What cannot be sent at once is lost, and
the connection with it: the next ``connect`` starts afresh with everything that must be known.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from typing import Any, Final

from ringwatch_agent.hook.identity import Identity
from ringwatch_proto.ring import RING_VERSION

DEFAULT_SOCKET: Final = "/run/ringwatch/hook.sock"


def socket_path() -> str:
    """Return the path of the agent's socket."""
    return os.environ.get("RINGWATCH_SOCKET") or DEFAULT_SOCKET


def agent_may_listen() -> bool:
    """Return whether there is something at the path; all that it costs to have no agent."""
    return os.path.exists(socket_path())


class Channel:
    """One connection to the agent."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._broken = False

    @classmethod
    def connect(cls, identity: Identity, ring_fd: int) -> Channel | None:
        """Join; return None at once when no agent listens or it is too busy to take us."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        connection.setblocking(False)
        message = {
            "type": "join",
            "version": RING_VERSION,
            "pid": os.getpid(),
            "job": identity.job,
            "rank": identity.rank,
            "world_size": identity.world_size,
            "local_rank": identity.local_rank,
            "backend": identity.backend,
            "user": identity.user,
            "gpu": identity.gpu,
        }
        try:
            connection.connect(socket_path())
            socket.send_fds(connection, [json.dumps(message).encode()], [ring_fd], socket.MSG_NOSIGNAL)
        except OSError:
            connection.close()
            return None
        return cls(connection)

    def tell_communicator(self, index: int, name: str, ranks: str) -> bool:
        """Name a process group; False when it did not go out."""
        return self._send({"type": "communicator", "index": index, "name": name, "ranks": ranks})

    def leave(self, reason: str, faults: int) -> None:
        """Say goodbye and why, and how often the hook could not do its work."""
        self._send({"type": "leave", "reason": reason, "faults": faults})
        self.close()

    def is_open(self) -> bool:
        """Return False when the agent has gone, or has missed a message."""
        if self._broken:
            return False
        try:
            return self._connection.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        """Let go of the connection."""
        with contextlib.suppress(OSError):
            self._connection.close()

    def _send(self, message: dict[str, Any]) -> bool:
        try:
            self._connection.send(json.dumps(message).encode(), socket.MSG_NOSIGNAL)
        except OSError:
            self._broken = True
        return not self._broken
