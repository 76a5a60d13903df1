"""Reads evidence and judges it, in one process. Prints nothing."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO

from ringwatch_agent.evidence import app as evidence
from ringwatch_agent.evidence import files
from ringwatch_collector.diagnosis import app as diagnosis
from ringwatch_collector.diagnosis.conclusion import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """An answer with what it was made from."""

    answer: Answer
    reading: evidence.Reading


def of_paths(paths: Iterable[Path]) -> Diagnosis:
    """Read files and folders and judge what they tell together."""
    return of_evidence(list(paths), None)


def of_text(text: str) -> Diagnosis:
    """Judge a text that somebody pasted."""
    return of_evidence([], io.BytesIO(text.encode("utf-8", "replace")))


def of_evidence(
    paths: Sequence[Path], stdin: IO[bytes] | None, progress: Callable[[int], None] | None = None
) -> Diagnosis:
    """Read files, folders and a stream, if there is one, and judge what they tell together.

    ``progress`` is called with the bytes read so far.
    """
    reading = evidence.Reading(progress=progress)
    pieces = files.opened(paths, reading.refuse)
    if stdin is not None:
        pieces = chain(files.stream("-", stdin, reading.refuse), pieces)
    return _judged(pieces, reading)


def _judged(pieces: Iterable[files.Opened], reading: evidence.Reading) -> Diagnosis:
    seen = list(evidence.observations(pieces, reading))
    answer = diagnosis.diagnose(seen, recognised_log=reading.logs > 0)
    return Diagnosis(answer=answer, reading=reading)
