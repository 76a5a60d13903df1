"""Incidents of three kinds on simulated fleets over the real wire, from page to verified close."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from tests.e2e.operator_at_work import PAGE_S, Operator, paged

from ringwatch_drills.demo.stage import Stage
from ringwatch_drills.watching import Watcher

_NODES = 4
pytestmark = pytest.mark.timeout(240)


class Fleet(Stage):
    """A collector and a simulated fleet in which somebody can put right what was broken."""

    def mend(self) -> None:
        """Undo every fault, as a repair in the machine room does."""
        self._tell({"undo": True})
        assert self._hear() == {"undone": True}


def overheats(stage: Fleet, operator: Operator) -> None:
    """Give the clocks back; in the simulation the air flows again with them."""
    del stage
    operator.say("consent", "answer", "give the clocks back and watch")
    operator.approve("reset_clocks")


def hangs(stage: Fleet, operator: Operator) -> None:
    """Let the stopped rank go on."""
    del stage
    operator.say("stopped", "answer", "let it go on")
    operator.approve("go_on")


def falls_off(stage: Fleet, operator: Operator) -> None:
    """Hold the node by hand, replace the GPU, prove it through its node, return it by hand."""
    assert operator.run.current == "seen", operator.run
    stage.mend()
    operator.say("seen", "answer", "it was repaired")
    operator.by_hand("hold")
    assert "validate" in operator.run.path, operator.run
    operator.approve("validate")
    assert operator.step("validate").way == "call"
    operator.by_hand("give_back")


Walk = Callable[[Fleet, Operator], None]
# fault, kind of the incident, runbook, walk, action that the audit log has to hold
WALKS: tuple[tuple[str, str, str, Walk, str], ...] = (
    ("thermal", "straggler.compute", "thermal", overheats, "reset_gpu_clocks"),
    ("hang", "job.hang", "hang", hangs, "continue_process"),
    ("gpu-off-bus", "gpu.off_bus", "gpu-off-the-bus", falls_off, "prove_node"),
)


@pytest.fixture(scope="module")
def stages() -> Iterator[list[Fleet]]:
    """One collector and fleet for each walk; they are started here, because they end with their thread."""
    with ExitStack() as ending:
        made = []
        for seed in range(len(WALKS)):
            stage = Fleet(nodes=_NODES, seed=seed + 1)
            ending.callback(stage.close)
            stage.start_collector()
            stage.start_fleet()
            made.append(stage)
        yield made


def walked(stage: Fleet, row: tuple[str, str, str, Walk, str]) -> None:
    """Walk one incident from page to close, and see that it is closed, why, and by whom."""
    fault, kind, runbook, walk, action = row
    watcher = Watcher(stage.address)
    try:
        fleet = watcher.wait_for(
            PAGE_S,
            lambda fleet: (
                fleet.health.nodes_reporting == _NODES
                and bool(fleet.jobs)
                and all(job.state == "running" for job in fleet.jobs)
            ),
        )
        assert fleet is not None, watcher.fleet()
        stage.begin(fault)
        incident = paged(watcher, kind)
        with Operator(stage.address) as operator:
            operator.start(incident.id, runbook)
            walk(stage, operator)
            operator.closes(watcher, incident.id, action)
    finally:
        watcher.close()


def test_three_kinds_go_from_page_to_verified_close_on_simulated_fleets(stages: list[Fleet]) -> None:
    """All three at the same time, each with a collector of its own: a proof takes half a minute to hold."""
    with ThreadPoolExecutor(len(WALKS)) as pool:
        walks = [pool.submit(walked, stage, row) for stage, row in zip(stages, WALKS, strict=True)]
    for walk in walks:
        walk.result()
