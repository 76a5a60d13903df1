"""Judges who waits for whom. Those who shout are mostly victims."""

from __future__ import annotations

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from ringwatch_collector.diagnosis.conclusion import EFFECT, Conclusion
from ringwatch_collector.diagnosis.scene import Scene, quoted
from ringwatch_knowledge.observation import Observation

_WORK: Final = re.compile(
    r"WorkNCCL\((?:SeqNum=(?P<seq>\d{1,18}), )?OpType=(?P<op>\w+)(?:, NumelIn=(?P<numel>\d+))?"
)
_MISSING: Final = re.compile(
    r"(?i)missing ranks?:?[ \t]{0,4}\[?(?P<ranks>[\d, ]+)|"
    r"ranks? (?P<others>[\d, ]+)(?: have| has)? (?:failed to|did not|not) (?:pass|reach|join)|"
    r"\brank (?P<one>\d+) (?:failed to pass|did not)"
)


_GROUP: Final = re.compile(r"\[PG (?:ID )?(\w+)")


def judge(scene: Scene) -> Iterator[Conclusion]:
    """Yield what the ranks' own words and records tell."""
    yield from _watchdogs(scene)
    yield from _named_missing(scene)
    yield from _flight(scene)
    yield from _ras(scene)
    yield from _hang_flags(scene)
    yield from _late(scene)


def _watchdogs(scene: Scene) -> Iterator[Conclusion]:
    lines = scene.signs("watchdog")
    work = [(each, found) for each in lines if (found := _WORK.search(each.text))]
    if not lines:
        return
    by_seq: dict[str, set[tuple[str, str]]] = defaultdict(set)
    of_rank: dict[int, int] = {}
    # Each process group counts for itself: numbers of lines that name no group cannot be compared.
    of_group: dict[str, dict[int, int]] = defaultdict(dict)
    for each, found in work:
        by_seq[found["seq"] or ""].add((found["op"], found["numel"] or ""))
        if found["seq"] and each.rank >= 0:
            of_rank.setdefault(each.rank, int(found["seq"]))
            group = _GROUP.search(each.text)
            if group:
                of_group[group[1]].setdefault(each.rank, int(found["seq"]))
    if any(len(kinds) > 1 for seq, kinds in by_seq.items() if seq):
        yield Conclusion(
            fault_class="application.collective_mismatch", evidence=quoted(lines, 12), role=EFFECT,
            note="at one sequence number the ranks wait in different operations",
            settle=("flight-recorder dumps of all ranks (TORCH_NCCL_TRACE_BUFFER_SIZE)",),
        )  # fmt: skip
        return
    behind = sorted({rank for ranks in of_group.values() for rank in _behind(ranks)})
    if behind:
        yield Conclusion(
            fault_class="collective.missing_rank", evidence=quoted(lines, 12), role=EFFECT,
            where=", ".join(f"rank {rank}" for rank in behind), confidence=0.6,
            note="these ranks stand at a lower sequence number than the others",
            settle=("stack of these ranks (py-spy)", "kernel log of their nodes"),
        )  # fmt: skip
        return
    yield Conclusion(
        fault_class="collective.timeout_victim", evidence=quoted(lines, 12), role=EFFECT,
        where=", ".join(f"rank {rank}" for rank in sorted(of_rank)[:8]), confidence=0.7,
        note="the ranks that print this are those that waited",
        settle=("logs of the ranks that printed nothing", "flight-recorder dumps", "kernel log of all nodes"),
    )  # fmt: skip


def _behind(of_rank: dict[int, int]) -> list[int]:
    if len(set(of_rank.values())) < 2:
        return []
    most = max(of_rank.values())
    return sorted(rank for rank, seq in of_rank.items() if seq < most)


def _named_missing(scene: Scene) -> Iterator[Conclusion]:
    lines = scene.signs("hvd_missing", "barrier_missing")
    if not lines:
        return
    counts: Counter[int] = Counter()
    for each in lines:
        for found in _MISSING.finditer(each.text):
            named = found["ranks"] or found["others"] or found["one"] or ""
            counts.update(int(rank) for rank in re.findall(r"\d{1,7}", named))
    listed = scene.signs("hvd_list")
    counts.update(int(each.fields["missing"]) for each in listed)
    naming = listed + [each for each in lines if _MISSING.search(each.text)]
    ranks = [rank for rank, _ in counts.most_common(8)]
    if not ranks:
        yield Conclusion(
            fault_class="collective.timeout_victim", evidence=quoted(lines), role=EFFECT, confidence=0.5,
            settle=("which ranks are missing: the lines below name them",),
        )  # fmt: skip
        return
    yield Conclusion(
        fault_class="collective.missing_rank", evidence=quoted(naming + lines), role=EFFECT,
        where=", ".join(f"rank {rank}" for rank in sorted(ranks)), confidence=0.8,
        settle=("log and stack of the missing ranks", "kernel log of their nodes"),
    )  # fmt: skip


