"""What a probe of a node found, and how it is judged against peers and its own past. Measures nothing."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from ringwatch_proto.errors import WireError

# Healthy GPUs of one model differ: 8 % in the median cluster, up to 22 % at worst, of the same kernel
# (Sinha et al., "Not All GPUs Are Created Equal", SC22). What is slower than this share of the median
# of its peers is slower than that explains for all but the worst.
SLOWEST_OF_PEERS: Final = 0.80
# A node differs less from its own past than from others.
SLOWEST_OF_PAST: Final = 0.85
# What shares its time with other work (CPU, disk, loopback) differs by as much as that work does.
SLOWEST_SHARED: Final = 0.5
FEWEST_PEERS: Final = 3
FEWEST_PAST: Final = 3
_LARGEST: Final = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One thing that was measured or checked on one device.

    ``value`` is None where the check has no number. ``wrong`` says what is not right, empty when all is.
    Higher is better for every value. ``kind`` is what is compared among peers: the device class.
    ``shared`` says that other work of the node has a part in the number.
    """

    name: str
    device: str
    kind: str
    value: float | None = None
    unit: str = ""
    wrong: str = ""
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """Everything that one probe found."""

    node: str
    at_s: float
    level: str
    seconds: float
    measures: tuple[Measure, ...]
    skipped: tuple[str, ...] = ()
    passed: bool = True

    @property
    def wrong(self) -> tuple[str, ...]:
        """Return what is not right, without any comparison."""
        return tuple(f"{each.device} {each.name}: {each.wrong}" for each in self.measures if each.wrong)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A measure beside what it was compared with."""

    measure: Measure
    peers: int = 0
    of_peers: float = math.nan
    past: int = 0
    of_past: float = math.nan
    verdict: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Whether a probe passed, and on how much that rests."""

    passed: bool
    judged: tuple[Judged, ...]
    reasons: tuple[str, ...]

    @property
    def compared(self) -> int:
        """Return how many numbers had enough peers to be compared with."""
        return sum(each.peers >= FEWEST_PEERS for each in self.judged)


def judge(result: ProbeResult, others: Iterable[ProbeResult]) -> Judgement:
    """Judge a probe: correctness first, then against devices of the same kind, then its own past.

    A device's peers are the other devices of its kind, in this probe and in the newest probe of every
    other node. Too few of them is no failure: it is said how many numbers were compared.
    """
    others = [each for each in others if each.passed and each.level == result.level]
    newest: dict[str, ProbeResult] = {}
    for each in others:
        if each.node != result.node and each.at_s >= newest.get(each.node, each).at_s:
            newest[each.node] = each
    past = [each for each in others if each.node == result.node]
    judged = tuple(_judged(measure, result, list(newest.values()), past) for measure in result.measures)
    reasons = tuple(
        f"{each.measure.device} {each.measure.name}: {each.verdict}" for each in judged if each.verdict
    )
    return Judgement(passed=bool(judged) and not reasons, judged=judged, reasons=reasons)


def _judged(
    measure: Measure, result: ProbeResult, nodes: Sequence[ProbeResult], past: Sequence[ProbeResult]
) -> Judged:
    if measure.wrong or measure.value is None:
        return Judged(measure=measure, verdict=measure.wrong)
    here = [
        each.value
        for each in result.measures
        if _alike(each, measure) and each.device != measure.device and each.value is not None
    ]
    there = [each.value for other in nodes for each in other.measures if _alike(each, measure)]
    peers = [*here, *(value for value in there if value is not None)]
    before = [
        each.value
        for other in past
        for each in other.measures
        if _alike(each, measure) and each.device == measure.device and each.value is not None
    ]
    of_peers, of_past = _ratio(measure.value, peers), _ratio(measure.value, before)
    verdict = ""
    least_of_peers = SLOWEST_SHARED if measure.shared else SLOWEST_OF_PEERS
    least_of_past = SLOWEST_SHARED if measure.shared else SLOWEST_OF_PAST
    if len(peers) >= FEWEST_PEERS and of_peers < least_of_peers:
        verdict = f"{measure.value:.4g} {measure.unit}, {of_peers:.0%} of the median of {len(peers)} peers"
    elif len(before) >= FEWEST_PAST and of_past < least_of_past:
        verdict = f"{measure.value:.4g} {measure.unit}, {of_past:.0%} of what it did before"
    return Judged(
        measure=measure, peers=len(peers), of_peers=of_peers, past=len(before), of_past=of_past,
        verdict=verdict,
    )  # fmt: skip


def _alike(one: Measure, other: Measure) -> bool:
    return one.name == other.name and one.kind == other.kind


def _ratio(value: float, others: Sequence[float]) -> float:
    middle = statistics.median(others) if others else math.nan
    return value / middle if middle > 0 else math.nan


def to_json(result: ProbeResult) -> str:
    """Return the one line that is stored and sent."""
    return json.dumps(asdict(result), ensure_ascii=False, allow_nan=False)


def from_json(text: str) -> ProbeResult:
    """Return the probe of a line; raise WireError when it is none."""
    try:
        if len(text) > _LARGEST:
            raise ValueError("it is too long")
        data: dict[str, Any] = json.loads(text)
        measures = tuple(Measure(**row) for row in data.pop("measures"))
        result = ProbeResult(**data | {"skipped": tuple(data.get("skipped", ()))}, measures=measures)
        _check(result)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise WireError(f"no probe result: {error}"[:200]) from error
    return result


def _check(result: ProbeResult) -> None:
    texts = [result.node, result.level, *result.skipped]
    numbers: list[object] = [result.at_s, result.seconds]
    for each in result.measures:
        texts += [each.name, each.device, each.kind, each.unit, each.wrong]
        numbers += [] if each.value is None else [each.value]
    if not all(isinstance(text, str) and len(text) <= 400 for text in texts):
        raise ValueError("a text is none or too long")
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            raise ValueError("a number is none")
