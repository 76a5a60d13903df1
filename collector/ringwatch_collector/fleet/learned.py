"""What jobs and flows looked like while healthy, as bytes that outlive the collector. It learns nothing.

A job that runs through a restart of the collector keeps its reference: it is known by the processes of
its ranks, and its collectives by communicator and position. Another run of the same name learns anew.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ringwatch_collector.fleet.flows import Flows
from ringwatch_collector.fleet.job import Job
from ringwatch_collector.fleet.jobs import Jobs
from ringwatch_collector.fleet.references import Reference
from ringwatch_collector.view import Floats, Ints

JOB: Final = "job/"
FLOWS: Final = "flows"
# A job whose collectives have not all been seen again by then takes what fits.
_PATIENCE_S: Final = 30.0

SlotKey = tuple[str, tuple[int, ...], int]
NameOf = Callable[[int], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedJob:
    """The reference of one run, and by what the run is known again."""

    who: frozenset[tuple[int, str, int]]  # rank, node, pid
    ranks: tuple[int, ...]
    slots: tuple[SlotKey, ...]
    reference: Reference

    def content(self) -> bytes:
        """Return it as bytes. It may take a while: not on the loop."""
        about = {
            "who": sorted(self.who),
            "ranks": self.ranks,
            "slots": self.slots,
            "steps": self.reference.steps,
        }
        return _packed(
            about,
            step_s=np.array(self.reference.step_s),
            compute_s=self.reference.compute_s,
            data_s=self.reference.data_s,
            transfer_s=self.reference.transfer_s,
            wait_s=self.reference.wait_s,
        )

    def fitted(self, ranks: Sequence[int], slots: Sequence[SlotKey]) -> Reference:
        """Return the reference in the order in which a job has its ranks and slots now."""
        rank_at = _places(self.ranks, ranks)
        slot_at = _places(self.slots, slots)
        old = self.reference
        wait_s = _taken(old.wait_s, slot_at)
        return Reference(
            steps=old.steps,
            step_s=old.step_s,
            compute_s=_taken(old.compute_s, rank_at),
            data_s=_taken(old.data_s, rank_at),
            transfer_s=_taken(old.transfer_s, slot_at),
            wait_s=_taken(wait_s.T, rank_at).T,
        )


def learned_job(job: Job, name_of: NameOf) -> LearnedJob:
    """Return what a job has learned. On the loop; it copies no large array."""
    ranks = tuple(job.view().ranks.tolist())
    reference = job.reference.fitted(len(ranks), len(job.slots))
    return LearnedJob(who=_who(job, name_of), ranks=ranks, slots=job.slots.keys(), reference=reference)


def read_job(content: bytes) -> LearnedJob:
    """Return a job from its bytes; raise ValueError when they are none."""
    about, arrays = _unpacked(content)
    try:
        return LearnedJob(
            who=frozenset((rank, node, pid) for rank, node, pid in about["who"]),
            ranks=tuple(about["ranks"]),
            slots=tuple((name, tuple(ranks), slot) for name, ranks, slot in about["slots"]),
            reference=Reference(
                steps=about["steps"],
                step_s=float(arrays["step_s"]),
                compute_s=arrays["compute_s"],
                data_s=arrays["data_s"],
                transfer_s=arrays["transfer_s"],
                wait_s=arrays["wait_s"],
            ),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a learned job: {error}") from error


def flows_content(rows: Iterable[tuple[str, bytes, float]]) -> bytes:
    """Return what flows deliver while healthy, (node, peer, bits a second) each, as bytes."""
    kept = list(rows)
    about = {"flows": [(node, peer.hex()) for node, peer, _ in kept]}
    return _packed(about, delivery=np.array([value for _, _, value in kept], np.float32))


def read_flows(content: bytes) -> dict[tuple[str, bytes], float]:
    """Return what flows deliver from bytes; raise ValueError when they are none."""
    about, arrays = _unpacked(content)
    try:
        keys = [(node, bytes.fromhex(peer)) for node, peer in about["flows"]]
        return dict(zip(keys, arrays["delivery"].tolist(), strict=True))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not learned flows: {error}") from error


class Recall:
    """Gives jobs back what an earlier collector had learned of them. On the loop."""

    def __init__(self, stored: Mapping[str, LearnedJob], since_s: float) -> None:
        self._stored = dict(stored)
        self._since_s = since_s

    @property
    def awaited(self) -> frozenset[str]:
        """Return the jobs that may still get theirs back: they must not learn in the meantime."""
        return frozenset(self._stored)

    def give(self, jobs: Jobs, name_of: NameOf, now_s: float) -> None:
        """Give each job its reference once it is there as it was, and forget those that are others now."""
        late = now_s - self._since_s > _PATIENCE_S
        for name, learned in list(self._stored.items()):
            job = jobs.get(name)
            if job is None:
                if late:
                    del self._stored[name]
                continue
            seen = _who(job, name_of)
            if not seen <= learned.who or job.reference.steps:
                del self._stored[name]
            elif late or (seen == learned.who and set(learned.slots) <= set(job.slots.keys())):
                job.adopt(learned.fitted(job.view().ranks.tolist(), job.slots.keys()), now_s)
                del self._stored[name]


def recall_flows(
    flows: Flows, stored: Mapping[tuple[str, bytes], float], index_of: Callable[[str], int]
) -> None:
    """Give flows back what they deliver while healthy, as they are seen again."""
    flows.recall({(index_of(node), peer): value for (node, peer), value in stored.items()})


def _who(job: Job, name_of: NameOf) -> frozenset[tuple[int, str, int]]:
    return frozenset((rank, name_of(node), pid) for rank, node, pid in job.identities())


def _places(old: Sequence[Any], new: Sequence[Any]) -> Ints:
    """Return where each of the new is among the old, -1 for nowhere."""
    place = {each: at for at, each in enumerate(old)}
    return np.array([place.get(each, -1) for each in new], np.int64)


def _taken(values: Floats, places: Ints) -> Floats:
    out = np.full((places.size, *values.shape[1:]), np.nan, np.float32)
    known = places >= 0
    out[known] = values[places[known]]
    return out


def _packed(about: Mapping[str, object], **arrays: np.ndarray[Any, Any]) -> bytes:
    stream = io.BytesIO()
    words = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez_compressed(stream, allow_pickle=False, about=words, **arrays)
    return stream.getvalue()


def _unpacked(content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
        return json.loads(arrays.pop("about").tobytes()), arrays
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"not what was learned: {error}") from error
