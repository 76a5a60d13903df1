"""Turns what the patches see into step and collective records; owns the clockwork of one rank.

Every moment of a step is charged to one account: the data loader, a pause, a collective in flight, or
the rank's own compute, in this order when several hold. So compute is this rank's own work, and a rank
that waits for another does not look slow. What follows the optimizer step (the tail) is a pause when the
data loader or a forward pass follows, and compute when neither is ever seen.

Calls come from the training thread, from autograd's threads and from Gloo's; a lock that is held for a
few microseconds serialises them. It is re-entrant, since a signal handler may run a collective.
"""

from __future__ import annotations

from threading import RLock
from time import monotonic_ns
from typing import Final

from ringwatch_agent.hook.ring_writer import RingWriter
from ringwatch_proto.layout import Phase
from ringwatch_proto.ring import RecordType

_COMPUTE: Final = 0
_DATA: Final = 1
_FLIGHT: Final = 2
_PAUSE: Final = 3
_TAIL: Final = 4
_PHASES: Final = (
    int(Phase.COMPUTE),
    int(Phase.DATA),
    int(Phase.COLLECTIVE),
    int(Phase.PAUSE),
    int(Phase.COMPUTE),
)
_STEP: Final = int(RecordType.STEP)
_COLLECTIVE: Final = int(RecordType.COLLECTIVE)
_NAN: Final = float("nan")
_S: Final = 1e-9
_MAX_SLOT: Final = (1 << 16) - 1

# communicator, slot, kind, bytes, begin_ns, step
_Operation = tuple[int, int, int, int, int, int]
_NOTHING: Final[_Operation] = (0, 0, 0, 0, 0, 0)


class Communicator:
    """A process group as the ring names it, and how many collectives it has begun in this step."""

    __slots__ = ("index", "slot", "step")

    def __init__(self, index: int) -> None:
        self.index = index
        self.slot = 0
        self.step = -1


class Recorder:
    """Accounts of one rank, written to one ring."""

    __slots__ = (
        "_accounts",
        "_begin",
        "_completed",
        "_data",
        "_flags",
        "_flight",
        "_fresh",
        "_launched",
        "_lock",
        "_mode",
        "_oldest",
        "_pauses",
        "_phase",
        "_phase_since",
        "_record",
        "_since",
        "_state",
        "_step",
        "_tail",
    )

    def __init__(self, ring: RingWriter, step: int) -> None:
        now = monotonic_ns()
        self._record = ring.record
        self._state = ring.state
        self._lock = RLock()
        self._step = step
        self._begin = self._since = self._phase_since = now
        self._mode = _COMPUTE
        self._phase = int(Phase.STARTING)
        self._accounts = [0, 0, 0, 0, 0]
        self._flight: dict[int, _Operation] = {}
        self._oldest = _NOTHING
        self._launched = self._completed = 0
        self._data = self._pauses = self._flags = 0
        self._tail = False
        self._fresh = True
        self._publish(now)

    def begin(self, communicator: Communicator, kind: int, size: int) -> int:
        """Note that a collective begins now; return the token that ``end`` takes."""
        with self._lock:
            now = monotonic_ns()
            step = self._step
            if communicator.step != step:
                communicator.step = step
                communicator.slot = 0
            slot = communicator.slot
            if slot < _MAX_SLOT:
                communicator.slot = slot + 1
            token = self._launched = self._launched + 1
            operation = (communicator.index, slot, kind, size, now, step)
            if not self._flight:
                self._oldest = operation
            self._flight[token] = operation
            self._turn(now)
            return token

    def end(self, token: int) -> None:
        """Note that a collective has ended. An unknown token, or one that ended already, is nothing."""
        with self._lock:
            now = monotonic_ns()
            operation = self._flight.pop(token, None)
            if operation is None:
                return
            self._completed += 1
            communicator, slot, kind, size, begin, step = operation
            self._record(
                _COLLECTIVE, kind, communicator, slot, begin, now, step, size,
                (now - begin) * _S, _NAN, _NAN, _NAN,
            )  # fmt: skip
            if operation is self._oldest:
                self._oldest = next(iter(self._flight.values()), _NOTHING)
            self._turn(now)

    def abandon(self, token: int) -> None:
        """Forget a collective that failed: it is over, and how long it took means nothing."""
        with self._lock:
            operation = self._flight.pop(token, None)
            if operation is None:
                return
            self._completed += 1
            if operation is self._oldest:
                self._oldest = next(iter(self._flight.values()), _NOTHING)
            self._turn(monotonic_ns())

    def data_begin(self) -> None:
        """Note that the job asks the data loader for a batch."""
        with self._lock:
            now = monotonic_ns()
            self._data += 1
            self._leave_tail(now)
            self._turn(now)

    def data_end(self) -> None:
        """Note that the batch is there."""
        with self._lock:
            self._data -= 1
            self._turn(monotonic_ns())

    def forward(self) -> None:
        """Note that a forward pass begins: whatever came after the last step was a pause."""
        if self._tail or self._fresh:
            with self._lock:
                now = monotonic_ns()
                self._leave_tail(now)
                self._turn(now)

    def pause_begin(self, flags: int) -> None:
        """Note that the job pauses; ``flags`` are bits of ``StepFlag`` for the step record."""
        with self._lock:
            self._pauses += 1
            self._flags |= flags
            self._turn(monotonic_ns())

    def pause_end(self) -> None:
        """Note that the pause is over."""
        with self._lock:
            self._pauses -= 1
            self._turn(monotonic_ns())

    def step_end(self, loss: float) -> None:
        """Write the record of the step that ends now, and begin the next one."""
        with self._lock:
            now = monotonic_ns()
            self._turn(now)
            compute, data, _, pause, tail = self._accounts
            if self._tail:
                compute += tail
            self._record(
                _STEP, self._flags, 0, 0, self._begin, now, self._step, 0,
                data * _S, compute * _S, pause * _S, loss,
            )  # fmt: skip
            self._accounts = [0, 0, 0, 0, 0]
            self._begin = now
            self._step += 1
            self._flags = 0
            self._tail = True
            self._fresh = False
            self._turn(now)

    def ended(self) -> None:
        """Say that this process will do nothing more."""
        with self._lock:
            self._phase = int(Phase.ENDED)
            self._phase_since = monotonic_ns()
            self._publish(self._phase_since)

    def _leave_tail(self, now: int) -> None:
        """Decide what the time since the last step was; the first step begins here, not at the import."""
        if self._tail:
            accounts = self._accounts
            accounts[self._mode] += now - self._since
            self._since = now
            accounts[_PAUSE] += accounts[_TAIL]
            accounts[_TAIL] = 0
            self._tail = False
        elif self._fresh:
            self._accounts = [0, 0, 0, 0, 0]
            self._begin = self._since = now
            self._fresh = False

    def _turn(self, now: int) -> None:
        """Charge the time since the last event to its account, and find out which one runs now."""
        self._accounts[self._mode] += now - self._since
        self._since = now
        if self._data:
            mode = _DATA
        elif self._pauses:
            mode = _PAUSE
        elif self._flight:
            mode = _FLIGHT
        elif self._tail:
            mode = _TAIL
        else:
            mode = _COMPUTE
        self._mode = mode
        phase = _PHASES[mode]
        if phase != self._phase:
            self._phase = phase
            self._phase_since = now
        self._publish(now)

    def _publish(self, now: int) -> None:
        communicator, slot, kind, size, _, _ = self._oldest
        self._state(
            self._step, self._phase, self._phase_since, self._launched, self._completed,
            communicator, slot, kind, size, now,
        )  # fmt: skip
