"""The observations of one diagnosis, indexed for the judges. Judges nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from ringwatch_knowledge.observation import Observation

# Of one kind and name, so many are kept; the rest are counted. A log may repeat a line for days.
MOST_OF_A_KIND = 2000


class Scene:
    """Everything that was read."""

    def __init__(self, observations: Iterable[Observation]) -> None:
        self._by_kind: dict[str, list[Observation]] = defaultdict(list)
        self._by_line: dict[tuple[str, int], set[str]] = defaultdict(set)
        self._counts: dict[tuple[str, str], int] = defaultdict(int)
        self.total = 0
        for each in observations:
            self.total += 1
            key = (each.kind, each.name)
            self._counts[key] += 1
            if self._counts[key] <= MOST_OF_A_KIND:
                self._by_kind[each.kind].append(each)
                if each.line:
                    self._by_line[each.file, each.line].add(each.name)

    def of(self, kind: str, *names: str) -> list[Observation]:
        """Return the observations of a kind, of the given names if any are given."""
        found = self._by_kind.get(kind, [])
        return [each for each in found if each.name in names] if names else list(found)

    def signs(self, *ids: str) -> list[Observation]:
        """Return the lines that show one of these signs."""
        return self.of("sign", *ids)

    def count(self, kind: str, name: str) -> int:
        """Return how often something was seen, what was not kept included."""
        return self._counts.get((kind, name), 0)

    def on_line(self, seen: Observation) -> set[str]:
        """Return the names of everything seen on the same line."""
        return self._by_line.get((seen.file, seen.line), set())

    def kinds(self) -> set[str]:
        """Return the kinds that were seen."""
        return set(self._by_kind)


def quoted(seen: Iterable[Observation], most: int = 8) -> tuple[Observation, ...]:
    """Return the observations that are worth a quote: the first of each name and device, then others."""
    rows = list(seen)
    chosen: dict[tuple[str, int, str], Observation] = {}
    shapes: set[tuple[str, str, int]] = set()
    for each in rows:
        shape = (each.name, each.device, each.rank)
        if shape not in shapes:
            shapes.add(shape)
            chosen.setdefault((each.file, each.line, each.text), each)
    for each in rows:
        if len(chosen) >= most:
            break
        chosen.setdefault((each.file, each.line, each.text), each)
    return tuple(sorted(list(chosen.values())[:most], key=lambda each: (each.file, each.line)))


def grouped(seen: Iterable[Observation], by: str = "device") -> dict[str, list[Observation]]:
    """Return the observations by node and device, in order of first sight."""
    groups: dict[str, list[Observation]] = defaultdict(list)
    for each in seen:
        groups[f"{each.node} {getattr(each, by)}".strip()].append(each)
    return groups


def named(rows: Iterable[Observation], *names: str) -> list[Observation]:
    """Return the observations with one of these names."""
    return [each for each in rows if each.name in names]
