"""The shared ring between a training process (one writer) and the agent (one reader).

The hook makes a memfd of ``RING_BYTES``, connects to the agent's Unix socket (SOCK_SEQPACKET) and
passes the memfd with its first message. It then only writes memory: no call of the hook can block,
and what a killed process wrote stays readable. The agent reads with ``pread``, never with ``mmap``,
so that a peer which truncates the file cannot hurt it. End of file on the socket means that the
process is gone.

Messages on the socket are one JSON object a packet:

    {"type": "join", "version": 1, "pid": .., "job": "..", "rank": .., "world_size": ..,
     "local_rank": .., "backend": "gloo", "user": "..", "gpu": ""}      carries the memfd
    {"type": "communicator", "index": .., "name": "..", "ranks": "0-7,12"}
    {"type": "leave", "reason": "finished" | "exception: ..."}          absent when it was killed

Header: 64 native 8-byte words (``HeaderWord``), then ``RING_RECORDS`` records of ``RECORD``.
A record is valid when its ``index`` is the expected one; the writer writes the record first and
``WRITTEN`` after it. ``STATE_LOCK`` is a sequence lock over the words behind it: odd while writing.
All ``*_NS`` words are CLOCK_MONOTONIC, which every process of a node shares.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

RING_MAGIC: Final = 0x52494E4757415443  # "RINGWATC"
RING_VERSION: Final = 1
HEADER_WORDS: Final = 64
RING_RECORDS: Final = 4096


class HeaderWord(IntEnum):
    """Positions of the header words."""

    MAGIC = 0
    VERSION = 1
    RECORDS = 2
    PID = 3
    WRITTEN = 4
    STATE_LOCK = 5
    STEP = 6
    PHASE = 7
    PHASE_SINCE_NS = 8
    LAUNCHED = 9
    COMPLETED = 10
    # Of the oldest collective in flight; meaningless when LAUNCHED == COMPLETED.
    INFLIGHT_COMMUNICATOR = 11
    INFLIGHT_SLOT = 12
    INFLIGHT_KIND = 13
    INFLIGHT_BYTES = 14
    BEAT_NS = 15


class RecordType(IntEnum):
    """Types of ring records."""

    STEP = 1
    COLLECTIVE = 2


# index, type, kind (collective) or flags (step), communicator, slot, begin_ns, end_ns, step, bytes,
# then four float32: (duration_s, -, -, -) for a collective; (data_s, compute_s, pause_s, loss) for a step.
# The ``bytes`` of a step are its amounts (``pack_amounts``), 0 when the job told none.
RECORD: Final = struct.Struct("<QBBHIqqQQffff")
HEADER_BYTES: Final = HEADER_WORDS * 8
RING_BYTES: Final = HEADER_BYTES + RING_RECORDS * RECORD.size


_AMOUNTS: Final = struct.Struct("<ff")
_WORD: Final = struct.Struct("<Q")


def pack_amounts(tokens: float, work: float) -> int:
    """Return the word of a step that holds its tokens and its work; NaN for what was not told."""
    word: int = _WORD.unpack(_AMOUNTS.pack(tokens, work))[0]
    return word


def amounts_of(word: int) -> tuple[float, float]:
    """Return (tokens, work) of a step's word, NaN for what was not told."""
    tokens, work = _AMOUNTS.unpack(_WORD.pack(word))
    return tokens or float("nan"), work or float("nan")


def format_ranks(ranks: list[int]) -> str:
    """Write sorted ranks as ranges: ``[0, 1, 2, 5]`` is ``"0-2,5"``."""
    parts: list[str] = []
    begin = 0
    for at in range(1, len(ranks) + 1):
        if at == len(ranks) or ranks[at] != ranks[at - 1] + 1:
            first, last = ranks[begin], ranks[at - 1]
            parts.append(str(first) if first == last else f"{first}-{last}")
            begin = at
    return ",".join(parts)


def parse_ranks(text: str, limit: int = 1_000_000) -> list[int]:
    """Read what ``format_ranks`` wrote. Raise ValueError on anything else or beyond ``limit``."""
    ranks: list[int] = []
    for part in filter(None, text.split(",")):
        first, dash, last = part.partition("-")
        span = range(int(first), int(last if dash else first) + 1)
        if len(ranks) + len(span) > limit:
            raise ValueError(f"more than {limit} ranks")
        ranks.extend(span)
    return ranks