def _flight(scene: Scene) -> Iterator[Conclusion]:
    """Who has launched nothing is stuck before it; who launched and is behind, on its GPU."""
    ranks = {each.rank: each for each in scene.of("flight", "rank")}
    pending = scene.of("flight", "pending")
    waiting = {each.rank for each in pending}
    idle = sorted(set(ranks) - waiting)
    if waiting and idle and len(idle) < len(waiting):
        yield Conclusion(
            fault_class="application.process_stuck", role=EFFECT, confidence=0.8,
            evidence=quoted([*(ranks[rank] for rank in idle), *pending], 8),
            where=", ".join(f"rank {rank}" for rank in idle),
            note="all others wait in a collective that these ranks have not launched",
            settle=("py-spy dump of these ranks",),
        )  # fmt: skip
        return
    behind = _behind_in_groups(pending)
    if behind:
        yield Conclusion(
            fault_class="gpu.engine_hang", role=EFFECT, confidence=0.7, action="drain_and_reset",
            evidence=quoted([*(each for each in pending if each.rank in behind)], 8),
            where=", ".join(f"rank {rank}" for rank in sorted(behind)),
            note="launched, and behind what the others of the same group have completed",
            settle=("Xid and SXid lines of these ranks' nodes",),
        )  # fmt: skip
    elif _mismatched(pending):
        yield Conclusion(
            fault_class="application.collective_mismatch", role=EFFECT, evidence=quoted(_mismatched(pending)),
            note="at one sequence number of one group the ranks are in different operations",
        )  # fmt: skip
    elif waiting:
        yield Conclusion(
            fault_class="collective.timeout_victim", role=EFFECT, evidence=quoted(pending), confidence=0.5,
            settle=("dumps of the ranks that are not here",),
        )  # fmt: skip


def _behind_in_groups(pending: list[Observation]) -> set[int]:
    heads: dict[str, dict[int, float]] = defaultdict(dict)
    for each in pending:
        if each.fields["p2p"] or each.value != each.value:
            continue
        group = heads[each.fields["group"]]
        group[each.rank] = min(each.value, group.get(each.rank, each.value))
    behind: set[int] = set()
    for of_rank in heads.values():
        most = max(of_rank.values())
        late = {rank for rank, seq in of_rank.items() if seq < most}
        # One or two places apart is the order in which dumps were written; a device that fails leaves more.
        if late and len(late) <= len(of_rank) / 2 and most - min(of_rank.values()) > 2:
            behind |= late
    return behind


def _mismatched(pending: list[Observation]) -> list[Observation]:
    at: dict[tuple[str, float], dict[str, Observation]] = defaultdict(dict)
    for each in pending:
        if not each.fields["p2p"]:
            at[each.fields["group"], each.value][each.word] = each
    return [each for kinds in at.values() if len(kinds) > 1 for each in kinds.values()]


def _ras(scene: Scene) -> Iterator[Conclusion]:
    missing = scene.of("ras", "missing")
    bad = [each for each in scene.of("ras", "group") if each.word not in {"OK"}] + scene.of(
        "ras", "incomplete"
    )
    if missing or bad:
        yield Conclusion(
            fault_class="collective.missing_rank", evidence=quoted(missing + bad),
            where=", ".join(f"rank {each.rank}" for each in missing if each.rank >= 0), confidence=0.8,
            settle=("whether that process is alive, and its node's kernel log",),
        )  # fmt: skip


def _hang_flags(scene: Scene) -> Iterator[Conclusion]:
    flags = scene.of("rank", "rank_hang")
    hung = [each for each in flags if each.value > 0]
    if not hung:
        return
    yield Conclusion(
        fault_class="collective.timeout_victim",
        evidence=quoted(hung, 12), role=EFFECT, confidence=0.6,
        where=", ".join(f"rank {each.rank}" for each in hung[:8]),
        note="these ranks wait in an operation; one that does not may be the culprit, or past it",
        settle=("stacks of all ranks",),
    )  # fmt: skip


# So many negotiations make a habit of being last, and so often: chance gives 1/ranks.
_FEWEST: Final = 4
_MOSTLY: Final = 0.6
_LATER_THAN_OTHERS: Final = 3.0
_LATE_US: Final = 5000.0


def _late(scene: Scene) -> Iterator[Conclusion]:
    by_tensor: dict[str, list[Observation]] = defaultdict(list)
    for each in scene.of("negotiate", "late_us"):
        by_tensor[each.fields["tensor"]].append(each)
    lasts = [max(rows, key=lambda each: each.value) for rows in by_tensor.values() if len(rows) > 1]
    if len(lasts) < _FEWEST:
        return
    rank, times = Counter(each.rank for each in lasts).most_common(1)[0]
    own = statistics.median(each.value for each in lasts if each.rank == rank)
    others = [each.value for rows in by_tensor.values() for each in rows if each.rank != rank]
    usual = statistics.median(others) if others else 0.0
    if times >= _MOSTLY * len(lasts) and own > _LATER_THAN_OTHERS * usual and own > _LATE_US:
        yield Conclusion(
            fault_class="collective.straggler", where=f"rank {rank}",
            evidence=quoted([each for each in lasts if each.rank == rank], 4),
            note=f"last in {times} of {len(lasts)} negotiations, {own / 1000:.1f} ms after the first",
            settle=("CPU, GPU clocks and input of that rank's host",),
        )  # fmt: skip
