"""Rows of a checked file to frozen steps. Reads no file and checks nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from ringwatch_runbooks.model import (
    Act,
    Ask,
    Branch,
    Check,
    End,
    Escalate,
    Option,
    Predicate,
    Step,
    Verify,
)


def _predicate(row: dict[str, Any]) -> Predicate:
    value = tuple(row["value"]) if isinstance(row["value"], list) else row["value"]
    return Predicate(fact=row["fact"], op=row["op"], value=value)


def predicates_of(rows: Iterable[dict[str, Any]]) -> tuple[Predicate, ...]:
    """Return comparisons of rows that the schema let through."""
    return tuple(_predicate(row) for row in rows)


def _branch(row: dict[str, Any]) -> Branch:
    when = row["when"]
    rows = when.get("all", [when] if "fact" in when else [])
    return Branch(
        goto=row["goto"],
        predicates=predicates_of(rows),
        timeout="timeout" in when,
        otherwise="else" in when,
    )


def _check_step(row: dict[str, Any]) -> Check:
    return Check(
        id=row["id"],
        title=row["title"],
        expect=row["expect"],
        timeout_s=row["timeout_s"],
        branches=tuple(_branch(each) for each in row["branch"]),
        verb=row.get("verb", ""),
        call=row.get("call", ""),
        shows=tuple(row.get("shows", [])),
    )


def _ask_step(row: dict[str, Any]) -> Ask:
    options = tuple(Option(answer=each["answer"], goto=each["goto"]) for each in row["options"])
    return Ask(
        id=row["id"], title=row["title"], question=row["question"], options=options, look=row.get("look", "")
    )


def _act_step(row: dict[str, Any]) -> Act:
    return Act(
        id=row["id"],
        title=row["title"],
        uses=row["uses"],
        then=row["then"],
        on_fail=row["on_fail"],
        on_skip=row.get("on_skip", row["on_fail"]),
        why=row.get("why", ""),
    )


def _verify_step(row: dict[str, Any]) -> Verify:
    return Verify(
        id=row["id"],
        title=row["title"],
        healthy_s=row["healthy_s"],
        timeout_s=row["timeout_s"],
        then=row["then"],
        on_fail=row["on_fail"],
        expect=row.get("expect", ""),
        predicates=predicates_of(row.get("facts", [])),
    )


def _escalate_step(row: dict[str, Any]) -> Escalate:
    return Escalate(
        id=row["id"], title=row["title"], to=row["to"], asks_for=tuple(row["asks_for"]), then=row["then"]
    )


def _end_step(row: dict[str, Any]) -> End:
    return End(id=row["id"], outcome=row["outcome"], note=row["note"], runbook=row.get("runbook", ""))


_STEPS: Final[dict[str, Callable[[dict[str, Any]], Step]]] = {
    "check": _check_step,
    "ask": _ask_step,
    "action": _act_step,
    "verify": _verify_step,
    "escalate": _escalate_step,
    "end": _end_step,
}


def step_of(row: dict[str, Any]) -> Step:
    """Return the step of a row that the schema let through."""
    return _STEPS[row["kind"]](row)
