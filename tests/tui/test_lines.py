"""Tables and lines for any width."""

import pytest
from tests.tui import world

from ringwatch_tui.state.text import width
from ringwatch_tui.views.incident import incident_table
from ringwatch_tui.views.lines import columns_for, plain, spread, table_lines
from ringwatch_tui.views.lines import line as line_of
from ringwatch_tui.views.node import node_table

TABLE = incident_table(world.fleet().incidents, world.NOW_S)


@pytest.mark.parametrize("cells", [20, 60, 78, 118, 200])
def test_every_row_is_as_wide_as_its_header(cells: int) -> None:
    """Columns line up at every width."""
    rows = [plain(each) for each in table_lines(TABLE, cells)]

    assert len({width(each) for each in rows}) == 1


def test_what_matters_least_goes_first() -> None:
    """On 80 cells severity, id, what and state are left; owner and confidence went."""
    keys = {each.key for each in columns_for(TABLE.columns, 78)}

    assert {"sev", "id", "what", "state"} <= keys
    assert keys.isdisjoint({"owner", "conf", "job"})


def test_room_that_is_left_goes_to_the_words() -> None:
    """A wide terminal shows the whole sentence."""
    by_key = {each.key: each.cells for each in columns_for(TABLE.columns, 200)}

    assert by_key["what"] > 80


def test_open_before_closed_and_severe_before_mild() -> None:
    """The most urgent incident is on top."""
    assert [row.id for row in TABLE.rows] == ["I-142", "I-141", "I-139", "I-131", "I-130"]


def test_the_worst_node_is_on_top() -> None:
    """A node list begins with trouble."""
    states = [plain((row.values["state"],)) for row in node_table(world.fleet().nodes).rows[:6]]  # type: ignore[arg-type]

    assert states == ["fault", "silent", "warn", "slow", "drained", "ok"]


def test_the_right_part_gives_way() -> None:
    """Both ends of a line are kept while there is room."""
    assert plain(spread(line_of("ab"), line_of("cd"), 6)) == "ab  cd"
    assert plain(spread(line_of("ab"), line_of("cd"), 4)) == "ab"
