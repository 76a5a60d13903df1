"""Follows a collector from outside, as any console does, and waits for what lab and demo wait for."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Final

import grpc

from ringwatch_proto.v1 import query_pb2, query_pb2_grpc

_RETRY_S: Final = 0.2


class Watcher:
    """A query client of one collector; blocks the calling thread for at most what it is given."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._query = query_pb2_grpc.QueryStub(self._channel)

    def follow(self, seconds: float) -> Generator[query_pb2.Fleet, None, None]:
        """Yield the fleet whenever it changed, for ``seconds``; a collector that is away is waited for."""
        deadline = time.monotonic() + seconds
        while (left_s := deadline - time.monotonic()) > 0:
            request = query_pb2.FollowFleetRequest(min_interval_s=0.1)
            call = self._query.FollowFleet(request, timeout=left_s)
            try:
                yield from call
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                    return
            finally:
                call.cancel()
            time.sleep(min(_RETRY_S, max(0.0, deadline - time.monotonic())))

    def wait_for(self, seconds: float, holds: Callable[[query_pb2.Fleet], bool]) -> query_pb2.Fleet | None:
        """Return the first fleet for which ``holds``, None when there is none in time."""
        stream = self.follow(seconds)
        try:
            return next((fleet for fleet in stream if holds(fleet)), None)
        finally:
            stream.close()

    def fleet(self) -> query_pb2.Fleet:
        """Return the fleet now."""
        fleet: query_pb2.Fleet = self._query.GetFleet(query_pb2.GetFleetRequest(), timeout=5.0)
        return fleet

    def job(self, name: str) -> query_pb2.JobDetail:
        """Return a job in detail."""
        request = query_pb2.GetJobRequest(job=name, steps=50)
        job: query_pb2.JobDetail = self._query.GetJob(request, timeout=5.0)
        return job

    def events(self, node: str) -> list[query_pb2.StoredEvent]:
        """Return the stored events of a node."""
        request = query_pb2.ListEventsRequest(node=node, limit=1000)
        stored: query_pb2.EventList = self._query.ListEvents(request, timeout=5.0)
        return list(stored.events)

    def close(self) -> None:
        """Let go of the connection."""
        self._channel.close()


def has_learned(fleet: query_pb2.Fleet, jobs: int) -> bool:
    """Tell whether so many jobs run at a step time that the collector has learned."""
    learned = [job for job in fleet.jobs if job.baseline_step_s > 0.0 and job.state == "running"]
    return len(learned) >= jobs
