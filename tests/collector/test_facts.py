"""Tests of live readings by name, on the views that detectors see."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from tests.collector.detectors.builders import NOW, JobSpec, fleet, gpu_id, gpus, job

from ringwatch_collector.facts import LiveFacts, names
from ringwatch_collector.view import FleetView
from ringwatch_proto.records import Subject
from ringwatch_runbooks.fact_names import FACTS

RANK = Subject(kind="rank", node="n001", job="llm", rank=1)


def facts_of(view: FleetView) -> LiveFacts:
    """Return facts over one view."""
    return LiveFacts(lambda: view)


def value_of(view: FleetView, name: str, target: Subject = RANK) -> object:
    """Return the value of a fact, None when it is absent."""
    reading = facts_of(view).read(name, target)
    return None if reading is None else reading.value


def test_every_live_name_can_be_read_and_no_other() -> None:
    """The linter accepts what the collector can answer."""
    assert {name for name, fact in FACTS.items() if fact.source == "live"} == names()


@pytest.mark.parametrize(
    "target",
    [
        Subject(kind="rank", node="nowhere", job="nothing", rank=7, device="GPU-x"),
        Subject(kind="none"),
        Subject(kind="node", node="nowhere"),
    ],
)
def test_what_is_not_there_is_absent(target: Subject) -> None:
    """Never a zero, never a guess."""
    view = fleet(job(JobSpec()))

    about_the_target = {name for name in names() if not name.startswith("fleet.")}
    assert {name for name in about_the_target if value_of(view, name, target) is not None} == set()


@pytest.mark.parametrize("spec", [JobSpec(gpus=True, per_node=2), JobSpec(reference=False)])
@pytest.mark.parametrize("target", [RANK, Subject(kind="node", node="n000")])
def test_every_reading_is_finite_and_has_an_age(spec: JobSpec, target: Subject) -> None:
    """NaN means absent and does not get out."""
    facts = facts_of(fleet(job(spec)))

    for name in names():
        reading = facts.read(name, target)
        if reading is not None:
            assert not isinstance(reading.value, float) or math.isfinite(reading.value)
            assert reading.age_s >= 0


def test_a_mig_instance_is_not_counted_as_a_gpu() -> None:
    """Neither among all, nor those that answer, nor those of the fleet that do not."""
    table = gpus(2, 2, {"gpu.state": {0: 3.0, 1: 3.0}})
    view = fleet(job(JobSpec(gpus=True, per_node=2)), gpu=table)
    node, other = Subject(kind="node", node="n000"), Subject(kind="node", node="n001")
    assert [value_of(view, "node.gpus", node), value_of(view, "fleet.gpus_bad", node)] == [2.0, 2.0]

    table.devices[1] = table.devices[3] = "MIG-1"
    assert [value_of(view, "node.gpus", node), value_of(view, "fleet.gpus_bad", node)] == [1.0, 1.0]
    assert value_of(view, "node.gpus_answering", other) == value_of(view, "node.gpus", other) == 1.0


def test_a_hot_gpu_is_told_against_its_peers() -> None:
    """The peers are the other GPUs of its node and of its job."""
    changed = {
        "gpu.sm_clock_mhz": {1: 900.0},
        "gpu.temperature_celsius": {1: 88.0},
        "gpu.clock_event_reasons": {1: float(0x40 | 0x4)},
    }
    view = fleet(job(JobSpec(gpus=True, per_node=2)), gpu=gpus(2, 2, changed))
    target = Subject(kind="gpu", node="n000", device=gpu_id(0, 1))
    facts = facts_of(view)

    ratio = facts.read("gpu.sm_clock_ratio_to_peers", target)
    assert ratio is not None
    assert isinstance(ratio.value, float)
    assert ratio.value < 0.8
    above = facts.read("gpu.temperature_over_peers_celsius", target)
    assert above is not None
    assert isinstance(above.value, float)
    assert above.value > 10
    assert value_of(view, "gpu.bad_clock_event_bits", target) == 0x40
    reasons = facts.read("gpu.clock_event_reasons", target)
    assert reasons is not None
    assert reasons.text == "sw_power_cap, hw_thermal_slowdown"
    assert facts.parameters(target)["gpu"] == gpu_id(0, 1)
    assert facts.parameters(target)["job"] == "llm"


def test_a_slow_rank_stands_out_from_its_peers() -> None:
    """Own work over the median of the job's ranks."""

    def slow(factors: np.ndarray) -> np.ndarray:
        factors[:, 1] *= 2.0
        return factors

    view = fleet(job(JobSpec(slow=slow)))

    assert value_of(view, "rank.compute_ratio") == pytest.approx(2.0, rel=0.2)
    assert value_of(view, "rank.compute_ratio", replace(RANK, rank=2)) == pytest.approx(1.0, rel=0.2)


def test_without_a_learned_baseline_there_is_no_ratio_to_it() -> None:
    """A job that just began has no healthy history."""
    assert value_of(fleet(job(JobSpec(reference=False))), "job.step_ratio_to_baseline") is None
    assert value_of(fleet(job(JobSpec())), "job.step_ratio_to_baseline") == pytest.approx(1.0, rel=0.2)


def test_the_steps_of_a_job_that_stopped_grow_old() -> None:
    """The last good step is not a reading of now."""
    view = fleet(job(JobSpec()))
    later = replace(view, now_s=NOW + 60.0)

    reading = facts_of(later).read("job.step_ratio_to_baseline", RANK)

    assert reading is not None
    assert reading.age_s > 50.0


def test_parameters_name_what_commands_are_about() -> None:
    """A rank brings its node, its job and its process."""
    found = facts_of(fleet(job(JobSpec()))).parameters(RANK)

    assert (found["node"], found["job"], found["rank"]) == ("n001", "llm", "1")
    assert found["pid"].isdecimal()
    assert "peer" not in found


def test_a_link_brings_its_two_ends() -> None:
    """The port is the link's own device."""
    target = Subject(kind="link", node="n000", device="eth0", peer="n001", job="llm")

    found = facts_of(fleet(job(JobSpec()))).parameters(target)

    assert (found["node"], found["peer"], found["port"]) == ("n000", "n001", "eth0")


def test_a_node_is_known_as_connected() -> None:
    """What the collector itself sees is as new as the look."""
    reading = facts_of(fleet(job(JobSpec()))).read("node.connected", RANK)

    assert reading is not None
    assert (reading.value, reading.age_s) == (True, 0.0)
