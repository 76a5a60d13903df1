"""Silences by matcher, what was told to whom, and the settings."""

import pytest
from tests.tui import world
from tests.tui.harness import FrozenClock, console
from tests.tui.test_console import press, ready, shown

from ringwatch_tui.client.base import RequestRefused
from ringwatch_tui.client.read_only import ReadOnlyClient
from ringwatch_tui.silencing import trouble_with
from ringwatch_tui.state.model import Alert, Silence

pytestmark = pytest.mark.timeout(60)
SILENCES = (
    Silence(
        id="S-1",
        matchers=("node:n01?", "kind:gpu.fault"),
        author="bo",
        reason="fans are swapped",
        from_s=world.NOW_S - 600,
        until_s=world.NOW_S + 3000,
        incidents=("I-142",),
    ),
    Silence(
        id="S-2",
        matchers=("job:moe-*",),
        author="ana",
        reason="meant to be slow",
        from_s=world.NOW_S - 9000,
        until_s=world.NOW_S - 5400,
    ),
)
ALERTS = (
    Alert(
        key="I-142/opened",
        channel="pager",
        incident="I-142",
        what="opened",
        state="sent",
        tries=1,
        error="",
        created_s=world.NOW_S - 230,
        due_s=None,
        settled_s=world.NOW_S - 229,
    ),
    Alert(
        key="I-142/worsened",
        channel="chat",
        incident="I-142",
        what="worsened",
        state="waiting",
        tries=3,
        error="502 Bad Gateway",
        created_s=world.NOW_S - 60,
        due_s=world.NOW_S + 45,
        settled_s=None,
    ),
)


async def test_a_silence_is_made_seen_and_ended() -> None:
    """S asks what, how long and why; X asks why; both go under the operator's name."""
    clock, fake = FrozenClock(), world.client()
    fake.held_back = SILENCES
    app = console(fake, clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        await press(pilot, clock, "7")
        await ready(pilot, app, "node:n01? kind:gpu.fault")
        assert "over" in shown(app)
        await press(pilot, clock, "S")
        await ready(pilot, app, "Hold back")
        await press(pilot, clock, *"rack", "colon", *"r1", "enter")
        await ready(pilot, app, "write field:pattern")
        await press(pilot, clock, "S")
        await ready(pilot, app, "Hold back")
        await press(pilot, clock, *"node", "colon", *"n040", "enter")
        await ready(pilot, app, "For how long")
        await press(pilot, clock, "enter")
        await ready(pilot, app, "Why")
        await press(pilot, clock, *"rma", "enter")
        await ready(pilot, app, "S-3")
        await press(pilot, clock, "X")
        await ready(pilot, app, "End S-1")
        await press(pilot, clock, *"done", "enter")
        await ready(pilot, app, "S-1: ended by ana")

    told = [(each.what, each.about, each.text, each.author) for each in fake.asked]
    assert told == [("put_silence", "node:n040", "rma", "ana"), ("end_silence", "S-1", "done", "ana")]


async def test_what_was_told_to_whom_is_seen_and_a_viewer_changes_nothing() -> None:
    """An alert opens its incident; the settings say what this console may do; S is refused."""
    clock, fake = FrozenClock(), world.client()
    fake.told = ALERTS
    app = console(fake, clock, role="viewer")
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        await press(pilot, clock, "7")
        await ready(pilot, app, "Nothing is held back")
        await press(pilot, clock, "S")
        await ready(pilot, app, "needs the role operator")
        await press(pilot, clock, "9")
        await ready(pilot, app, "viewer: read-only")
        assert "views.json" in shown(app)
        await press(pilot, clock, "U")
        await ready(pilot, app, "ASCII only")
        assert shown(app).isascii()
        await press(pilot, clock, "8")
        await ready(pilot, app, "502 Bad Gateway")
        await press(pilot, clock, "enter")
        await ready(pilot, app, "What we think")

    assert fake.asked == []


@pytest.mark.parametrize(
    ("words", "wrong"),
    [("node:n1 job:a*", ""), ("n1", "n1"), ("node:", "node:"), ("rack:r1", "rack:r1"), ("job:a x", "x")],
)
def test_matchers_are_checked_before_they_are_sent(words: str, wrong: str) -> None:
    """The word that cannot be sent is named."""
    assert trouble_with(words).partition(": write")[0] == wrong


async def test_a_read_only_console_sends_no_silence() -> None:
    """Refused before it is sent: nobody listens at this address."""
    client = ReadOnlyClient("127.0.0.1:1")
    with pytest.raises(RequestRefused, match="read-only"):
        await client.put_silence(["node:n1"], "x", "y", 60.0)
    with pytest.raises(RequestRefused, match="read-only"):
        await client.end_silence("S-1", "x", "y")
