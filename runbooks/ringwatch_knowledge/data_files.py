"""Reads the package's data files. Standard library only: every node loads this."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any


def read(name: str) -> dict[str, Any]:
    """Return the parsed data file ``name`` of this package."""
    text = resources.files("ringwatch_knowledge").joinpath("data", name).read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document
