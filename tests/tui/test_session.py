"""The session follows, comes back, and asks for what is on the screen."""

import asyncio

import pytest
from tests.tui import world
from tests.tui.harness import FrozenClock

from ringwatch_tui.session import Clocks, Session, Want, retry_delay_s
from ringwatch_tui.state.reducer import DISCONNECTED, LIVE


def _session(waits: list[float] | None = None) -> Session:
    clock = FrozenClock()

    async def sleep(seconds: float) -> None:
        if waits is not None:
            waits.append(seconds)
        await asyncio.sleep(0)

    clocks = Clocks(monotonic=clock.monotonic, wall=clock.wall)
    return Session(world.client(), clocks, lambda _state: None, sleep=sleep)


async def _until(session: Session, kind: str) -> None:
    while session.state.connection.kind != kind:
        await asyncio.sleep(0)


async def test_a_broken_stream_is_said_and_tried_again() -> None:
    """Losing the collector freezes the state; its return makes it live again."""
    waits: list[float] = []
    session = _session(waits)
    client = session.client
    task = asyncio.create_task(session.follow())
    await _until(session, LIVE)

    client.cut()  # type: ignore[attr-defined]
    await _until(session, DISCONNECTED)
    kept = session.state.fleet
    while len(waits) < 4:
        await asyncio.sleep(0)
    client.mend()  # type: ignore[attr-defined]
    await _until(session, LIVE)
    task.cancel()

    assert kept is not None
    assert session.state.notice is not None
    assert "connected again" in session.state.notice.text


def test_tries_come_slower_and_are_spread() -> None:
    """A thousand consoles do not dial in step."""
    assert retry_delay_s(0, 1.0) == 0.5
    assert retry_delay_s(3, 1.0) == 4.0
    assert retry_delay_s(50, 1.0) == 10.0
    assert retry_delay_s(3, 0.0) == 2.0


@pytest.mark.parametrize(
    ("want", "found"),
    [
        (Want(kind="job", id="llm-70b"), "jobs"),
        (Want(kind="node", id="n011"), "nodes"),
        (Want(kind="run", id="r-17"), "runs"),
    ],
)
async def test_the_visible_object_is_asked_for(want: Want, found: str) -> None:
    """A screen gets its detail without asking for it itself."""
    session = _session()
    session.want(want)

    await session.refresh()

    assert want.id in getattr(session.state, found)
    assert session.state.runbooks == (world.BOOK,)


async def test_a_refusal_is_shown_as_the_collector_says_it() -> None:
    """An object that is gone is not waited for in silence."""
    session = _session()
    session.want(Want(kind="job", id="gone"))

    await session.refresh()

    assert session.state.missing[("job", "gone")] == "no job gone"


async def test_a_failed_action_changes_nothing_and_says_why() -> None:
    """The operator is told what did not happen."""
    session = _session()

    assert not await session.act("I-999", "acknowledge", "ana", "")
    assert session.state.notice is not None
    assert "no incident I-999" in session.state.notice.text
    assert session.state.notice.tone == "fault"
