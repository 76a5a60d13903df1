"""Reads one GPU on a thread of its own in the reader process, so that a stuck GPU stops only itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pynvml as nvml

from ringwatch_agent.sources.nvml_fields import Ask, Handle
from ringwatch_proto.signals import GpuState

UNSUPPORTED_S: Final = 3600.0
# After this long without an answer the GPU is "not answering" and its values are nobody's.
ANSWER_S: Final = 3.0
# A GPU that answers slowly is asked less: after Xid 119 each call holds the driver for 6 to 45 s.
_REST_FACTOR: Final = 4.0
_REST_MAX_S: Final = 60.0
_LOST_REST_S: Final = 10.0

_UNSUPPORTED: Final = frozenset(
    {
        nvml.NVML_ERROR_NOT_SUPPORTED,
        nvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        nvml.NVML_ERROR_INVALID_ARGUMENT,
        nvml.NVML_ERROR_NO_PERMISSION,
        nvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
    }
)
# The driver under the library is gone or another one: only a new process can go on.
REINITIALISE: Final = frozenset(
    {
        nvml.NVML_ERROR_UNINITIALIZED,
        nvml.NVML_ERROR_DRIVER_NOT_LOADED,
        nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
    }
)
_LOST: Final = {
    nvml.NVML_ERROR_GPU_IS_LOST: GpuState.LOST,
    nvml.NVML_ERROR_GPU_NOT_FOUND: GpuState.LOST,
    nvml.NVML_ERROR_RESET_REQUIRED: GpuState.NEEDS_RESET,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuIdentity:
    """What does not change about a GPU."""

    id: str
    name: str
    pci_address: str
    model: str


@dataclass(slots=True, kw_only=True)
class _Answer:
    """What one round of questions gave."""

    state: GpuState = GpuState.OK
    why: str = ""
    gauges: dict[str, float] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    at_s: float = 0.0
    took_s: float = 0.0
    reinitialise: bool = False


class GpuThread:
    """Asks one GPU when told to; what it last said can be had at any time."""

    def __init__(self, identity: GpuIdentity, handle: Handle, asks: Sequence[Ask]) -> None:
        self.identity = identity
        self._handle = handle
        self._asks = asks
        self._not_before_s: dict[str, float] = {}
        self._rest_until_s = 0.0
        self._busy_since_s: float | None = None
        self._answer: _Answer | None = None
        self._good_s: float | None = None
        self._asked = threading.Event()
        self._answered = threading.Event()
        threading.Thread(target=self._run, name=f"gpu-{identity.name}", daemon=True).start()

    def ask(self) -> None:
        """Start a round, unless one is under way or the GPU is being spared."""
        if self._busy_since_s is None and time.monotonic() >= self._rest_until_s:
            self._busy_since_s = time.monotonic()
            self._answered.clear()
            self._asked.set()

    def wait(self, within_s: float) -> None:
        """Wait for the round under way."""
        if self._busy_since_s is not None:
            self._answered.wait(max(0.0, within_s))

    def now(self) -> dict[str, Any]:
        """Return what is known now; values are given only while they are younger than ``ANSWER_S``."""
        now_s, answer, busy_since_s = time.monotonic(), self._answer, self._busy_since_s
        busy_s = 0.0 if busy_since_s is None else now_s - busy_since_s
        state, why = (GpuState.OK, "") if answer is None else (answer.state, answer.why)
        if busy_s > ANSWER_S:
            state, why = GpuState.NOT_ANSWERING, f"an NVML call has not come back for {busy_s:.0f} s"
        elif answer is not None and answer.took_s > ANSWER_S:
            state, why = GpuState.NOT_ANSWERING, f"the last round of NVML calls took {answer.took_s:.0f} s"
        age_s = None if self._good_s is None else now_s - self._good_s
        fresh = answer is not None and answer.state is GpuState.OK and now_s - answer.at_s <= ANSWER_S
        return {
            "state": int(state),
            "why": why,
            "known": answer is not None or busy_s > ANSWER_S,
            "age_s": age_s,
            "at_s": answer.at_s if answer else 0.0,
            "gauges": answer.gauges if fresh and answer else {},
            "counters": answer.counters if fresh and answer else {},
            "reinitialise": answer is not None and answer.reinitialise,
        }

    def _run(self) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            answer = self._round()
            if answer.state is GpuState.OK:
                self._good_s = answer.at_s
            self._answer, self._busy_since_s = answer, None
            self._answered.set()

    def _round(self) -> _Answer:
        begin_s = time.monotonic()
        answer = _Answer()
        failures: list[str] = []
        for ask in self._asks:
            if self._not_before_s.get(ask.name, 0.0) > begin_s:
                continue
            try:
                _take(answer, ask, ask.call(self._handle))
            except nvml.NVMLError as error:
                self._failed(answer, ask, error, failures)
                if answer.state is not GpuState.OK or answer.reinitialise:
                    break
        if failures and not (answer.gauges or answer.counters) and answer.state is GpuState.OK:
            answer.state, answer.why = GpuState.FAILING, failures[0]
        answer.at_s = time.monotonic()
        answer.took_s = answer.at_s - begin_s
        self._spare(answer)
        return answer

    def _failed(self, answer: _Answer, ask: Ask, error: nvml.NVMLError, failures: list[str]) -> None:
        code = error.value
        if code in _UNSUPPORTED:
            self._not_before_s[ask.name] = time.monotonic() + UNSUPPORTED_S
        elif code in _LOST:
            answer.state, answer.why = _LOST[code], str(error)
        else:
            answer.reinitialise = answer.reinitialise or code in REINITIALISE
            failures.append(f"{ask.name}: {error}")

    def _spare(self, answer: _Answer) -> None:
        rest_s = 0.0
        if answer.took_s > ANSWER_S:
            rest_s = min(_REST_MAX_S, answer.took_s * _REST_FACTOR)
        elif answer.state in (GpuState.LOST, GpuState.NEEDS_RESET):
            rest_s = _LOST_REST_S
        self._rest_until_s = answer.at_s + rest_s


def _take(answer: _Answer, ask: Ask, value: Any) -> None:  # noqa: ANN401 - whatever NVML's struct is
    answer.gauges |= {signal: float(pick(value)) for signal, pick in ask.gauges.items()}
    answer.counters |= {signal: int(pick(value)) for signal, pick in ask.counters.items()}
