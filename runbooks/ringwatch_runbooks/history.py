"""What a run has certainly done: the linter's rules again, for runbooks that nobody linted. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ringwatch_runbooks.model import Action, Library, Runbook, Verify
from ringwatch_runbooks.record import ActRecord, RunRecord


def _roles(run: RunRecord, library: Library) -> Iterator[tuple[str, bool]]:
    """Yield the role of each act in order, and whether it was done and not taken back."""
    for act in run.acts:
        action = library.actions.get(act.action)
        undone = run.step(act.step).undone.startswith("done")
        yield action.role if action else "", act.outcome.startswith("done") and not undone


def cordoned(run: RunRecord, library: Library) -> bool:
    """Say whether the run keeps new work off its target now."""
    held = False
    for role, done in _roles(run, library):
        if done and role in ("cordon", "return"):
            held = role == "cordon"
    return held


def repaired(run: RunRecord, library: Library) -> bool:
    """Say whether a repair was begun, however it ended."""
    return any(role == "repair" for role, _ in _roles(run, library))


def proved(run: RunRecord, library: Library) -> bool:
    """Say whether the target was proved after the last repair was begun."""
    found = False
    for role, done in _roles(run, library):
        if role == "repair":
            found = False
        elif role == "proof":
            found = done
    return found


def verified(run: RunRecord, book: Runbook, library: Library) -> bool:
    """Say whether a verification was passed after the last repair."""
    repairs = {
        act.step
        for act in run.acts
        if (action := library.actions.get(act.action)) is not None and action.role == "repair"
    }
    found = False
    for step_id in run.path:
        if step_id in repairs:
            found = False
        elif isinstance(book.step(step_id), Verify):
            found = run.step(step_id).state == "done"
    return found


def held(runs: Iterable[RunRecord], library: Library) -> frozenset[str]:
    """Return the targets that runs took out of service and nobody has returned since."""
    acts = sorted(
        ((act.at_s, act.target, role) for run in runs for act, role in _done(run, library)),
        key=lambda each: each[0],
    )
    out: set[str] = set()
    for _, target, role in acts:
        if role == "cordon":
            out.add(target)
        elif role == "return":
            out.discard(target)
    return frozenset(out)


def _done(run: RunRecord, library: Library) -> Iterator[tuple[ActRecord, str]]:
    """Yield each act that was done and not taken back, with its role."""
    for act, (role, done) in zip(run.acts, _roles(run, library), strict=True):
        if done:
            yield act, role


def missing_for(action: Action, run: RunRecord, library: Library) -> str:
    """Return what has to come before the action and has not, empty when nothing is missing."""
    if action.needs_cordon and not cordoned(run, library):
        return f"{action.id} needs the node out of service first: this run has not taken it out"
    if action.needs_proof and not proved(run, library):
        return f"{action.id} needs proof first: this run has not proved the node"
    return ""


def missing_to_close(run: RunRecord, book: Runbook, library: Library) -> str:
    """Return what keeps the incident from being closed, empty when nothing does."""
    if not verified(run, book, library):
        return "the live signal was not seen healthy for its time in this run"
    if repaired(run, library) and not proved(run, library):
        return "something was repaired and not proved"
    return ""
