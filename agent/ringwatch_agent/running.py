"""Asks the agent that runs on this node, by its own page, how its reports get away. Changes nothing."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ringwatch_proto.dialling import is_loopback

_TIMEOUT_S: Final = 2.0
_MAX_BYTES: Final = 8 << 20
_SAMPLE: Final = re.compile(r'ringwatch_agent_(\w+)\{(?:.*kind="([^"]*)")?[^}]*\} (\S+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningAgent:
    """What a running agent says of its uplink and spool."""

    connected: bool
    spool_batches: int
    spool_bytes: int
    spool_limit_bytes: int
    spool_on_disk: bool
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """Return one line for a person."""
        parts = [
            "connected to its collector" if self.connected else "no stream to its collector",
            f"spool {self.spool_bytes / 2**20:.1f} of {self.spool_limit_bytes / 2**20:.0f} MiB"
            f" ({self.spool_batches} batches){'' if self.spool_on_disk else ', in memory only'}",
        ]
        return "; ".join([*parts, f"dropped since it started: {losses(self.dropped) or 'nothing'}"])


def losses(dropped: Mapping[str, int]) -> str:
    """Return what was dropped, by kind, in words; empty for nothing."""
    return ", ".join(f"{count} {kind}" for kind, count in sorted(dropped.items()) if count)


def ask(metrics: str) -> RunningAgent | None:
    """Return what the agent at ``HOST:PORT`` says; None where none answers, or it is not on this node."""
    if not is_loopback(metrics):
        return None
    # No proxy stands between a node and itself.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{metrics}/metrics", timeout=_TIMEOUT_S) as answer:
            return parse(answer.read(_MAX_BYTES).decode("utf-8", "replace"))
    except (OSError, ValueError):
        return None


def parse(page: str) -> RunningAgent | None:
    """Read a page; None when it is not that of an agent."""
    numbers: dict[str, float] = {}
    dropped: dict[str, int] = {}
    for found in map(_SAMPLE.match, page.splitlines()):
        if found is None:
            continue
        name, kind, value = found.groups()
        if name == "dropped_total":
            dropped[kind or ""] = int(float(value))
        else:
            numbers[name] = float(value)
    if "uplink_connected" not in numbers:
        return None
    return RunningAgent(
        connected=numbers["uplink_connected"] == 1,
        spool_batches=int(numbers.get("spool_batches", 0)),
        spool_bytes=int(numbers.get("spool_bytes", 0)),
        spool_limit_bytes=int(numbers.get("spool_limit_bytes", 0)),
        spool_on_disk=numbers.get("spool_on_disk", 1) == 1,
        dropped=dropped,
    )
