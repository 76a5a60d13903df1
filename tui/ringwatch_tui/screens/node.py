"""One node: its GPUs beside each other, recent trends, what happened, and which sources can be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ringwatch_tui.screens.base import Arrived, Open, Target, keys_of
from ringwatch_tui.screens.detail import Detail
from ringwatch_tui.session import Want
from ringwatch_tui.state.reducer import ConsoleState
from ringwatch_tui.state.trends import SPANS, next_span
from ringwatch_tui.views.lines import Line, Section
from ringwatch_tui.views.node import headline, sections


class NodeDetail(Detail):
    """A node with GPUs, trends, sources and events."""

    SCREEN = "node"
    PANELS = ("gpus", "trends", "sources", "events")
    wants = "node"
    BINDINGS: ClassVar = keys_of("node")
    _incidents: tuple[str, ...] = ()
    span_s = SPANS[0]

    @property
    def want(self) -> Want | None:
        """Return the node, and how far back its trends go."""
        return Want(kind="node", id=self.object_id, span_s=self.span_s)

    def content(self, state: ConsoleState, monotonic_s: float) -> tuple[Line, Sequence[Section]] | None:
        """Return the node, once it is known."""
        del monotonic_s
        detail = state.nodes.get(self.object_id)
        if detail is None:
            return None
        self._incidents = detail.incidents
        over = state.histories.get((self.object_id, self.span_s))
        return headline(detail.summary), sections(detail, self.span_s, over)

    def target(self) -> Target | None:
        """Return the node."""
        return Target(kind="node", id=self.object_id)

    def local(self, action: str) -> bool:
        """Open the node's incident; let trends go further back."""
        if action == "span":
            self.span_s = next_span(self.span_s)
            self.post_message(Arrived(self))
            return True
        if action != "incident":
            return False
        if self._incidents:
            self.post_message(Open("incident", self._incidents[0]))
        return True
