"""Says what is unsound in the catalogues: the product's data and overrides of it. Changes nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ringwatch_knowledge import data_files, overrides
from ringwatch_knowledge.overrides import BECAUSE, BY, SHAPES, Shape, Vocabulary

# Classes that a judge makes out of a sign and what stands beside it; no answer carries them.
JUDGED_TOGETHER: Final = frozenset(
    {
        "sxid",
        "link.down",
        "link.up",
        "nccl.ib_completion",
        "nccl.ib_event",
        "torchrun.child_failed",
        "mpi.exited",
        "collective.unclear",
        "scheduler.allocatable",
    }
)
_UNBOUNDED: Final = re.compile(r"(?<!\\)\.[*+]|\\[wSd]\*|\\[wS]\+")
_SHORTEST_ANCHOR: Final = 3
_MONTH: Final = re.compile(r"20\d\d-(0[1-9]|1[0-2])")


def product() -> Iterator[str]:
    """Yield what is wrong with the product's own data: ``file: key: what``."""
    classes = {row["fault_class"] for row in data_files.product("fault_classes.json")["classes"]}
    for shape in SHAPES:
        document = data_files.product(shape.file)
        if not _MONTH.fullmatch(str(document.get("as_of", ""))):
            yield f"{shape.file}: no month in as_of"
        rows = document[shape.rows]
        for key, count in Counter(map(shape.key_of, rows)).items():
            if count > 1 or not key:
                yield f"{shape.file}: {key!r} stands {count} times"
        vocabulary = Vocabulary(shape, rows)
        for row in rows:
            for what in (*vocabulary.wrong_with(row, is_new=True), *_unsound(shape, row, classes)):
                yield f"{shape.file}: {shape.key_of(row)}: {what}"


def _unsound(shape: Shape, row: dict[str, Any], classes: set[str]) -> Iterator[str]:
    name = row.get("fault_class", "")
    if shape.name == "line_signs":
        if name not in classes | JUDGED_TOGETHER:
            yield f"no class {name!r} in fault_classes.json"
        if _UNBOUNDED.search(row.get("regex", "")):
            yield "a repeat without a bound in an expression that meets every line of a log"
    if any(len(anchor) < _SHORTEST_ANCHOR for anchor in row.get("anchors", ())):
        yield "an anchor that almost every line holds"
    if shape.name == "fault_classes" and not (row["title"] and row["title_zh"]):
        yield "a class needs its title in both languages"
    if shape.name in ("xid", "sxid") and not row["sources"]:
        yield "a meaning needs a source"
    if not 1 <= row.get("severity", 1) <= 3:
        yield "severity is 1, 2 or 3"


def folder(where: Path) -> Iterator[str]:
    """Yield what is wrong with a folder of overrides."""
    names = {shape.file for shape in SHAPES}
    for path in sorted(where.glob("*")):
        if path.name not in names:
            yield f"{path}: no catalogue has this name: {', '.join(sorted(names))}"
    before = set(overrides.troubles())
    for shape in SHAPES:
        overrides.laid_over(shape, data_files.product(shape.file), where)
    yield from (text for text in overrides.troubles() if text not in before)
    for each in (each for shape in SHAPES for each in overrides.applied(shape.name)):
        if not each.reason or not each.by:
            yield f"{each.file}: {each.key}: say who changes it and why, in {BY!r} and {BECAUSE!r}"
