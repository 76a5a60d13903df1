"""One GPU: readings, trends, what happened. Its id is ``node/gpu``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ringwatch_tui.screens.base import Arrived, Target, keys_of
from ringwatch_tui.screens.detail import Detail
from ringwatch_tui.session import Want
from ringwatch_tui.state.reducer import ConsoleState
from ringwatch_tui.state.trends import SPANS, next_span
from ringwatch_tui.views import gpu as view
from ringwatch_tui.views.lines import DIM, Line, Section, Span, line


class GpuDetail(Detail):
    """A GPU of a node."""

    SCREEN = "gpu"
    PANELS = ("readings", "trends", "events")
    wants = "node"
    span_s = SPANS[0]
    BINDINGS: ClassVar = keys_of("gpu")

    @property
    def want(self) -> Want | None:
        """Return the node: its detail holds the GPU."""
        return Want(kind="node", id=self._node, span_s=self.span_s)

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
        over = state.histories.get((self._node, self.span_s))
        return view.headline(detail, found), view.sections(detail, found, self.span_s, over)

    def local(self, action: str) -> bool:
        """Let trends go further back."""
        if action != "span":
            return False
        self.span_s = next_span(self.span_s)
        self.post_message(Arrived(self))
        return True

    def target(self) -> Target | None:
        """Return the node, which its incident is about."""
        return Target(kind="node", id=self._node)
