"""The page of the agent lists every GPU signal with its unit, its pace and the boards that give it."""

from __future__ import annotations

from pathlib import Path

from ringwatch_agent.sources.nvml_plan import periods, support
from ringwatch_proto.signals import Signal, Table, columns_of

PAGE = Path(__file__).parents[3] / "docs" / "agent.md"
PACES = {0.0: "beat", 10.0: "10 s", 60.0: "60 s"}


def line(signal: Signal) -> str:
    """Return the signal's line as the page has to hold it."""
    name = signal.name.removeprefix("gpu.")
    unit = {"1": "count", "1/s": "per s"}.get(signal.unit, signal.unit)
    return f"| `{name}` | {unit} | {signal.kind} | {PACES[periods()[name]]} | {support()[name]} |"


def test_every_gpu_signal_is_on_the_page() -> None:
    """One line each, as the plan has it."""
    page = PAGE.read_text()
    missing = [expected for signal in columns_of(Table.GPU) if (expected := line(signal)) not in page]
    assert missing == []
