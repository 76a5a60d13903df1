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
from ringwatch_proto.ring import HeaderWord, RecordType

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
_COMPUTE_PHASE: Final = int(Phase.COMPUTE)
_COLLECTIVE_PHASE: Final = int(Phase.COLLECTIVE)
# Accounts that a collective takes over from; data and pauses it does not.
_OWN_TIME: Final = (_COMPUTE, _TAIL)
# Plain numbers: looking a member of an enumeration up costs as much as writing a word.
_STATE_LOCK: Final = int(HeaderWord.STATE_LOCK)
_STEP_WORD: Final = int(HeaderWord.STEP)
_PHASE: Final = int(HeaderWord.PHASE)
_PHASE_SINCE: Final = int(HeaderWord.PHASE_SINCE_NS)
_LAUNCHED: Final = int(HeaderWord.LAUNCHED)
_COMPLETED: Final = int(HeaderWord.COMPLETED)
_IN_COMMUNICATOR: Final = int(HeaderWord.INFLIGHT_COMMUNICATOR)
_IN_SLOT: Final = int(HeaderWord.INFLIGHT_SLOT)
_IN_KIND: Final = int(HeaderWord.INFLIGHT_KIND)
_IN_BYTES: Final = int(HeaderWord.INFLIGHT_BYTES)
_BEAT: Final = int(HeaderWord.BEAT_NS)
_STEP: Final = int(RecordType.STEP)
_COLLECTIVE: Final = int(RecordType.COLLECTIVE)
_NAN: Final = float("nan")
_S: Final = 1e-9
_MAX_SLOT: Final = (1 << 16) - 1

