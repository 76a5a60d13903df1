"""NVIDIA's labelled flight-recorder cases and permutations of their ranks, judged as by ``diagnose``."""

from __future__ import annotations

import pickle
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ringwatch_agent.evidence import app as evidence
from ringwatch_agent.evidence import files, flight_recorder
from ringwatch_collector.diagnosis import app as diagnosis

_TRUTH: Final = "fault_injection.log"
_RANKS: Final = re.compile(r"Fault ranks: \[([\d, ]+)\]")
_NAMED: Final = re.compile(r"rank (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlightResult:
    """One case, as it is (``permutation`` 0) or with its ranks renamed."""

    case: str
    permutation: int
    injected: frozenset[int]
    named: frozenset[int]


def results(folder: Path, permutations: int, seed: int) -> Iterator[FlightResult]:
    """Judge every case below a folder, and so many permutations of each."""
    for truth in sorted(folder.glob(f"*/{_TRUTH}")):
        found = _RANKS.search(truth.read_text())
        if found is None:
            continue
        injected = [int(rank) for rank in found[1].split(",")]
        dumps = {
            int(path.name.rpartition("_")[2]): flight_recorder.load(path.name, path.read_bytes())
            for path in truth.parent.glob("_dump_*")
        }
        for number in range(permutations + 1):
            order = np.arange(len(dumps))
            if number:
                order = np.random.default_rng([seed, number]).permutation(len(dumps))
            renamed = frozenset(int(order[rank]) for rank in injected)
            yield FlightResult(
                case=truth.parent.name, permutation=number, injected=renamed, named=_named(dumps, order)
            )


def _named(dumps: dict[int, dict[str, Any]], order: np.ndarray) -> frozenset[int]:
    with tempfile.TemporaryDirectory(prefix="ringwatch-flight-") as name:
        for rank, dump in dumps.items():
            path = Path(name) / f"_dump_{int(order[rank])}"
            path.write_bytes(pickle.dumps(_renamed(dump, order), protocol=2))
        reading = evidence.Reading()
        seen = list(evidence.observations(files.opened([Path(name)], reading.refuse), reading))
        answer = diagnosis.diagnose(seen, recognised_log=reading.logs > 0)
    return frozenset(
        int(rank) for conclusion in answer.conclusions for rank in _NAMED.findall(conclusion.where or "")
    )


def _renamed(dump: dict[str, Any], order: np.ndarray) -> dict[str, Any]:
    """Return the dump with the ranks of its groups renamed; what it recorded stays."""
    groups = dump.get("pg_config")
    if not isinstance(groups, dict):
        return dump
    renamed = {}
    for key, group in groups.items():
        ranks = group.get("ranks") if isinstance(group, dict) else None
        numbers = [int(each) for each in re.findall(r"\d+", str(ranks))] if ranks else []
        new = [int(order[each]) for each in numbers]
        renamed[key] = {**group, "ranks": str(new) if isinstance(ranks, str) else new} if numbers else group
    return {**dump, "pg_config": renamed}
