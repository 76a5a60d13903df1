"""Reads the data files, with the operator's overrides over them. Every node loads it."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from ringwatch_knowledge import overrides


def product(name: str) -> dict[str, Any]:
    """Return the parsed data file ``name`` as the product has it."""
    text = resources.files("ringwatch_knowledge").joinpath("data", name).read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def read(name: str) -> dict[str, Any]:
    """Return the data file ``name`` with the operator's overrides laid over it."""
    document = product(name)
    shape = overrides.shape_of(name.removesuffix(".json"))
    return document if shape is None else overrides.laid_over(shape, document)
