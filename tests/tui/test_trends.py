"""Trends over hours: who answered is said, gaps stay gaps, an old collector is no failure."""

import math

import pytest
from tests.tui import world
from tests.tui.harness import FrozenClock, console
from tests.tui.test_console import press, ready, shown

from ringwatch_tui.state.model import History, HistoryLine
from ringwatch_tui.state.trends import SPANS, next_span, span_word, trends_over

pytestmark = pytest.mark.timeout(60)
CLOCKS = tuple(1755.0 if at < 40 else math.nan if at < 60 else 1095.0 for at in range(100))


def history(note: str = "") -> History:
    """Return an hour of one signal of three GPUs, the first of which has a gap and then is slow."""
    return History(
        series="gpu.sm_clock_mhz",
        unit="MHz",
        source="victoriametrics, memory",
        step_s=36.0,
        resolution_s=10.0,
        first_s=world.NOW_S - 3600,
        lines=(
            HistoryLine(node="n011", device="SIM-011-3", job="", values=CLOCKS),
            HistoryLine(node="n011", device="SIM-011-4", job="", values=(1755.0,) * 100),
            HistoryLine(node="n011", device="SIM-011-5", job="", values=(1745.0,) * 100),
        ),
        note=note,
    )


def test_each_device_is_beside_the_others_of_its_node() -> None:
    """The median of the others, and none where there are not two to compare with."""
    found = trends_over([history()], [])
    slow = found.trends[0]

    assert slow.peers == (1750.0,) * 100
    assert found.trends[1].peers[:40] == (1750.0,) * 40
    assert all(math.isnan(value) for value in found.trends[1].peers[40:60])
    assert found.source == "victoriametrics, memory, a point every 36 s of readings 10 s apart"


def test_spans_go_round() -> None:
    """From the last minutes to a day and back."""
    assert [span_word(each) for each in SPANS[1:]] == ["15 min", "1 h", "6 h", "24 h"]
    assert next_span(86400.0) == 0.0
    assert next_span(12.0) == 0.0


async def test_a_key_goes_hours_back_and_says_who_answered() -> None:
    """On a node and on a GPU; what the collector refuses is said, not hidden."""
    clock, fake = FrozenClock(), world.client()
    fake.past["gpu.sm_clock_mhz"] = history("memory holds the last 4.0 min of this")
    app = console(fake, clock)
    async with app.run_test(size=(120, 46)) as pilot:
        await ready(pilot, app, "I-142")
        app.open_object("node", "n011")
        await ready(pilot, app, "t further back")
        await press(pilot, clock, "t")
        await ready(pilot, app, "Trends, last 15 min")
        await press(pilot, clock, "t")
        await ready(pilot, app, "Trends, last 1 h")
        await ready(pilot, app, "last 1 h, from victoriametrics, memory")
        app.open_object("gpu", "n011/gpu3")
        await ready(pilot, app, "Readings")
        await press(pilot, clock, "t", "t")
        await ready(pilot, app, "gpu3 sm_clock")
        text = shown(app)

    assert "gpu4 sm_clock" not in text
    assert "(peers 1,750)" in text or "(peers 1750)" in text
    assert "there is no series" in " ".join(text.split())
