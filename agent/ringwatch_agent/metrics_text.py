"""The Prometheus text format, as far as an exporter of gauges and counters needs it. Knows no reading."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details
_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def labels(**pairs: str) -> str:
    """Return a label set; values may hold anything."""
    inside = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in pairs.items())
    return f"{{{inside}}}"


def family(name: str, kind: str, help: str, cells: Iterable[tuple[str, float]]) -> Iterator[str]:
    """Yield the lines of one metric; nothing at all where every value is absent."""
    samples = [f"{name}{where} {_number(value)}" for where, value in cells if not math.isnan(value)]
    if samples:
        yield f"# HELP {name} {help.translate(_ESCAPES)}"
        yield f"# TYPE {name} {kind}"
        yield from samples


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
