"""Filters with a name, and copying."""

from pathlib import Path

import pytest
from tests.tui import world
from tests.tui.harness import FrozenClock, console
from tests.tui.test_console import press, ready, until

from ringwatch_proto.errors import ConfigError
from ringwatch_tui.saved_views import SavedView, ViewsBook, views_file

pytestmark = pytest.mark.timeout(60)
VIEW = SavedView(name="mine", screen="incidents", filter="owner:ana")


def test_a_view_is_kept_and_replaced_by_name(tmp_path: Path) -> None:
    """Each list has its own; the last one of a name counts."""
    book = ViewsBook(tmp_path / "deep" / "views.json")
    book.keep(VIEW)
    book.keep(SavedView(name="mine", screen="nodes", filter="rack:r3"))
    book.keep(SavedView(name="mine", screen="incidents", filter="!state:new"))

    assert [each.filter for each in book.views("incidents")] == ["!state:new"]
    assert [each.filter for each in ViewsBook(tmp_path / "deep" / "views.json").views("nodes")] == ["rack:r3"]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"views": [{"name": 1}]}', b"\xff\xfe"])
def test_a_file_that_is_no_book_is_said_and_not_written_over(tmp_path: Path, content: bytes) -> None:
    """It may be the operator's own, torn."""
    path = tmp_path / "views.json"
    path.write_bytes(content)
    book = ViewsBook(path)

    with pytest.raises(ConfigError, match="not a book of views"):
        book.views("incidents")
    with pytest.raises(ConfigError, match="not a book of views"):
        book.keep(VIEW)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "view",
    [SavedView(name="", screen="jobs", filter="x"), SavedView(name="x" * 300, screen="jobs", filter="x")],
)
def test_a_view_without_a_fit_name_is_refused(tmp_path: Path, view: SavedView) -> None:
    """Nothing is written."""
    with pytest.raises(ConfigError, match="needs a name"):
        ViewsBook(tmp_path / "views.json").keep(view)
    assert not list(tmp_path.iterdir())


def test_the_place_follows_the_desktop_standard() -> None:
    """XDG_CONFIG_HOME beats the home folder."""
    assert views_file({"XDG_CONFIG_HOME": "/x"}) == Path("/x/ringwatch/views.json")
    assert views_file({}) == Path.home() / ".config/ringwatch/views.json"


async def test_a_filter_is_saved_by_name_and_used_again(tmp_path: Path) -> None:
    """/ filter, w name, V chooses."""
    clock = FrozenClock()
    app = console(world.client(), clock, views=ViewsBook(tmp_path / "views.json"))
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        await press(pilot, clock, "4", "w")
        await ready(pilot, app, "type a filter first")
        await press(pilot, clock, "slash", *"state:new", "enter", "w")
        await ready(pilot, app, "Save view")
        await press(pilot, clock, *"fresh", "enter")
        await ready(pilot, app, "saved fresh")
        await press(pilot, clock, "escape")
        await ready(pilot, app, "5 incidents")
        await press(pilot, clock, "V")
        await ready(pilot, app, "fresh   state:new")
        await press(pilot, clock, "enter")
        await ready(pilot, app, "2 of 5 incidents")


async def test_the_selected_object_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Id and summary go to the terminal's clipboard."""
    clock = FrozenClock()
    app = console(world.client(), clock)
    copied: list[str] = []
    monkeypatch.setattr(app, "copy_to_clipboard", copied.append)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        await press(pilot, clock, "y")
        await until(pilot, lambda: bool(copied))
        await ready(pilot, app, "copied: I-142")

    assert copied[0].startswith("I-142 rank 91")
