"""What the engine needs of the world, as small protocols. Whoever hosts runs implements them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ringwatch_proto.records import Incident, Subject
from ringwatch_runbooks.model import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One live reading. ``text`` is how a person reads the value where that is not the value itself."""

    name: str
    value: Value
    unit: str = ""
    age_s: float = 0.0
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerbOutcome:
    """What came of a verb: ``status`` is done, refused, failed or timed_out."""

    status: str
    text: str
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerbCall:
    """A verb of ``ringwatch_proto.verbs`` for one node."""

    node: str
    verb: str
    arguments: Mapping[str, str]
    timeout_s: float
    requested_by: str
    approved_by: str = ""
    incident: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairCall:
    """Something that an adapter of the collector does or reads: ``scheduler.drain`` with typed arguments.

    ``text`` is the hand-over text of the run, for tickets and messages.
    """

    name: str
    arguments: Mapping[str, str]
    timeout_s: float
    requested_by: str
    approved_by: str = ""
    incident: str = ""
    run: str = ""
    text: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who says something. ``proven`` is set where the connection vouches for the name.

    ``approves`` says whether a proven person may give the second approval, ``rules`` whether they may
    close the circuit breaker; of an unproven person nothing is known, and both are taken on trust.
    """

    name: str
    proven: bool = False
    approves: bool = True
    rules: bool = True


class Repairs(Protocol):
    """Adapters to what is outside of the nodes: scheduler, site scripts, tickets, chat, proof."""

    def offers(self, name: str) -> bool:
        """Say whether this site has a call of that name set up."""
        ...

    async def call(self, call: RepairCall) -> VerbOutcome:
        """Return what came of it within its time-out; with ``dry_run`` look only, and say what would be."""
        ...


class NoRepairs:
    """A site without adapters: everything outside of the nodes is done by people."""

    def offers(self, _name: str) -> bool:
        """Say no."""
        return False

    async def call(self, call: RepairCall) -> VerbOutcome:
        """Refuse."""
        return VerbOutcome(status="refused", text=f"{call.name} is not set up at this collector")


class Facts(Protocol):
    """Live readings. What is not known now is None: never a zero, never the last good value."""

    def read(self, name: str, target: Subject) -> Reading | None:
        """Return a reading about the target, None when it is absent."""
        ...

    def parameters(self, target: Subject) -> Mapping[str, str]:
        """Return what can be filled into arguments and commands: node, gpu, job, rank, pid, peer, port."""
        ...


class NodeVerbs(Protocol):
    """Carries a verb to a node."""

    async def call(self, call: VerbCall) -> VerbOutcome:
        """Return what came of it, within its time-out and a little; an unreachable node is ``failed``."""
        ...


class Journal(Protocol):
    """Keeps runs. ``save`` returns when the document is durable: the engine acts only after it."""

    async def save(self, run: str, incident: str, state: str, document: str) -> None:
        """Keep the document of a run in place of the one before; raise StoreError when it cannot."""
        ...


class Audit(Protocol):
    """Keeps who did what, where, why and with which result."""

    async def record(
        self, *, actor: str, action: str, target: str, incident: str, reason: str, result: str
    ) -> None:
        """Append one record; returns when it is durable."""
        ...


class Incidents(Protocol):
    """The incidents that runs work on."""

    def get(self, incident: str) -> Incident | None:
        """Return an incident as it is now."""
        ...

    async def attach(self, incident: str, run: str, author: str) -> None:
        """Note which run works on the incident."""
        ...

    async def resolve(self, incident: str, author: str, text: str) -> None:
        """Close the incident; raise ValueError with a sentence when its signal is still seen."""
        ...

    async def note(self, incident: str, author: str, text: str) -> None:
        """Write into the incident."""
        ...


class Clock(Protocol):
    """Unix seconds that never jump."""

    def now_s(self) -> float:
        """Return Unix seconds now."""
        ...
