"""What screens with a table share: marks, and letters to jump by."""

from __future__ import annotations

from ringwatch_tui.screens.base import RingScreen
from ringwatch_tui.widgets.vtable import VTable


class RowsScreen(RingScreen):
    """A screen whose objects are the rows of one table."""

    def marked(self) -> tuple[str, ...]:
        """Return the ids of the marked rows."""
        return self.query_one(VTable).marked

    def clear_marks(self) -> bool:
        """Take the marks away; say whether there were any."""
        return self.query_one(VTable).clear_marks()

    def local(self, action: str) -> bool:
        """Mark, jump, and take the marks away before leaving."""
        if action == "mark":
            self.query_one(VTable).toggle_mark()
        elif action == "jump":
            self.query_one(VTable).offer_letters()
        else:
            return action == "back" and self.clear_marks()
        return True
