"""Throws out, fast, the lines that cannot be a sign of anything. Lets through too many, never too few."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from heapq import heapify, heappop, heappush
from typing import Final

from ringwatch_agent.evidence.text import LONGEST_LINE

_GRAM: Final = 4
# Digits of numbers, hexadecimal ones too: taken out of lines and anchors alike, an anchor that stands in a
# line still stands in what is left of it, and lines that differ in numbers only become one shape.
_VARYING: Final = "0123456789abcdef"
_VARYING_BYTES: Final = _VARYING.encode()
_TABLE: Final = {ord(letter): None for letter in _VARYING}
# A log has some hundred shapes of line once numbers are taken out; a set of them stays small.
_MOST_SHAPES: Final = 100_000


def _cover(anchors: Iterable[str]) -> tuple[str, ...]:
    """Return few short strings such that each anchor holds one of them."""
    stripped = {anchor.translate(_TABLE) for anchor in anchors}
    chosen = {anchor for anchor in stripped if len(anchor) <= _GRAM}
    left = {
        anchor: _grams(anchor) for anchor in stripped - chosen if not any(token in anchor for token in chosen)
    }
    counts = Counter(gram for grams in left.values() for gram in grams)
    # The gram that most anchors hold comes first; a count that has sunk since it was queued goes back in.
    queue = [(-count, gram) for gram, count in counts.items()]
    heapify(queue)
    while left:
        count, gram = heappop(queue)
        if -count != counts[gram]:
            heappush(queue, (-counts[gram], gram))
            continue
        chosen.add(gram)
        for anchor in [anchor for anchor, grams in left.items() if gram in grams]:
            counts.subtract(left.pop(anchor))
    return tuple(sorted(chosen))


def _grams(anchor: str) -> set[str]:
    return {anchor[at : at + _GRAM] for at in range(len(anchor) - _GRAM + 1)}


@cache
def _cached_cover(anchors: frozenset[str]) -> tuple[str, ...]:
    return _cover(anchors)


class Sieve:
    """Lets through lines that hold at least one of the anchors, and some others."""

    def __init__(self, anchors: Iterable[str]) -> None:
        self._tokens = tuple(token.encode() for token in _cached_cover(frozenset(anchors)))
        whole = [anchor.encode() for anchor in anchors]
        self._anchors = tuple((anchor.translate(None, _VARYING_BYTES), anchor) for anchor in whole)
        self._boring: set[bytes] = set()
        # Of a shape that may tell something, the anchors that a line of it may hold.
        self._telling: dict[bytes, tuple[bytes, ...]] = {}

    def _possible(self, shape: bytes) -> tuple[bytes, ...]:
        """Ask the few tokens first, the many anchors only of what they let through."""
        if not any(token in shape for token in self._tokens):
            return ()
        return tuple(anchor for stripped, anchor in self._anchors if stripped in shape)

    def lines(self, chunks: Iterable[bytes], counted: list[int]) -> Iterator[tuple[int, bytes]]:
        """Yield number and bytes of each line that may matter; ``counted[0]`` ends as how many there were."""
        rest = b""
        for chunk in chunks:
            block = rest + chunk
            cut = block.rfind(b"\n") + 1
            rest = block[cut:][:LONGEST_LINE]
            yield from self._of_block(block[:cut], counted)
        if rest:
            yield from self._of_block(rest + b"\n", counted)

    def _of_block(self, block: bytes, counted: list[int]) -> Iterator[tuple[int, bytes]]:
        shapes = block.translate(None, _VARYING_BYTES).split(b"\n")
        if len(self._boring) + len(self._telling) > _MOST_SHAPES:
            self._boring.clear()
            self._telling.clear()
        distinct = set(shapes) - self._boring
        self._judge(distinct - self._telling.keys())
        if distinct & self._telling.keys():
            for number, (shape, raw) in enumerate(
                zip(shapes, block.split(b"\n"), strict=True), counted[0] + 1
            ):
                if any(anchor in raw for anchor in self._telling.get(shape, ())):
                    yield number, raw
        counted[0] += len(shapes) - 1

    def _judge(self, fresh: set[bytes]) -> None:
        """Sort shapes that were not seen before into those that may tell something and the others."""
        for shape in fresh:
            possible = self._possible(shape)
            if possible:
                self._telling[shape] = possible
            else:
                self._boring.add(shape)


class TextSieve:
    """The same for single lines of text."""

    def __init__(self, anchors: Iterable[str]) -> None:
        self._tokens = _cached_cover(frozenset(anchors))

    def may(self, text: str) -> bool:
        """Say whether a line may hold an anchor."""
        shape = text.translate(_TABLE)
        return any(token in shape for token in self._tokens)
