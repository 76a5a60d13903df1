"""One training process that joined: its ring and its process, turned into records of the wire."""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import Final

from ringwatch_agent.sources.base import RankRecord
from ringwatch_agent.sources.rank_process import RankProcess
from ringwatch_agent.sources.ring_reader import RingReader, RingRecord, RingState
from ringwatch_proto.errors import LayoutError
from ringwatch_proto.layout import COLLECTIVE, RANK_STATE, STEP, Collective, Phase
from ringwatch_proto.ring import RecordType, amounts_of

_NAN: Final = float("nan")
_S: Final = 1e-9
_U16: Final = (1 << 16) - 1
_U32: Final = (1 << 32) - 1
# No step and no collective is longer than a month; a record that says so is broken.
_LONGEST_NS: Final = 31 * 86400 * 1_000_000_000
_PHASES: Final = frozenset(int(phase) for phase in Phase)
_KINDS: Final = frozenset(int(kind) for kind in Collective)


class Member:
    """A rank of a job on this node, alive or ended a short while ago. Not safe for several threads."""

    def __init__(self, record: RankRecord, uid: int, ring: RingReader, process: RankProcess) -> None:
        self.record = record
        self.uid = uid
        self.process = process
        # The process's own number of a group -> the node's.
        self.communicators: dict[int, int] = {}
        # Its goodbye, empty while it has said none.
        self.reason = ""
        self.alive = True
        self._ring = ring
        self._lost = 0
        self._died_ns = 0
        self._last: RingState | None = None
        # End of the last step record: where the next step begins. And which step that is.
        self._begin_ns = 0
        self._step = -1
        self._dropped: Counter[str] = Counter()
        process.usage(time.monotonic())

    def packed(self, wall_offset_ns: int) -> tuple[bytes, bytes]:
        """Return the packed steps and collectives since the last call; raise LayoutError on a bad ring."""
        if not self.alive:
            return b"", b""
        steps: list[bytes] = []
        collectives: list[bytes] = []
        for record in self._ring.records():
            if not 0 <= record[6] - record[5] <= _LONGEST_NS:
                self._dropped["hook.absurd_records"] += 1
            elif record[1] == RecordType.STEP:
                steps.append(self._step_record(record, wall_offset_ns))
            elif record[1] == RecordType.COLLECTIVE:
                collectives += self._collective_record(record)
            else:
                self._dropped["hook.absurd_records"] += 1
        return b"".join(steps), b"".join(collectives)

    def state(self, now_ns: int) -> bytes:
        """Return the packed rank state now; after its end, the last one with ``alive`` 0."""
        state = self._ring_state()
        usage = self.process.usage(now_ns * _S)
        inflight = state is not None and state.launched > state.completed
        return RANK_STATE.pack(
            self.record.row,
            state.phase if state is not None and state.phase in _PHASES else int(Phase.STARTING),
            ord(usage.state) if usage.state and self.alive else 0,
            int(self.alive),
            state.inflight_kind if state and inflight and state.inflight_kind in _KINDS else 0,
            self.communicators.get(state.inflight_communicator, _U16) if state and inflight else 0,
            min(_U16, state.inflight_slot) if state and inflight else 0,
            state.step if state else 0,
            state.launched if state else 0,
            state.completed if state else 0,
            _age_s(now_ns, state.phase_since_ns) if state else _NAN,
            _age_s(now_ns, state.beat_ns) if state else _NAN,
            usage.cpu_cores,
            usage.throttled_share,
            usage.stopped_share,
            usage.runqueue_share,
            usage.rss_mib,
            min(_U32, self._ring.lost),
        )

    def take_dropped(self) -> Counter[str]:
        """Return what could not be passed on since the last call, by kind."""
        dropped, self._dropped = self._dropped, Counter()
        lost = self._ring.lost
        if lost > self._lost:
            dropped["hook.lost_records"] = lost - self._lost
            self._lost = lost
        return dropped

    def die(self, now_ns: int) -> dict[str, str]:
        """Keep its last state, close the ring and return what is known of its end."""
        death = self.process.death()
        self._last = self._ring_state()
        self.alive = False
        self._died_ns = now_ns
        self._ring.close()
        return death

    def dead_s(self, now_ns: int) -> float:
        """Return for how long it has been dead, 0 while it lives."""
        return 0.0 if self.alive else (now_ns - self._died_ns) * _S

    def close(self) -> None:
        """Let go of the ring; twice is harmless."""
        self.alive = False
        self._ring.close()

    def _ring_state(self) -> RingState | None:
        if not self.alive:
            return self._last
        try:
            self._last = self._ring.state()
        except LayoutError:
            self._dropped["hook.bad_ring"] += 1
        return self._last

    def _step_record(self, record: RingRecord, wall_offset_ns: int) -> bytes:
        _, _, flags, _, _, begin_ns, end_ns, step, amounts, data_s, compute_s, pause_s, loss = record
        self._begin_ns = end_ns
        self._step = step
        return STEP.pack(
            self.record.row,
            flags,
            step,
            max(0, end_ns + wall_offset_ns),
            (end_ns - begin_ns) * _S,
            _share(data_s),
            _share(compute_s),
            _share(pause_s),
            loss,
            *amounts_of(amounts),
        )

    def _collective_record(self, record: RingRecord) -> list[bytes]:
        _, _, kind, local, slot, begin_ns, _, step, size, duration_s, *_ = record
        communicator = self.communicators.get(local)
        if communicator is None or slot > _U16 or kind not in _KINDS:
            self._dropped["hook.absurd_records"] += 1
            return []
        # Where the step began is known once the one before it has been seen to end.
        known = step == self._step + 1 and self._begin_ns > 0
        start_s = (begin_ns - self._begin_ns) * _S if known else _NAN
        took_s = _share(duration_s)
        return [COLLECTIVE.pack(self.record.row, communicator, slot, kind, 0, step, size, start_s, took_s)]


def _age_s(now_ns: int, then_ns: int) -> float:
    """Return the age of a monotonic time, NaN for one that was never or is yet to come."""
    age_ns = now_ns - then_ns
    # The hook may have written since the clock was read.
    return max(0, age_ns) * _S if then_ns > 0 and -1_000_000_000 <= age_ns <= _LONGEST_NS else _NAN


def _share(seconds: float) -> float:
    return seconds if math.isfinite(seconds) and seconds >= 0.0 else _NAN
