"""Real training jobs on Gloo under the hook, seen through the agent's source."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.hook.rig import HERE, WORKLOAD, Agent, Job

from ringwatch_proto import events
from ringwatch_proto.layout import Collective, Phase, StepFlag

pytestmark = pytest.mark.torch
Start = Callable[..., Job]


def test_a_ddp_job_shows_its_steps_and_every_bucket_on_each_rank(agent: Agent, start: Start) -> None:
    """Both ranks report the same collectives of each step, with times that fit into the step."""
    job = start(*WORKLOAD, "--attach", "--steps", "12", "--bucket-mb", "0.1")
    agent.until(lambda: agent.kinds().count(events.RANK_LEFT) == 2)
    job.wait()
    rows = {0, 1}
    assert {(step["rank_row"], step["step"]) for step in agent.steps} == {
        (r, s) for r in rows for s in range(12)
    }
    step_8 = [one for one in agent.collectives if one["step"] == 8]
    slots = {row: {(one["slot"], one["bytes"]) for one in step_8 if one["rank_row"] == row} for row in rows}
    assert slots[0] == slots[1]
    assert len(slots[0]) >= 3
    for step in agent.steps:
        assert step["data_s"] > 0
        assert step["compute_s"] > 0
        assert step["data_s"] + step["compute_s"] + step["pause_s"] <= step["step_s"] * 1.001
    assert [record.ranks for record in agent.last.communicators or ()] == [(0, 1)]
    assert agent.dropped == {}


def test_a_stopped_rank_and_then_a_killed_one_are_seen_as_such(agent: Agent, start: Start) -> None:
    """Its peer waits in a collective that it has not begun; SIGKILL ends it without a goodbye."""
    job = start(*WORKLOAD, "--attach", "--seconds", "60")
    agent.until(lambda: len(agent.steps) > 20)
    job.processes[1].send_signal(signal.SIGSTOP)
    agent.until(lambda: agent.states()[0]["phase_age_s"] > 0.6)
    states = agent.states()
    assert states[0]["phase"] == Phase.COLLECTIVE
    assert states[0]["inflight_kind"] == Collective.ALL_REDUCE
    assert states[0]["launched"] > states[0]["completed"]
    assert chr(states[1]["process_state"]) == "T"
    assert states[1]["launched"] <= states[0]["launched"]
    agent.until(lambda: agent.states()[1]["stopped_share"] == 1.0)
    job.processes[1].kill()
    agent.until(lambda: events.RANK_DIED in agent.kinds())
    died = next(event for event in agent.events if event.kind == events.RANK_DIED)
    assert died.fields["rank"] == "1"
    assert died.fields.get("signal", "9") == "9"
    assert agent.states()[1]["alive"] == 0


def test_a_late_loader_and_a_checkpoint_are_told_apart_without_a_wrapper(agent: Agent, start: Start) -> None:
    """The loader is data time of that rank alone; the checkpoint, which nothing announces, is a pause."""
    job = start(
        *WORKLOAD, "--attach", "--steps", "12", "--wrapper", "none",
        "--loader-sleep-rank", "1", "--loader-sleep-ms", "120",
        "--checkpoint-every", "4", "--checkpoint-ms", "150",
    )  # fmt: skip
    agent.until(lambda: agent.kinds().count(events.RANK_LEFT) == 2)
    job.wait()
    paused = {(step["rank_row"], step["step"]) for step in agent.steps if step["pause_s"] > 0.14}
    assert paused == {(row, step) for row in (0, 1) for step in (4, 8)}
    by_rank: dict[int, list[dict[str, Any]]] = {0: [], 1: []}
    for step in agent.steps:
        if step["step"] > 1:
            by_rank[agent.rank_of(step["rank_row"])].append(step)
    assert all(step["data_s"] >= 0.12 for step in by_rank[1])
    own = sorted(step["data_s"] + step["compute_s"] for step in by_rank[0])
    assert own[len(own) // 2] < 0.12, "waiting for the late rank is not this rank's work"


def test_fully_sharded_collectives_are_seen(agent: Agent, start: Start) -> None:
    """FSDP gathers and scatters by names that it imported itself."""
    pytest.importorskip("torch.distributed.fsdp", reason="fully_shard came with torch 2.6")
    job = start(*WORKLOAD, "--attach", "--steps", "6", "--wrapper", "fsdp")
    agent.until(lambda: agent.kinds().count(events.RANK_LEFT) == 2)
    job.wait()
    kinds = {one["kind"] for one in agent.collectives if one["step"] == 4}
    assert {Collective.ALL_GATHER, Collective.REDUCE_SCATTER, Collective.ALL_REDUCE} <= kinds


def test_gradients_are_the_same_to_the_last_bit(agent: Agent, start: Start) -> None:
    """For each way to use DDP, and with three ranks, whose inverse no binary number holds."""
    outputs = start(str(HERE / "job_gradients.py"), ranks=3).wait()
    for output in outputs:
        same = json.loads(output)
        assert len(same) == 7
        assert all(same.values()), same
    agent.read()
    assert len([one for one in agent.collectives if one["bytes"] > 1000]) > 100
    late = [one for one in agent.collectives if one["bytes"] == 78 * 4]
    assert len(late) == 3, "a model that existed before the hook was attached is watched when it is given"


def test_odd_jobs_are_recorded_and_left_alone(agent: Agent, start: Start) -> None:
    """Several groups and optimizers, forks, unwaited work, point to point, marked steps, an exception."""
    job = start(str(HERE / "job_odd.py"))
    agent.until(lambda: agent.kinds().count(events.RANK_LEFT) == 2)
    outputs = [process.communicate(timeout=30) for process in job.processes]
    assert [process.returncode for process in job.processes] == [0, 1], outputs
    left = [event.fields for event in agent.events if event.kind == events.RANK_LEFT]
    reasons = {fields["rank"]: fields["reason"] for fields in left}
    assert reasons == {"0": "finished", "1": "exception: RuntimeError: rank 1 had enough"}
    rank_0 = [step for step in agent.steps if agent.rank_of(step["rank_row"]) == 0]
    assert [step["step"] for step in rank_0] == list(range(8))
    # Its loss, 1e300, is beyond what a float32 holds.
    assert rank_0[6]["flags"] == StepFlag.TAGGED_PAUSE | StepFlag.LOSS_NOT_FINITE
    assert rank_0[6]["pause_s"] > 0.05
    groups = {record.name: record.ranks for record in agent.last.communicators or ()}
    assert len(groups) == 3
    assert set(groups.values()) == {(0, 1)}
    kinds = {(one["kind"], one["step"]) for one in agent.collectives}
    assert {(Collective.SEND, 7), (Collective.RECV, 7)} <= kinds
    third = [one for one in agent.collectives if one["step"] == 3 and one["rank_row"] == 0]
    assert len({one["communicator"] for one in third}) == 3
    assert agent.dropped == {}


def test_a_job_trains_alike_when_no_agent_listens(start: Start) -> None:
    """No socket, no harm; and the weights are those of a job without the hook."""
    jobs = [start(*WORKLOAD, "--steps", "5", *attach, ranks=1) for attach in ((), ("--attach",))]
    weights = [json.loads(job.wait()[0])["weights"] for job in jobs]
    assert weights[0] == weights[1]


def test_exec_attaches_without_a_change_to_the_script(agent: Agent, tmp_path: Path) -> None:
    """torchrun's workers join, torchrun itself does not, and an own sitecustomize still runs."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import sys\nsys.stderr.write('own sitecustomize ran\\n')\n")
    done = subprocess.run(
        [
            sys.executable, "-m", "ringwatch.main", "exec",
            "--job", "by-exec", "--socket", str(agent.path), "--",
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
            *WORKLOAD, "--steps", "5",
        ],
        env={**os.environ, "PYTHONPATH": str(own), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "own sitecustomize ran" in done.stderr
    agent.until(lambda: agent.kinds().count(events.RANK_LEFT) == 2)
    assert agent.kinds().count(events.RANK_JOINED) == 2
    assert {event.fields["job"] for event in agent.events} == {"by-exec"}
    assert {step["step"] for step in agent.steps} == set(range(5))


def test_a_rank_joins_an_agent_that_was_restarted(agent: Agent, start: Start) -> None:
    """A new agent on the same path gets the ranks that run, with the steps counted on."""
    job = start(*WORKLOAD, "--attach", "--seconds", "60", RINGWATCH_RETRY_S="0.2")
    agent.until(lambda: len(agent.steps) > 6)
    agent.source.close()
    later = Agent(agent.path)
    try:
        later.until(lambda: len(later.steps) > 6)
        assert min(step["step"] for step in later.steps) > 3
        assert later.kinds().count(events.RANK_JOINED) == 2
    finally:
        later.source.close()
        job.end()
