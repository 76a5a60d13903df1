"""What is remembered of a run, as frozen records and as JSON. Decides nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from ringwatch_proto.errors import RunbookError
from ringwatch_proto.records import Subject

LIVE: Final = ("running", "waiting")


@dataclass(frozen=True, slots=True, kw_only=True)
class FactRecord:
    """One reading as a step saw it. ``holds`` says whether it is what the step wants to see."""

    name: str
    value: str
    unit: str = ""
    age_s: float | None = None
    holds: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One step of a run.

    ``state`` is pending, running, waiting, done, failed or skipped. ``phase`` is where an action is:
    approval, second (waits for another person), acting, settling, confirm (a person runs it) or
    unknown (the collector ended in the middle of it).
    ``uses`` is the action and ``way`` how it is done here: verb, call or manual. ``automatic`` says that
    no person approved it, ``undone`` what came of taking it back.
    """

    id: str
    state: str = "pending"
    phase: str = ""
    outcome: str = ""
    why: str = ""
    facts: tuple[FactRecord, ...] = ()
    output: tuple[str, ...] = ()
    started_s: float | None = None
    ended_s: float | None = None
    since_s: float | None = None
    healthy_since_s: float | None = None
    by: str = ""
    approved_by: tuple[str, ...] = ()
    command: str = ""
    arguments: dict[str, str] = field(default_factory=dict)
    typed_target: str = ""
    attempts: int = 0
    uses: str = ""
    way: str = ""
    target: str = ""
    automatic: bool = False
    proven: bool = False
    undone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActRecord:
    """One time that an action was begun; limits and the breaker count these. No outcome: under way."""

    action: str
    step: str
    target: str
    at_s: float
    automatic: bool = False
    outcome: str = ""
    bad: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run.

    ``state`` is running, waiting, succeeded, mitigated, no_fault, redirected, handed_over, failed or aborted.
    """

    id: str
    runbook: str
    revision: int
    digest: str
    incident: str
    target: Subject
    state: str
    started_by: str
    started_s: float
    current: str
    steps: tuple[StepRecord, ...]
    ended_s: float | None = None
    result: str = ""
    path: tuple[str, ...] = ()
    acts: tuple[ActRecord, ...] = ()

    @property
    def live(self) -> bool:
        """Say whether the run goes on."""
        return self.state in LIVE

    def step(self, step_id: str) -> StepRecord:
        """Return what is remembered of a step."""
        return next((step for step in self.steps if step.id == step_id), StepRecord(id=step_id))

    def with_step(self, record: StepRecord) -> RunRecord:
        """Return the run with one step as it is now."""
        kept = tuple(record if step.id == record.id else step for step in self.steps)
        if all(step.id != record.id for step in self.steps):
            kept = (*kept, record)
        state = (
            record.state if self.live and record.id == self.current and record.state in LIVE else self.state
        )
        return replace(self, steps=kept, state=state)

    def begun(self, step: StepRecord, at_s: float) -> RunRecord:
        """Return the run with one more act, under way."""
        act = ActRecord(
            action=step.uses, step=step.id, target=step.target, at_s=at_s, automatic=step.automatic
        )
        return replace(self, acts=(*self.acts, act))

    def came(self, step_id: str, outcome: str, *, bad: bool) -> RunRecord:
        """Return the run with the outcome of the newest act of a step."""
        for at in range(len(self.acts) - 1, -1, -1):
            if self.acts[at].step == step_id:
                act = replace(self.acts[at], outcome=outcome, bad=bad)
                return replace(self, acts=(*self.acts[:at], act, *self.acts[at + 1 :]))
        return self


def to_json(run: RunRecord) -> str:
    """Return the document that the journal keeps."""
    return json.dumps(asdict(run), ensure_ascii=False)


def from_json(document: str) -> RunRecord:
    """Return the run of a document; raise RunbookError when it is none."""
    try:
        data: dict[str, Any] = json.loads(document)
        steps = tuple(_step(row) for row in data.pop("steps"))
        target = Subject(**data.pop("target"))
        path = tuple(data.pop("path"))
        acts = tuple(ActRecord(**row) for row in data.pop("acts", ()))
        return RunRecord(**data, steps=steps, target=target, path=path, acts=acts)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RunbookError(f"a stored run cannot be read: {error}") from error


def _step(row: dict[str, Any]) -> StepRecord:
    facts = tuple(FactRecord(**fact) for fact in row.pop("facts"))
    row |= {name: tuple(row[name]) for name in ("output", "approved_by")}
    return StepRecord(**row, facts=facts)
