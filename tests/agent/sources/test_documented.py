"""The page of the agent: every source, signal and condition of host and ports is on it."""

from __future__ import annotations

import re
from pathlib import Path

from ringwatch_agent.sources.all import ALL
from ringwatch_collector.detectors.host_conditions import MEANINGS
from ringwatch_proto.signals import Table, columns_of

PAGE = (Path(__file__).parents[3] / "docs/agent.md").read_text()
ELSEWHERE = frozenset({"nvml", "kmsg", "steps", "flows"})


def test_every_signal_of_host_and_ports_is_described() -> None:
    """With the words of the catalogue."""
    signals = [*columns_of(Table.HOST), *columns_of(Table.PORT)]
    listed = [signal for signal in signals if not re.search(r"priority[1-7]", signal.name)]
    assert [signal.name for signal in listed if f"`{signal.name}`" not in PAGE] == []
    assert [signal.name for signal in listed if signal.help not in PAGE] == []


def test_every_condition_is_described() -> None:
    """As the detector knows it."""
    assert [name for name in MEANINGS if f"`{name}`" not in PAGE] == []


def test_every_source_is_named() -> None:
    """Those of GPUs, kernel log and hook have pages of their own."""
    names = {entry.name for entry in ALL} - ELSEWHERE
    assert [name for name in names if not re.search(rf"\b{name}\b", PAGE)] == []
