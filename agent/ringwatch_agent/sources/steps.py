"""The ``steps`` source: training processes of this node, their steps, collectives and states.

Reads what the hook wrote and what the kernel says; judges nothing. Rings are read with what they may hold
checked, since the process that writes one is not trusted.
"""

from __future__ import annotations

import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ringwatch_agent.sources.base import EventRecord, RankRecord, Reading
from ringwatch_agent.sources.rank_listener import Peer, RankListener
from ringwatch_agent.sources.rank_member import Member
from ringwatch_agent.sources.rank_process import RankProcess
from ringwatch_agent.sources.rank_table import Communicators, Join, Rows, parse_join
from ringwatch_agent.sources.ring_reader import RingReader
from ringwatch_proto import events
from ringwatch_proto.errors import LayoutError, SourceError, WireError
from ringwatch_proto.records import Severity

# A rank that ended is still reported, as not alive, for so long.
KEEP_DEAD_S: Final = 60.0
# How often the state letter of each rank is looked at: enough for a share of a second of being stopped.
_SAMPLES_PER_S: Final = 10.0


class StepsSource:
    """The source. Its listener and its sampler run on threads of their own."""

    def __init__(
        self,
        path: Path,
        wake: Callable[[], None] = lambda: None,
        proc: Path = Path("/proc"),
        cgroups: Path = Path("/sys/fs/cgroup"),
    ) -> None:
        self._wake = wake
        self._proc = proc
        self._cgroups = cgroups
        self._lock = threading.Lock()
        self._listener = RankListener(path, self)
        self._members: dict[tuple[str, int], Member] = {}
        self._by_peer: dict[Peer, Member] = {}
        self._communicators = Communicators()
        self._rows = Rows()
        self._events: list[EventRecord] = []
        self._left_over: list[tuple[bytes, bytes]] = []
        self._dropped: Counter[str] = Counter()
        self._stopping = threading.Event()
        # Set while there may be somebody to sample: with nobody there, the sampler is not woken at all.
        self._somebody = threading.Event()
        self._sampler: threading.Thread | None = None

    @property
    def name(self) -> str:
        """Return ``steps``."""
        return "steps"

    def open(self) -> None:
        """Listen for training processes; raise SourceError when the socket cannot be had."""
        self.close()
        self._stopping.clear()
        self._listener.start()
        self._sampler = threading.Thread(target=self._sample, name="rank-sampler", daemon=True)
        self._sampler.start()

    def close(self) -> None:
        """Let go of the socket, the rings and the threads."""
        with self._lock:  # the sampler looks at one and changes the other
            self._stopping.set()
            self._somebody.set()
        self._listener.stop()
        if self._sampler is not None:
            self._sampler.join(timeout=2.0)
            self._sampler = None
        with self._lock:
            for member in self._members.values():
                member.close()
            self._members.clear()
            self._by_peer.clear()

    def read(self) -> Reading:
        """Return everything since the last read, and the state of every rank now."""
        if not self._listener.alive():
            raise SourceError("the listener for training processes has ended")
        now_ns = time.monotonic_ns()
        wall_offset_ns = time.time_ns() - now_ns
        with self._lock:
            self._drop_old(now_ns)
            parts = [
                *self._left_over,
                *(self._packed(member, wall_offset_ns) for member in self._members.values()),
            ]
            states = b"".join(member.state(now_ns) for member in self._members.values())
            events_now, self._events, self._left_over = self._events, [], []
            dropped, self._dropped = self._dropped, Counter()
            dropped.update(self._listener.take_refused())
            return Reading(
                events=tuple(events_now),
                ranks=tuple(member.record for member in self._members.values()),
                communicators=self._communicators.all(),
                steps=b"".join(steps for steps, _ in parts),
                collectives=b"".join(collectives for _, collectives in parts),
                rank_states=states,
                dropped={kind: count for kind, count in dropped.items() if count},
            )

    def pids(self) -> dict[int, int]:
        """Return the row of each live rank by its pid; for the source of flows."""
        with self._lock:
            return {member.record.pid: member.record.row for member in self._members.values() if member.alive}

    def joined(self, peer: Peer, message: dict[str, Any], fd: int) -> None:
        """Take in a process and its ring."""
        join = parse_join(message)
        self._require_same_process(peer, join)
        with self._lock:
            self._require_same_user(peer, join)
            reader = RingReader(fd)
            self._replace((join.job, join.rank))
            record = self._record(peer, join)
            process = RankProcess(peer.pid, self._proc, self._cgroups)
            member = Member(record, peer.uid, reader, process)
            self._members[join.job, join.rank] = self._by_peer[peer] = member
            self._somebody.set()
            self._note(
                events.RANK_JOINED, Severity.INFO, member, f"rank {join.rank} of {join.job} joined", {}
            )

    def said(self, peer: Peer, message: dict[str, Any]) -> None:
        """Take a communicator or a goodbye."""
        with self._lock:
            member = self._by_peer[peer]
            if message.get("type") == "communicator":
                record = member.record
                local, index = self._communicators.add(record.job, record.world_size, message)
                member.communicators[local] = index
            elif message.get("type") == "leave":
                reason = message.get("reason")
                member.reason = _first_words(reason)
                self._dropped["hook.faults"] += _count(message.get("faults"))
            else:
                raise WireError("a message of no known type")

    def gone(self, peer: Peer, reason: str) -> None:
        """Note the end of a process, with what it last wrote, and have it reported at once."""
        with self._lock:
            member = self._by_peer.pop(peer, None)
            if member is not None and member.alive:
                self._bury(member, reason)
        self._wake()

    def _bury(self, member: Member, reason: str) -> None:
        now_ns = time.monotonic_ns()
        self._left_over.append(self._packed(member, time.time_ns() - now_ns))
        death = member.die(now_ns)
        who = f"rank {member.record.rank} of {member.record.job}"
        if member.reason:
            failed = member.reason.startswith("exception")
            severity = Severity.WARNING if failed else Severity.INFO
            self._note(
                events.RANK_LEFT, severity, member, f"{who} left: {member.reason}", {"reason": member.reason}
            )
        elif reason:
            self._note(
                events.RANK_LEFT, Severity.WARNING, member, f"{who} was refused: {reason}", {"reason": reason}
            )
        else:
            how = f", signal {death['signal']}" if "signal" in death else ""
            self._note(
                events.RANK_DIED, Severity.CRITICAL, member, f"{who} ended without a goodbye{how}", death
            )

    def _packed(self, member: Member, wall_offset_ns: int) -> tuple[bytes, bytes]:
        try:
            packed = member.packed(wall_offset_ns)
        except (LayoutError, struct.error):
            self._dropped["hook.bad_ring"] += 1
            return b"", b""
        self._dropped.update(member.take_dropped())
        return packed

    def _replace(self, key: tuple[str, int]) -> None:
        """Make room for a rank that joins again: a restarted job, or a hook that lost its agent."""
        old = self._members.pop(key, None)
        if old is None:
            return
        if old.alive:
            self._left_over.append(self._packed(old, time.time_ns() - time.monotonic_ns()))
            self._by_peer = {peer: member for peer, member in self._by_peer.items() if member is not old}
        old.close()

    def _drop_old(self, now_ns: int) -> None:
        for key, member in list(self._members.items()):
            if member.dead_s(now_ns) > KEEP_DEAD_S:
                del self._members[key]
                self._rows.drop(*key)
        self._communicators.keep_only(job for job, _ in self._members)

    def _record(self, peer: Peer, join: Join) -> RankRecord:
        return RankRecord(
            row=self._rows.of(join.job, join.rank),
            job=join.job,
            rank=join.rank,
            world_size=join.world_size,
            local_rank=join.local_rank,
            pid=peer.pid,
            gpu=join.gpu,
            user=join.user,
            backend=join.backend,
        )

    def _require_same_process(self, peer: Peer, join: Join) -> None:
        """Raise WireError unless the pid it claims is the one the kernel knows, here or in its container."""
        if join.pid == peer.pid:
            return
        try:
            status = (self._proc / str(peer.pid) / "status").read_text(errors="replace")
        except OSError as error:
            raise WireError("claims a pid that is not its own") from error
        inner = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
        if str(join.pid) not in inner:
            raise WireError("claims a pid that is not its own")

    def _require_same_user(self, peer: Peer, join: Join) -> None:
        """Raise WireError when the job has live ranks of another user."""
        others = (member for (job, _), member in self._members.items() if job == join.job and member.alive)
        if any(member.uid != peer.uid for member in others):
            raise WireError("the job belongs to another user")

    def _note(self, kind: str, severity: Severity, member: Member, text: str, more: dict[str, str]) -> None:
        record = member.record
        self._events.append(
            EventRecord(
                wall_ns=time.time_ns(),
                kind=kind,
                severity=int(severity),
                source=self.name,
                text=text,
                device=record.gpu,
                fields={"job": record.job, "rank": str(record.rank), "pid": str(record.pid), **more},
            )
        )

    def _sample(self) -> None:
        while not self._stopping.wait(1.0 / _SAMPLES_PER_S):
            with self._lock:
                live = [member.process for member in self._members.values() if member.alive]
                if not live and not self._stopping.is_set():
                    self._somebody.clear()
            for process in live:
                process.sample()
            self._somebody.wait()


def _first_words(reason: object) -> str:
    """Return a reason as it may be shown on an operator's terminal; a job's text is not trusted."""
    text = reason if isinstance(reason, str) and reason else "unknown"
    return "".join(letter if letter.isprintable() else " " for letter in text[:200])


def _count(value: object) -> int:
    return min(value, 1 << 31) if isinstance(value, int) and value > 0 else 0
