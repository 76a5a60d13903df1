"""From the readings of a source to what the collector's own detectors say of them."""

from __future__ import annotations

import time
from collections import Counter

from ringwatch_agent.encode import Encoder, NodeIdentity
from ringwatch_agent.sources.base import Reading
from ringwatch_collector.detectors.base import Detector
from ringwatch_collector.fleet.job import JobPolicy
from ringwatch_collector.fleet.state import FleetPolicy, FleetState
from ringwatch_collector.validate import check_batch, check_hello
from ringwatch_collector.view import JobView
from ringwatch_proto.records import Finding


class Collector:
    """The fleet state of a collector, fed by one node through the wire's messages and checks."""

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self._state = FleetState(FleetPolicy(job=JobPolicy()), self.dropped, time.time() - 3600)
        self._encoder = Encoder(NodeIdentity(node="n1", boot_id="b", agent_version="0"))
        self._sequence = 0
        self._learns_s = time.time()

    def take(self, reading: Reading) -> None:
        """Take what a source read; the wire's checks must find nothing wrong with it."""
        self._sequence += 1
        encoded = self._encoder.encode([reading], wall_ns=time.time_ns(), monotonic_ns=time.monotonic_ns())
        if encoded.hello is not None:
            encoded.hello.spool_id = "s"
            self._schema = check_hello(encoded.hello)
            self._node = self._state.hello(encoded.hello, time.time())
        encoded.batch.sequence = self._sequence
        assert check_batch(encoded.batch, self._schema) == []
        self._state.batch(self._node, encoded.batch, "s", time.time())
        self._state.view(time.time())

    def learn(self) -> None:
        """Take what was seen so far as healthy."""
        self._learns_s += 2.0  # it learns once a second at most
        self._state.learn(self._learns_s, ())

    def job(self) -> JobView:
        """Return the one job."""
        (job,) = self._state.view(time.time()).jobs
        return job

    def findings(self, *detectors: Detector) -> list[Finding]:
        """Return what detectors say now."""
        view = self._state.view(time.time())
        return [finding for detector in detectors for finding in detector.look(view)]
