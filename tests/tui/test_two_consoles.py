"""Two consoles on one real collector: what one operator says, the other sees."""

import asyncio
import time
from pathlib import Path

import pytest
from tests.collector.rig import batch, running
from tests.collector.test_runner import finding
from tests.tui.test_console import ready

from ringwatch_collector.fusion import fuse
from ringwatch_tui.app import Ringwatch
from ringwatch_tui.client.live import LiveClient
from ringwatch_tui.saved_views import ViewsBook

pytestmark = pytest.mark.timeout(90)


def _console(address: str, user: str, folder: Path) -> Ringwatch:
    views = ViewsBook(folder / f"{user}.json")
    return Ringwatch(LiveClient(address), role="operator", user=user, views=views, draw_s=0.1)


async def _ana(address: str, incident: str, folder: Path, open_at_bo: asyncio.Event) -> None:
    """Acknowledge and note; see the silence of the other, and an hour of the node."""
    ana = _console(address, "ana", folder)
    async with ana.run_test(size=(120, 36)) as pilot:
        await ready(pilot, ana, incident)
        await open_at_bo.wait()
        assert await ana.session.act(incident, "acknowledge", "ana", "mine")
        assert await ana.session.act(incident, "note", "ana", "the inlet is warm")
        ana.wish("silences")
        await ready(pilot, ana, "node:n1")
        ana.open_object("node", "n1")
        await ready(pilot, ana, "t further back")
        await pilot.press("t")
        await ready(pilot, ana, "last 15 min, from memory")


async def _bo(address: str, incident: str, folder: Path, open_at_bo: asyncio.Event) -> None:
    """Look at the incident; see what the other says; hold the node back."""
    bo = _console(address, "bo", folder)
    async with bo.run_test(size=(120, 36)) as pilot:
        await ready(pilot, bo, incident)
        bo.open_object("incident", incident)
        await ready(pilot, bo, "No notes")
        open_at_bo.set()
        await ready(pilot, bo, "ACKNOWLEDGED")
        await ready(pilot, bo, "ana: the inlet is warm")
        await bo.session.put_silence(["node:n1"], "bo", "fans", 600.0)


async def test_what_one_says_the_other_sees(tmp_path: Path) -> None:
    """An acknowledgement, a note and a silence cross; trends come from this collector's memory."""
    async with running(tmp_path, tick_s=0.1) as rig:
        agent = await rig.agent()
        await agent.send(batch(1))
        await agent.until_acknowledged(1)
        view = rig.collector.answers.view()
        (incident,) = rig.collector.book.update(fuse([finding("n1")], view), time.time())
        look = asyncio.Event()
        # A task each: Textual keeps its running app in the context of a task.
        async with asyncio.TaskGroup() as both:
            both.create_task(_ana(rig.address, incident.id, tmp_path, look))
            both.create_task(_bo(rig.address, incident.id, tmp_path, look))
