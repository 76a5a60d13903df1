"""Takes the picture of a fleet: what consoles see, with the detail of what open incidents are about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from ringwatch_collector.answers import details
from ringwatch_collector.answers.fleet import FleetAnswers
from ringwatch_collector.fleet.state import FleetState
from ringwatch_proto.v1 import query_pb2, recording_pb2, runs_pb2

# Whoever looks back wants the culprits; details of a whole fleet would be gigabytes an hour.
_MOST_JOBS: Final = 8
_MOST_NODES: Final = 16
_STEPS: Final = 60
_NODE_SECONDS: Final = 120.0


class Camera:
    """Builds frames from the same answers that consoles get."""

    def __init__(
        self, answers: FleetAnswers, fleet: FleetState, runs: Callable[[], Sequence[runs_pb2.Run]]
    ) -> None:
        self._answers = answers
        self._fleet = fleet
        self._runs = runs

    def picture(self) -> recording_pb2.Frame:
        """Return the fleet as it is now."""
        fleet = self._answers.fleet()
        open_now = [each for each in fleet.incidents if each.state != "resolved"]
        jobs = dict.fromkeys(each.culprit.job for each in open_now if each.culprit.job)
        nodes = dict.fromkeys(each.culprit.node for each in open_now if each.culprit.node)
        return recording_pb2.Frame(
            wall_ns=fleet.wall_ns,
            fleet=fleet,
            jobs=self._jobs(list(islice(jobs, _MOST_JOBS))),
            nodes=self._nodes(list(islice(nodes, _MOST_NODES))),
            runs=self._runs(),
        )

    def _jobs(self, names: Sequence[str]) -> list[query_pb2.JobDetail]:
        found = (details.of_job(self._answers, self._fleet, name, _STEPS) for name in names)
        return [each for each in found if each is not None]

    def _nodes(self, names: Sequence[str]) -> list[query_pb2.NodeDetail]:
        found = (details.of_node(self._answers, self._fleet, name, _NODE_SECONDS) for name in names)
        return [each for each in found if each is not None]
