"""What a diagnosis says: conclusions with their evidence, and the answer that they make together."""

from __future__ import annotations

from dataclasses import dataclass

from ringwatch_knowledge import fault_classes
from ringwatch_knowledge.fault_classes import FaultClass
from ringwatch_knowledge.observation import Observation

ROOT, EFFECT, MIXED, NONE = "root", "effect", "mixed", "none"
# The class of what only looks like a fault.
BENIGN = "none.benign"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """One fault that the evidence shows.

    ``role`` is ``root`` when the quoted lines report the fault itself, ``effect`` when they are what
    follows from it (waiting ranks, kills), ``mixed`` for both at once. ``action`` empty means the
    usual one of the class. ``explains`` are observations that follow from this fault.
    """

    fault_class: str
    evidence: tuple[Observation, ...]
    role: str = ROOT
    action: str = ""
    confidence: float = 0.8
    where: str = ""
    note: str = ""
    explains: tuple[Observation, ...] = ()
    ruled_out: tuple[str, ...] = ()
    settle: tuple[str, ...] = ()
    order: int = 0
    # A guess from the words of a line whose shape nobody knows: told only for want of anything better.
    guessed: bool = False

    @property
    def about(self) -> FaultClass:
        """Return the entry of the class of fault."""
        return fault_classes.lookup(self.fault_class)

    @property
    def first_step(self) -> str:
        """Return the first thing to do."""
        return self.action or self.about.action

    @property
    def urgency(self) -> int:
        """Return the place in the ranking: lower is told first."""
        return self.order or self.about.order

    @property
    def first_s(self) -> float:
        """Return the earliest time in the evidence; infinite when no line carries one."""
        return min((each.at_s for each in self.evidence if each.at_s is not None), default=float("inf"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is wrong, ranked by what explains most; with nothing wrong, why that is said.

    ``verdict`` is ``fault``, ``healthy``, ``benign`` or ``cannot_tell``.
    """

    verdict: str
    conclusions: tuple[Conclusion, ...]
    benign: tuple[Conclusion, ...] = ()
    # Lines with words of alarm that no shape of the knowledge explains.
    unread: tuple[Observation, ...] = ()
