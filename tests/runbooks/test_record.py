"""Tests of what is kept of a run."""

import json

import pytest
from tests.runbooks.rig import TARGET

from ringwatch_proto.errors import RunbookError
from ringwatch_runbooks.record import FactRecord, RunRecord, StepRecord, from_json, to_json

STEP = StepRecord(
    id="look", state="waiting", phase="approval", facts=(FactRecord(name="gpu.state", value="0", age_s=0.5),),
    output=("one", "二"), started_s=1.5, approved_by=("ana",), arguments={"gpu": "GPU-1"}, attempts=2,
)  # fmt: skip
RUN = RunRecord(
    id="R-1", runbook="small", revision=1, digest="d", incident="I-1", target=TARGET, state="waiting",
    started_by="ana", started_s=1.0, current="look", steps=(STEP,), path=("look",),
)  # fmt: skip


def test_a_run_comes_back_as_it_was() -> None:
    """Everything that a run is survives the journal."""
    assert from_json(to_json(RUN)) == RUN


@pytest.mark.parametrize(
    "document",
    ["", "{", "[]", "null", "{}", '{"id": "R-1"}', json.dumps({**json.loads(to_json(RUN)), "more": 1})],
)
def test_a_document_that_is_no_run_is_refused(document: str) -> None:
    """A broken row is told and not guessed at."""
    with pytest.raises(RunbookError, match="cannot be read"):
        from_json(document)
