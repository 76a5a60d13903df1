"""One GPU: readings, trends, what happened. Its id is ``node/gpu``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ringwatch_tui.screens.base import Target, keys_of
from ringwatch_tui.screens.detail import Detail
from ringwatch_tui.session import Want
from ringwatch_tui.state.reducer import ConsoleState
from ringwatch_tui.views import gpu as view
from ringwatch_tui.views.lines import DIM, Line, Section, Span, line


class GpuDetail(Detail):
    """A GPU of a node."""

    SCREEN = "gpu"
    PANELS = ("readings", "trends", "events")
    wants = "node"
    BINDINGS: ClassVar = keys_of("gpu")

    @property
    def want(self) -> Want | None:
        """Return the node: its detail holds the GPU."""
        return Want(kind="node", id=self._node)

    @property
    def _node(self) -> str:
        return self.object_id.rpartition("/")[0]

    def content(self, state: ConsoleState, monotonic_s: float) -> tuple[Line, Sequence[Section]] | None:
        """Return the GPU, once its node is known."""
        del monotonic_s
        detail = state.nodes.get(self._node)
        if detail is None:
            return None
        found = view.found_in(detail, self.object_id.rpartition("/")[2])
        if found is None:
            return line(Span(f"{self._node} reports no such GPU", DIM)), ()
        return view.headline(detail, found), view.sections(detail, found)

    def target(self) -> Target | None:
        """Return the node, which its incident is about."""
        return Target(kind="node", id=self._node)
