"""The frozen form of runbooks and actions. Knows nothing of files, runs or the world."""

from __future__ import annotations

from dataclasses import dataclass, field

Value = float | str | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One text in English and Chinese."""

    en: str
    zh: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicate:
    """One comparison of a live reading. ``op`` is ==, !=, <, <=, >, >=, in or has_any (bits)."""

    fact: str
    op: str
    value: Value | tuple[Value, ...]

    def __str__(self) -> str:
        """Return the comparison as an operator reads it."""
        value = "|".join(map(str, self.value)) if isinstance(self.value, tuple) else str(self.value)
        return f"{self.fact} {self.op} {value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """Where a check goes on: all predicates hold, or nothing could be read in time, or else."""

    goto: str
    predicates: tuple[Predicate, ...] = ()
    timeout: bool = False
    otherwise: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One answer to a question."""

    answer: str
    goto: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """What a runbook is for: a kind of incident, and perhaps only some of its causes."""

    kind: str
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Reads facts, or asks a node (R0 verb) or an adapter (R0 call), and branches. Changes nothing."""

    id: str
    title: str
    expect: str
    timeout_s: float
    branches: tuple[Branch, ...]
    verb: str = ""
    call: str = ""
    shows: tuple[str, ...] = ()
    kind: str = field(default="check", init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Asks a person. ``look`` is a command that only reads and helps to answer; the person runs it."""

    id: str
    title: str
    question: str
    options: tuple[Option, ...]
    look: str = ""
    kind: str = field(default="ask", init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Uses an action of the library."""

    id: str
    title: str
    uses: str
    then: str
    on_fail: str
    on_skip: str
    why: str = ""
    kind: str = field(default="action", init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify:
    """Waits until the incident's live signal has been healthy for ``healthy_s`` without a break."""

    id: str
    title: str
    healthy_s: float
    timeout_s: float
    then: str
    on_fail: str
    expect: str = ""
    predicates: tuple[Predicate, ...] = ()
    kind: str = field(default="verify", init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalate:
    """Hands over to other people with the evidence."""

    id: str
    title: str
    to: str
    asks_for: tuple[str, ...]
    then: str
    kind: str = field(default="escalate", init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Ends the run. ``outcome`` is resolved, mitigated, no_fault, redirect or handed_over."""

    id: str
    outcome: str
    note: str
    runbook: str = ""
    kind: str = field(default="end", init=False)

    @property
    def title(self) -> str:
        """Return the note: an end has no other title."""
        return self.note


Step = Check | Ask | Act | Verify | Escalate | End


def successors(step: Step) -> tuple[str, ...]:
    """Return the ids of every step that can follow."""
    match step:
        case Check():
            return tuple(branch.goto for branch in step.branches)
        case Ask():
            return tuple(option.goto for option in step.options)
        case Act():
            return (step.then, step.on_fail, step.on_skip)
        case Verify():
            return (step.then, step.on_fail)
        case Escalate():
            return (step.then,)
        case End():
            return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """One way to deal with one fault. The first step is where it begins.

    ``digest`` names the exact text of the file: a run goes on only with the text that it began with.
    """

    id: str
    revision: int
    title: Text
    first_rule: Text
    severity: str
    triggers: tuple[Trigger, ...]
    never: tuple[str, ...]
    steps: tuple[Step, ...]
    sources: tuple[str, ...]
    digest: str = ""
    path: str = ""
    lines: dict[str, int] = field(default_factory=dict)

    def step(self, step_id: str) -> Step:
        """Return the step of that id; raise KeyError when there is none."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How often an action may be done within ``window_s``; 0 is no limit of that kind.

    ``incident`` counts times on one incident, ``job`` and ``fleet`` count different targets.
    """

    incident: int = 0
    job: int = 0
    fleet: int = 0
    window_s: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that changes the world, written and reviewed once.

    Carried out by a node's agent (``verb``), by an adapter of the collector (``call``), or by a person
    (``manual``: a command that is shown, run elsewhere and confirmed). ``manual`` beside another way is
    what is left where the site or the node does not offer it. ``approval`` is none, operator or
    second_person. ``recheck`` says what must still hold just before it acts: ``active`` the live signal,
    ``open`` only that the incident is not closed. ``role`` is cordon, repair, proof, return or empty.
    ``undo_call`` takes back what ``call`` did, with the same arguments.
    """

    id: str
    title: Text
    effect: str
    risk: str
    approval: str
    target: str
    timeout_s: float
    undo: str
    verb: str = ""
    call: str = ""
    undo_call: str = ""
    arguments: dict[str, str] = field(default_factory=dict)
    manual: str = ""
    dry_run: str = ""
    recheck: str = "active"
    role: str = ""
    needs_cordon: bool = False
    needs_proof: bool = False
    preconditions: tuple[Predicate, ...] = ()
    verify: tuple[Predicate, ...] = ()
    settle_s: float = 0.0
    limits: Limits = Limits()
    path: str = ""
    line: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """Every runbook and action that could be read, and what was wrong with the others."""

    runbooks: dict[str, Runbook]
    actions: dict[str, Action]
    troubles: tuple[str, ...] = ()
