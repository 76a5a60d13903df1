"""What an operator has is diagnosed from within the console: a path or a paste."""

from pathlib import Path

import pytest
from tests.tui import world
from tests.tui.harness import FrozenClock, console
from tests.tui.test_console import press, ready
from textual.widgets import TextArea

from ringwatch_tui.second_opinion import asked, command_for

pytestmark = pytest.mark.timeout(90)
XID = "[1.0] NVRM: Xid (PCI:0000:0a:00): 79, pid=1, name=python, GPU has fallen off the bus.\n"


def test_a_path_is_given_as_a_path_and_everything_else_as_a_paste(tmp_path: Path) -> None:
    """A line that names nothing here is itself the evidence."""
    log = tmp_path / "a b.log"
    log.write_text(XID)

    assert command_for(f"  {log}\n") == ([str(log)], b"")
    assert command_for(XID) == (["-"], XID.encode())
    assert command_for(f"{log}\n{log}")[0] == ["-"]
    assert command_for("x" * 5000)[0] == ["-"]
    assert command_for("a\0b")[0] == ["-"]


@pytest.mark.parametrize("name", ["--help", "-rf", "$(touch x)", "; ls"])
async def test_a_hostile_name_is_a_name(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read as a file, not as an option and not by a shell."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(XID)

    said = await asked(name)

    assert "gpu.off_bus" in said
    assert [path.name for path in tmp_path.iterdir()] == [name]


async def test_a_paste_is_diagnosed_in_the_console() -> None:
    """d asks, ctrl+s reads, esc closes."""
    clock = FrozenClock()
    app = console(world.client(), clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        await press(pilot, clock, "d")
        await ready(pilot, app, "paste a log")
        app.screen.query_one(TextArea).text = "hello\n" + XID
        await press(pilot, clock, "ctrl+s")
        await ready(pilot, app, "gpu.off_bus")
        await press(pilot, clock, "escape")
        await ready(pilot, app, "Fleet map")


async def test_nothing_given_asks_nothing() -> None:
    """An empty field closes without an answer."""
    clock = FrozenClock()
    app = console(world.client(), clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        await press(pilot, clock, "d")
        await ready(pilot, app, "paste a log")
        await press(pilot, clock, "ctrl+s")
        await ready(pilot, app, "Fleet map")
