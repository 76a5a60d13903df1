"""Listens for training processes on a Unix socket; owns the sockets and knows no rings and no ranks.

Any local user may connect (the socket is world-writable, as jobs run as anyone), so each peer is known by
the credentials that the kernel gives, and what is malformed, too much or too late costs it its
connection and nothing else. Everything refused is counted by its reason.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import struct
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final, Protocol

from ringwatch_proto.errors import RingwatchError, SourceError, WireError

MAX_CONNECTIONS: Final = 1024
MAX_PER_USER: Final = 256
# A job names its groups once; one that keeps talking is not a hook.
MAX_MESSAGES: Final = 20_000
_JOIN_WITHIN_S: Final = 5.0
_BUFFER_BYTES: Final = 256 * 1024
_MAX_FDS: Final = 4
_CREDENTIALS: Final = struct.Struct("=iII")


class Peer:
    """One connection: who the kernel says it is, and how far it has come."""

    __slots__ = ("connection", "joined", "messages", "pid", "since_s", "uid")

    def __init__(self, connection: socket.socket, now_s: float) -> None:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        self.pid, self.uid, _ = _CREDENTIALS.unpack(raw)
        self.connection = connection
        self.since_s = now_s
        self.joined = False
        self.messages = 0


class Members(Protocol):
    """Who is told. Called on the listener's thread; raises a RingwatchError to refuse the peer."""

    def joined(self, peer: Peer, message: dict[str, Any], fd: int) -> None:
        """Take in a process and its ring; ``fd`` belongs to the callee unless it raises."""
        ...

    def said(self, peer: Peer, message: dict[str, Any]) -> None:
        """Take a later message of a process that joined."""
        ...

    def gone(self, peer: Peer, reason: str) -> None:
        """Note that the connection of a process that joined is over; why, if we closed it."""
        ...


class RankListener:
    """The socket and the thread that serves it."""

    def __init__(self, path: Path, members: Members) -> None:
        self._path = path
        self._members = members
        self._lock = threading.Lock()
        self._refused: Counter[str] = Counter()
        self._peers: dict[int, Peer] = {}
        self._selector: selectors.BaseSelector | None = None
        self._server: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        # Readable when the thread is to stop.
        self._bell = -1

    def start(self) -> None:
        """Listen; raise SourceError when the path cannot be had or another agent holds it."""
        self._server = _listen(self._path)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ)
        self._bell = os.eventfd(0, os.EFD_CLOEXEC)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._stopping.clear()
        self._thread = threading.Thread(target=self._serve, name="rank-listener", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and let go of every connection; twice is harmless."""
        self._stopping.set()
        if self._thread is not None:
            os.eventfd_write(self._bell, 1)
            self._thread.join(timeout=2.0)
            self._thread = None
        for peer in list(self._peers.values()):
            peer.connection.close()
        self._peers.clear()
        if self._server is not None:
            self._server.close()
            self._server = None
            with contextlib.suppress(OSError):
                self._path.unlink()
        if self._selector is not None:
            self._selector.close()
            self._selector = None
        if self._bell >= 0:
            os.close(self._bell)
            self._bell = -1

    def alive(self) -> bool:
        """Return whether the thread still serves."""
        return self._thread is not None and self._thread.is_alive()

    def take_refused(self) -> dict[str, int]:
        """Return what was refused since the last call, by reason."""
        with self._lock:
            refused, self._refused = self._refused, Counter()
        return dict(refused)

    def refuse(self, reason: str) -> None:
        """Count something that was not taken."""
        with self._lock:
            self._refused[reason] += 1

    def _serve(self) -> None:
        selector = self._selector
        assert selector is not None
        while not self._stopping.is_set():
            for key, _ in selector.select(self._patience_s()):
                try:
                    self._serve_one(key)
                except Exception:  # noqa: BLE001  one peer must not end the service for all; counted
                    self.refuse("hook.fault")
            self._close_silent(time.monotonic())

    def _patience_s(self) -> float | None:
        """Return how long to wait for a word: for ever, unless somebody has yet to join."""
        return None if all(peer.joined for peer in self._peers.values()) else 1.0

    def _serve_one(self, key: selectors.SelectorKey) -> None:
        if key.fileobj is self._server:
            self._accept()
        elif key.fd in self._peers:
            self._receive(self._peers[key.fd])

    def _accept(self) -> None:
        assert self._server is not None
        assert self._selector is not None
        try:
            connection, _ = self._server.accept()
        except OSError:
            # Out of descriptors, or the peer has gone again. Do not spin on it.
            self.refuse("hook.accept")
            self._stopping.wait(0.05)
            return
        peer = Peer(connection, time.monotonic())
        same_user = sum(other.uid == peer.uid for other in self._peers.values())
        if len(self._peers) >= MAX_CONNECTIONS or same_user >= MAX_PER_USER:
            self.refuse("hook.too_many_connections")
            connection.close()
            return
        connection.setblocking(False)
        self._peers[connection.fileno()] = peer
        self._selector.register(connection, selectors.EVENT_READ)

    def _receive(self, peer: Peer) -> None:
        try:
            data, fds, flags, _ = socket.recv_fds(peer.connection, _BUFFER_BYTES, _MAX_FDS)
        except BlockingIOError:
            return
        except OSError:
            self._end(peer, "")
            return
        if not data:
            _close_all(fds)
            self._end(peer, "")
            return
        try:
            self._take(peer, _parse(data, flags), fds)
        except RingwatchError as error:
            self.refuse("hook.refused")
            self._end(peer, str(error))

    def _take(self, peer: Peer, message: dict[str, Any], fds: list[int]) -> None:
        peer.messages += 1
        try:
            if peer.messages > MAX_MESSAGES:
                raise WireError("too many messages")
            if message.get("type") == "join":
                self._join(peer, message, fds)
            elif peer.joined:
                self._members.said(peer, message)
            else:
                raise WireError("talks before it joins")
        finally:
            _close_all(fds)

    def _join(self, peer: Peer, message: dict[str, Any], fds: list[int]) -> None:
        if peer.joined or len(fds) != 1:
            raise WireError(f"a join with {len(fds)} descriptors" if not peer.joined else "joins twice")
        self._members.joined(peer, message, fds[0])
        fds.clear()
        peer.joined = True

    def _end(self, peer: Peer, reason: str) -> None:
        assert self._selector is not None
        self._selector.unregister(peer.connection)
        self._peers.pop(peer.connection.fileno(), None)
        peer.connection.close()
        if peer.joined:
            self._members.gone(peer, reason)

    def _close_silent(self, now_s: float) -> None:
        for peer in list(self._peers.values()):
            if not peer.joined and now_s - peer.since_s > _JOIN_WITHIN_S:
                self.refuse("hook.silent")
                self._end(peer, "did not join")


def _parse(data: bytes, flags: int) -> dict[str, Any]:
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise WireError("a message that is too long")
    try:
        message = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise WireError("not JSON") from error
    if not isinstance(message, dict):
        raise WireError("not a JSON object")
    return message


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)


def _listen(path: Path) -> socket.socket:
    """Return the listening socket; a stale one of an agent that is gone is replaced."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        # Jobs of any user must reach the socket: the folder is theirs to enter, only ours to change.
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _remove_stale(path)
        server.bind(str(path))
        path.chmod(0o666)
        server.listen(128)
    except OSError as error:
        server.close()
        raise SourceError(f"cannot listen on {path}: {error}") from error
    return server


def _remove_stale(path: Path) -> None:
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        except OSError:
            return
        else:
            raise OSError("another agent listens there")
