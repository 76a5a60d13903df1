"""Reads evidence and judges it, in one process. Prints nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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
    reading = evidence.Reading()
    return _judged(files.opened(paths, reading.refuse), reading)


def of_stream(name: str, stream: IO[bytes]) -> Diagnosis:
    """Read a stream and judge what it tells."""
    reading = evidence.Reading()
    return _judged(files.stream(name, stream, reading.refuse), reading)


def _judged(pieces: Iterable[files.Opened], reading: evidence.Reading) -> Diagnosis:
    seen = list(evidence.observations(pieces, reading))
    answer = diagnosis.diagnose(seen, recognised_log=reading.dated_lines * 3 > reading.lines_read)
    return Diagnosis(answer=answer, reading=reading)
