"""What is told of an incident's life, and what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.collector.store.records import INCIDENT

from ringwatch_collector.alerts.notice import Notice, change, labels_of, notice_of
from ringwatch_proto.records import Incident, IncidentState, Severity, Subject

NEW = INCIDENT
WARNING = replace(NEW, severity=Severity.WARNING)
ACKNOWLEDGED = replace(NEW, state=IncidentState.ACKNOWLEDGED)
SILENCED = replace(NEW, state=IncidentState.SILENCED)
RESOLVED = replace(NEW, state=IncidentState.RESOLVED, closed_s=5.0)
QUIET = replace(NEW, pages=False)


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        (None, NEW, "opened"),
        (None, QUIET, ""),
        (None, SILENCED, ""),
        (QUIET, NEW, "opened"),
        (NEW, QUIET, "withdrawn"),
        (WARNING, NEW, "worsened"),
        (NEW, WARNING, "changed"),
        (NEW, replace(NEW, gpu_hours_lost=7.0, confidence=0.5), ""),
        (NEW, replace(NEW, culprit=Subject(kind="node", node="n2")), "changed"),
        (NEW, ACKNOWLEDGED, "acknowledged"),
        (ACKNOWLEDGED, NEW, "unacknowledged"),
        (NEW, SILENCED, "silenced"),
        (SILENCED, NEW, "unsilenced"),
        (SILENCED, RESOLVED, ""),
        (NEW, RESOLVED, "resolved"),
        (RESOLVED, replace(NEW, reopened=1), "reopened"),
        (RESOLVED, replace(RESOLVED, updated_s=9.0), ""),
    ],
)
def test_each_change_that_matters_is_told_once(before: Incident | None, after: Incident, what: str) -> None:
    """And numbers that move all the time are not."""
    assert change(before, after, only_pages=True) == what


def test_incidents_that_do_not_page_are_told_when_asked_for() -> None:
    """``only_pages = false``."""
    assert change(None, QUIET, only_pages=False) == "opened"


def test_labels_name_what_it_is_about_and_nothing_that_is_measured() -> None:
    """Labels that move would make a new alert of the same trouble."""
    assert labels_of(NEW) == labels_of(
        replace(NEW, summary="other words", confidence=0.1, gpu_hours_lost=9.0)
    )
    assert labels_of(NEW)["node"] == "n1"
    assert "job" not in labels_of(NEW)


def test_a_notice_comes_back_from_its_document() -> None:
    """What is sent after a restart is what was written down."""
    notice = Notice(
        key="k", what="opened", at_s=5.0, incident=replace(NEW, confidence=0.5), previous={"a": "b"}
    )
    assert notice_of(notice.document()) == notice
