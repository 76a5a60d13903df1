"""Going back in time: the same screens over pictures of the past, in which nothing can be changed."""

import asyncio
from pathlib import Path

import pytest
from tests.tui import world
from tests.tui.harness import FrozenClock, console
from tests.tui.server import fleet_message
from tests.tui.test_console import press, ready, shown, until
from textual.widgets import Input

from ringwatch_proto.errors import RecordingError
from ringwatch_proto.recording import Kept, kept, written
from ringwatch_proto.v1 import query_pb2, runs_pb2
from ringwatch_proto.v1.recording_pb2 import Frame
from ringwatch_tui.app import Ringwatch
from ringwatch_tui.client.base import RequestRefused
from ringwatch_tui.client.replay import ReplayClient, frames_of

pytestmark = pytest.mark.timeout(60)
NS = 1_000_000_000
START_S = world.NOW_S - 100


def _frame(number: int) -> Kept:
    fleet = fleet_message()
    fleet.collector = f"then{number}"
    fleet.wall_ns = round((START_S + 10 * number) * NS)
    return kept(
        Frame(
            wall_ns=fleet.wall_ns,
            fleet=fleet,
            jobs=[query_pb2.JobDetail(summary=query_pb2.JobSummary(job="llm", step=number))],
            nodes=[query_pb2.NodeDetail(summary=query_pb2.NodeSummary(node="n9"))],
            runs=[runs_pb2.Run(id="r-1", runbook="rb")],
        )
    )


FRAMES = tuple(_frame(number) for number in range(4))


async def test_each_picture_answers_for_its_time() -> None:
    """Fleet, jobs and runs are those of the instant that was moved to."""
    client = ReplayClient(FRAMES, "tape")
    client.seek(START_S + 25)

    assert (await client.fleet()).collector == "then2"
    assert (await client.job("llm", 10)).summary.step == 2
    assert (await client.node("n9", 10)).summary.name == "n9"
    assert (await client.run("r-1")).runbook == "rb"
    assert (await client.incident("I-142")).id == "I-142"
    client.step(-1)
    assert (await client.fleet()).collector == "then1"
    client.step(-100)
    assert (await client.fleet()).collector == "then0"
    client.seek(START_S + 1e6)
    assert (await client.fleet()).collector == "then3"


async def test_what_was_not_recorded_is_said() -> None:
    """An empty panel would look like a healthy one."""
    client = ReplayClient(FRAMES, "tape")

    with pytest.raises(RequestRefused, match="not recorded"):
        await client.job("other", 1)
    with pytest.raises(RequestRefused, match="not recorded"):
        await client.node("other", 1)
    with pytest.raises(RequestRefused, match="not in this picture"):
        await client.run("r-9")


async def test_nothing_can_be_changed_in_the_past() -> None:
    """An operator who forgot where they are does no harm."""
    client = ReplayClient(FRAMES, "tape")

    for call in (
        client.act("I-142", "acknowledge", "ana", ""),
        client.start_run("I-142", "rb", "ana"),
        client.answer("r-1", "a", "approve", "n9", "ana"),
    ):
        with pytest.raises(RequestRefused, match="this is the past"):
            await call


async def test_playing_waits_as_long_as_the_pictures_are_apart() -> None:
    """Four times as fast waits a quarter; a gap in which nothing was recorded is cut short."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    client = ReplayClient(FRAMES, "tape", sleep=sleep)
    client.play()
    client.play()
    seen = []
    async for fleet in client.follow(0.1):
        seen.append(fleet.collector)
        if len(seen) == 4:
            break

    assert seen == ["then0", "then1", "then2", "then3"]
    assert waited == [2.5, 2.5, 2.5]


def test_a_file_without_a_picture_is_refused(tmp_path: Path) -> None:
    """The message names the file."""
    written(tmp_path / "a.rwrec", [])

    with pytest.raises(RecordingError, match=r"a\.rwrec: no picture in it"):
        frames_of(tmp_path / "a.rwrec")


async def test_an_operator_goes_back_looks_and_returns() -> None:
    """H asks how far, the header says REPLAY, a change is refused, L is now again."""
    clock, fake = FrozenClock(), world.client()
    fake.tape = FRAMES
    app = console(fake, clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        await press(pilot, clock, "H")
        await ready(pilot, app, "a minute before I-142 began")
        await press(pilot, clock, "j", "enter")
        await ready(pilot, app, "REPLAY 25 Nov")
        await until(pilot, lambda: _shown_collector(app) == "then0")
        await press(pilot, clock, "full_stop", "full_stop")
        await until(pilot, lambda: _shown_collector(app) == "then2")
        await until(pilot, lambda: "67%" in shown(app) or "66%" in shown(app))
        await press(pilot, clock, "a")
        await ready(pilot, app, "this is the past; L goes back to now")
        assert fake.asked == []
        await press(pilot, clock, "L")
        await until(pilot, lambda: "REPLAY" not in shown(app))
        assert not app.screen.query(Input)


def _shown_collector(app: Ringwatch) -> str:
    fleet = app.shown_state().fleet
    return fleet.collector if fleet is not None else ""


async def test_a_console_over_a_file_has_no_now() -> None:
    """Steps work at once; going back and coming home are refused in words."""
    clock = FrozenClock()
    app = console(ReplayClient(FRAMES, "morning.rwrec"), clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "REPLAY 25 Nov")
        await press(pilot, clock, "full_stop")
        await until(pilot, lambda: _shown_collector(app) == "then1")
        await press(pilot, clock, "H")
        await ready(pilot, app, "this is a recording")


async def test_no_picture_of_that_time_is_said() -> None:
    """The live picture stays."""
    clock = FrozenClock()
    app = console(world.client(), clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        await press(pilot, clock, "H")
        await ready(pilot, app, "5 minutes ago")
        await press(pilot, clock, "enter")
        await ready(pilot, app, "no picture was kept of that time")
        await asyncio.sleep(0)
        assert "REPLAY" not in shown(app)