# communicator, slot, kind, bytes, begin_ns, step, whether the host waits for it
_Operation = tuple[int, int, int, int, int, int, bool]
_NOTHING: Final[_Operation] = (0, 0, 0, 0, 0, 0, False)


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
        "_gpu",
        "_hosted",
        "_launched",
        "_lock",
        "_lock_word",
        "_mode",
        "_oldest",
        "_pauses",
        "_record",
        "_since",
        "_step",
        "_tail",
        "_words",
    )

    def __init__(self, ring: RingWriter, step: int) -> None:
        now = monotonic_ns()
        self._record = ring.record
        self._words = ring.words
        self._lock_word = 0
        self._lock = RLock()
        self._step = step
        self._begin = self._since = now
        self._mode = _COMPUTE
        self._accounts = [0, 0, 0, 0, 0]
        self._flight: dict[int, _Operation] = {}
        self._oldest = _NOTHING
        self._launched = self._completed = 0
        # Collectives in flight that this thread's clock can time, and what the GPU's events said of others.
        self._hosted = self._gpu = 0
        self._data = self._pauses = self._flags = 0
        self._tail = False
        self._fresh = True
        self._open_state()
        self._words[_STEP_WORD] = step
        self._show_phase(int(Phase.STARTING), now)
        self._close_state(now)

    def begin(self, communicator: Communicator, kind: int, size: int, *, on_gpu: bool = False) -> int:
        """Note that a collective begins now; return the token that ``end`` takes.

        One that runs ``on_gpu`` is only put into a queue now: ``end`` is told later how long it took.
        """
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
            operation = (communicator.index, slot, kind, size, now, step, not on_gpu)
            flight = self._flight
            mode = self._mode
            self._accounts[mode] += now - self._since
            self._since = now
            words = self._words
            lock = self._lock_word
            words[_STATE_LOCK] = lock + 1
            words[_LAUNCHED] = token
            if not flight:
                self._show_oldest(operation)
            if not on_gpu:
                self._hosted += 1
                if mode in _OWN_TIME:
                    self._mode = _FLIGHT
                    words[_PHASE] = _COLLECTIVE_PHASE
                    words[_PHASE_SINCE] = now
            words[_BEAT] = now
            self._lock_word = words[_STATE_LOCK] = lock + 2
            flight[token] = operation
            return token

    def end(self, token: int, gpu_s: float = _NAN) -> None:
        """Note that a collective has ended; on a GPU it took ``gpu_s``, else from its begin until now.

        An unknown token, or one that ended already, is nothing.
        """
        with self._lock:
            now = monotonic_ns()
            operation = self._finish(token, now)
            if operation is None:
                return
            communicator, slot, kind, size, begin, step, hosted = operation
            if not hosted:
                self._gpu += int(gpu_s / _S)
            self._record(
                _COLLECTIVE, kind, communicator, slot, begin, now, step, size,
                (now - begin) * _S if hosted else gpu_s, _NAN, _NAN, _NAN,
            )  # fmt: skip

    def abandon(self, token: int) -> None:
        """Forget a collective that failed: it is over, and how long it took means nothing."""
        with self._lock:
            self._finish(token, monotonic_ns())

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

    def step_end(self, loss: float, amounts: int = 0, flags: int = 0) -> None:
        """Write the record of the step that ends now, and begin the next one.

        ``amounts`` is the word of ``ring.pack_amounts``, 0 when the job did not tell what it had to do.
        """
        with self._lock:
            now = monotonic_ns()
            self._turn(now)
            compute, data, _, pause, tail = self._accounts
            if self._tail:
                compute += tail
            # The host queues work ahead of the GPU: what the GPU spent in collectives was not compute.
            compute = max(0, compute - self._gpu)
            self._gpu = 0
            self._record(
                _STEP, self._flags | flags, 0, 0, self._begin, now, self._step, amounts,
                data * _S, compute * _S, pause * _S, loss,
            )  # fmt: skip
            self._accounts = [0, 0, 0, 0, 0]
            self._begin = now
            self._step += 1
            self._words[_STEP_WORD] = self._step
            self._flags = 0
            self._tail = True
            self._fresh = False
            self._turn(now)

    def ended(self) -> None:
        """Say that this process will do nothing more."""
        with self._lock:
            now = monotonic_ns()
            self._open_state()
            self._show_phase(int(Phase.ENDED), now)
            self._close_state(now)

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

    def _finish(self, token: int, now: int) -> _Operation | None:
        """Take a collective out of flight; return it, None when it was not there."""
        flight = self._flight
        operation = flight.pop(token, None)
        if operation is None:
            return None
        self._completed += 1
        if operation[6]:
            self._hosted -= 1
        mode = self._mode
        self._accounts[mode] += now - self._since
        self._since = now
        words = self._words
        lock = self._lock_word
        words[_STATE_LOCK] = lock + 1
        words[_COMPLETED] = self._completed
        if operation is self._oldest:
            self._show_oldest(next(iter(flight.values()), _NOTHING))
        if not self._hosted and mode == _FLIGHT:
            self._mode = _TAIL if self._tail else _COMPUTE
            words[_PHASE] = _COMPUTE_PHASE
            words[_PHASE_SINCE] = now
        words[_BEAT] = now
        self._lock_word = words[_STATE_LOCK] = lock + 2
        return operation

    def _turn(self, now: int) -> None:
        """Charge the time since the last event to its account, and find out which one runs now."""
        self._accounts[self._mode] += now - self._since
        self._since = now
        if self._data:
            mode = _DATA
        elif self._pauses:
            mode = _PAUSE
        elif self._hosted:
            mode = _FLIGHT
        elif self._tail:
            mode = _TAIL
        else:
            mode = _COMPUTE
        self._mode = mode
        self._open_state()
        phase = _PHASES[mode]
        if self._words[_PHASE] != phase:
            self._show_phase(phase, now)
        self._close_state(now)

    def _open_state(self) -> None:
        self._words[_STATE_LOCK] = self._lock_word + 1

    def _close_state(self, now: int) -> None:
        self._words[_BEAT] = now
        self._lock_word += 2
        self._words[_STATE_LOCK] = self._lock_word

    def _show_phase(self, phase: int, now: int) -> None:
        self._words[_PHASE] = phase
        self._words[_PHASE_SINCE] = now

    def _show_oldest(self, operation: _Operation) -> None:
        self._oldest = operation
        words = self._words
        words[_IN_COMMUNICATOR] = operation[0]
        words[_IN_SLOT] = operation[1]
        words[_IN_KIND] = operation[2]
        words[_IN_BYTES] = operation[3]
