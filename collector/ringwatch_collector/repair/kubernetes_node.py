"""A node as Kubernetes shows it. Asks nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

# Who took a node out, and for which incident, stands on the node itself.
ANNOTATION: Final = "ringwatch.io/incident"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """A node as Kubernetes has it."""

    name: str
    ready: bool
    unschedulable: bool
    incident: str
    taints: tuple[str, ...]

    def __str__(self) -> str:
        """Return the state as the audit log keeps it."""
        words = ["Ready" if self.ready else "NotReady"]
        words += ["SchedulingDisabled"] if self.unschedulable else []
        words += [f"for {self.incident}"] if self.incident else []
        return ",".join(words) + (f" taints {', '.join(self.taints)}" if self.taints else "")


def state_of(node: Any) -> NodeState:  # noqa: ANN401  (the client has no types)
    """Return the state of a node of the client."""
    conditions = (node.status.conditions if node.status else None) or ()
    annotations = node.metadata.annotations or {}
    return NodeState(
        name=node.metadata.name,
        ready=any(each.type == "Ready" and each.status == "True" for each in conditions),
        unschedulable=bool(node.spec.unschedulable),
        incident=annotations.get(ANNOTATION, ""),
        taints=tuple(f"{taint.key}:{taint.effect}" for taint in node.spec.taints or ()),
    )
