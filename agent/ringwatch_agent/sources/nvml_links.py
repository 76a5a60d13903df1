"""NVLinks of one GPU: how many are up, what errs and where. One call for all links; judges nothing."""

from __future__ import annotations

import ctypes
import math
from typing import Final

from ringwatch_agent.sources import nvml_library as nvml
from ringwatch_agent.sources.nvml_asks import Place, Rise, Row
from ringwatch_agent.sources.nvml_fields import RawFields

LINK_COUNT: Final = 91
STATE: Final = 165
# Replay, recovery and CRC errors of NVLink 2 to 4; then receive errors, recoveries and effective
# errors (those left after correction) of NVLink 5.
ERRORS: Final = (161, 162, 163, 208, 215, 219)
RECOVERY_FAILED: Final = 214
SYMBOL_BER: Final = 222
BYTES_OUT, BYTES_IN = 202, 204
_OF_LINK: Final = (STATE, *ERRORS, RECOVERY_FAILED, SYMBOL_BER, BYTES_OUT, BYTES_IN)
_MOST_LINKS: Final = 36
SIGNALS: Final = (
    "nvlink_links", "nvlink_active", "nvlink_errors_per_s", "nvlink_worst_errors_per_s",
    "nvlink_worst_link", "nvlink_recoveries_failed", "nvlink_worst_symbol_ber",
)  # fmt: skip


def bit_error_rate(coded: int) -> float:
    """Return the rate that NVML codes as mantissa (bits 8 to 11) times ten to the minus bits 0 to 7."""
    return float((coded >> 8 & 0xF) * 10.0 ** -(coded & 0xFF))


class Links:
    """Asks all links at once and remembers which are down and which of their numbers there are."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._function = place.library.function("nvmlDeviceGetFieldValues")
        self._count = 0
        self._raw: RawFields | None = None
        self._rises: dict[int, Rise] = {}
        self._throughput = {BYTES_OUT: Rise(), BYTES_IN: Rise()}
        self.down: tuple[int, ...] = ()
        self.code = nvml.SUCCESS

    def __call__(self, row: Row, now_s: float) -> int:
        """Read every link into the row; return NVML's code."""
        if self._function is None:
            return nvml.FUNCTION_NOT_FOUND
        if self._raw is None:
            code = self._begin()
            if code != nvml.SUCCESS or self._raw is None:
                return code
        code = self._raw.read(self._function, self._place.handle)
        if code == nvml.SUCCESS:
            self._take(row, now_s)
        return code

    def _begin(self) -> int:
        assert self._function is not None
        first = RawFields([(LINK_COUNT, 0)])
        code = first.read(self._function, self._place.handle)
        (result, count), *_ = first.values()
        if code != nvml.SUCCESS or result != nvml.SUCCESS:
            return code or result
        self._count = min(int(count), _MOST_LINKS)
        if self._count == 0:
            return nvml.NOT_SUPPORTED
        every = [(number, link) for number in _OF_LINK for link in range(self._count)]
        trial = RawFields(every)
        code = trial.read(self._function, self._place.handle)
        if code == nvml.SUCCESS:
            answers = zip(every, trial.values(), strict=True)
            given = {number for (number, _), (result, _v) in answers if result == nvml.SUCCESS}
            self._raw = RawFields([each for each in every if each[0] in given])
        return code

    def _take(self, row: Row, now_s: float) -> None:
        assert self._raw is not None
        errors = [math.nan] * self._count
        up: dict[int, bool] = {}
        failed, worst_ber = math.nan, math.nan
        moved: dict[int, float] = {}
        for (number, link), (result, value) in zip(self._raw.wanted, self._raw.values(), strict=True):
            if result != nvml.SUCCESS:
                continue
            if number == STATE:
                up[link] = value > 0  # 2 is asleep: up, and saving power
            elif number == RECOVERY_FAILED:
                failed = value + (0.0 if math.isnan(failed) else failed)
            elif number == SYMBOL_BER:
                ber = bit_error_rate(int(value))
                worst_ber = ber if math.isnan(worst_ber) else max(ber, worst_ber)
            elif number in self._throughput:
                moved[number] = moved.get(number, 0.0) + value
            else:
                errors[link] = value + (0.0 if math.isnan(errors[link]) else errors[link])
        self._put(row, "nvlink_links", self._count)
        self._put_states(row, up)
        self._put_errors(row, errors, now_s)
        self._put(row, "nvlink_recoveries_failed", failed)
        self._put(row, "nvlink_worst_symbol_ber", worst_ber)
        for number, signal in ((BYTES_OUT, "nvlink_tx_bytes_per_s"), (BYTES_IN, "nvlink_rx_bytes_per_s")):
            if number in moved:
                self._put(row, signal, self._throughput[number].per_s(int(moved[number]), now_s))

    def _put_states(self, row: Row, up: dict[int, bool]) -> None:
        if not up:
            up = self._ask_one_by_one()
        self.down = tuple(link for link, is_up in up.items() if not is_up)
        self._put(row, "nvlink_active", len(up) - len(self.down) if up else math.nan)

    def _ask_one_by_one(self) -> dict[int, bool]:
        # Drivers before 515 do not give the state as a field.
        names = ("nvmlDeviceGetNvLinkState",)
        states = {
            link: self._place.library.number(names, self._place.handle, ctypes.c_uint(link))
            for link in range(self._count)
        }
        return {link: bool(state) for link, state in states.items() if state is not None}

    def _put_errors(self, row: Row, errors: list[float], now_s: float) -> None:
        rates = {
            link: self._rises.setdefault(link, Rise()).per_s(int(count), now_s)
            for link, count in enumerate(errors)
            if not math.isnan(count)
        }
        known = {link: rate for link, rate in rates.items() if not math.isnan(rate)}
        worst = max(known, key=lambda link: known[link], default=-1)
        self._put(row, "nvlink_errors_per_s", sum(known.values()) if known else math.nan)
        self._put(row, "nvlink_worst_errors_per_s", known.get(worst, math.nan))
        self._put(row, "nvlink_worst_link", worst if known.get(worst, 0.0) > 0 else math.nan)

    def _put(self, row: Row, signal: str, value: float) -> None:
        row[self._place.column[signal]] = value
