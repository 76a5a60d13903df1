"""Turns bytes into clean lines: encodings, colours, launcher tags, journald JSON."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final

from ringwatch_agent.evidence import stamps
from ringwatch_agent.evidence.base import Line

# A longer line is no line of any kind that we read; its head is kept and the rest counted away.
LONGEST_LINE: Final = 16_384

_COLOUR: Final = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
# mpirun --tag-output, torchrun and srun --label put the rank before (or, torn, into) the line.
_MPI_TAG: Final = re.compile(r"\[\d{1,7},(?P<rank>\d{1,7})\]<std(?:out|err|diag)>:{1,2}\s?")
_RANK_TAG: Final = re.compile(r"^\[?(?:(?:default|rank)(?P<rank>\d{1,7}))\]?:\s?")


def encoding_of(head: bytes) -> str:
    """Return the encoding of a text from its first bytes."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    pairs = head[:4096]
    if len(pairs) >= 8 and pairs[1::2].count(0) > len(pairs) // 4:
        return "utf-16-le"
    return "utf-8"


def _lines(chunks: Iterable[bytes], encoding: str) -> Iterator[str]:
    """Yield lines of bounded length; what is beyond LONGEST_LINE is dropped."""
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    rest = ""
    for chunk in chunks:
        parts = (rest + decoder.decode(chunk)).replace("\r\n", "\n").split("\n")
        rest = parts.pop()[:LONGEST_LINE]
        yield from parts
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest


def _journal(text: str) -> tuple[str, str, float | None]:
    """Return message, host and time of a journald JSON line; the text itself when it is none."""
    if not (text.startswith("{") and '"MESSAGE"' in text):
        return text, "", None
    try:
        row = json.loads(text)
        stamp = row.get("__REALTIME_TIMESTAMP")
        return str(row["MESSAGE"]), str(row.get("_HOSTNAME", "")), float(stamp) / 1e6 if stamp else None
    except (ValueError, TypeError, KeyError):
        return text, "", None


def clean(file: str, number: int, raw: str) -> Line:
    """Return one line without what terminals, launchers and journald put around it."""
    raw = raw[:LONGEST_LINE].rstrip("\r")
    text = _COLOUR.sub("", raw) if "\x1b" in raw else raw
    if "\r" in text:
        text = text.rsplit("\r", 1)[-1]
    text, node, at_s = _journal(text)
    rank = -1
    tag = _MPI_TAG.search(text) if "<std" in text else None
    if tag is not None:
        rank, text = int(tag["rank"]), _MPI_TAG.sub("", text)
    else:
        tag = _RANK_TAG.match(text)
        if tag is not None:
            rank, text = int(tag["rank"]), text[tag.end() :]
    stamp = stamps.read(text)
    return Line(
        file=file,
        number=number,
        text=text,
        raw=raw,
        node=node or stamp.node,
        rank=rank,
        at_s=at_s if at_s is not None else stamp.at_s,
    )


def lines(file: str, chunks: Iterable[bytes], encoding: str) -> Iterator[Line]:
    """Yield the clean lines of a text."""
    for number, raw in enumerate(_lines(chunks, encoding), 1):
        yield clean(file, number, raw)
