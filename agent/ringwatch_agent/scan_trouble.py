"""One thing that is wrong with this node, as a scan tells it. Finds nothing, prints nothing."""

from __future__ import annotations

from dataclasses import dataclass

from ringwatch_knowledge import fault_classes
from ringwatch_proto.records import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that is wrong. ``device`` is an id, ``where`` what people call it; empty for the node."""

    severity: Severity
    fault_class: str
    action: str
    runbook: str
    text: str
    device: str = ""
    where: str = ""
    source: str = "nvml"

    @property
    def component(self) -> str:
        """Return the part of the node that it is about."""
        return self.fault_class.partition(".")[0]

    @property
    def order(self) -> tuple[int, int, str]:
        """Return what sorts the worst and most telling first."""
        return (-int(self.severity), fault_classes.lookup(self.fault_class).order, self.where)
