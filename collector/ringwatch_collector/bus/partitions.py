"""Which partition a node belongs to: that of its job, so that one detector sees all of a job."""

from __future__ import annotations

import hashlib

from ringwatch_proto.v1 import telemetry_pb2 as wire


def partition_of(hello: wire.Hello, partitions: int, before: int | None = None) -> int:
    """Return the partition of a node: of its job, of the first by name where it runs several.

    A node that runs nothing stays where it was: its history is there.
    """
    jobs = {info.job for info in hello.ranks}
    if not jobs and before is not None:
        return before
    return number_of(f"job {min(jobs)}" if jobs else f"node {hello.node}", partitions)


def number_of(key: str, partitions: int) -> int:
    """Return the partition of a key, the same in every process and for ever."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") % partitions


def incident_prefix(partition: int) -> str:
    """Return what the ids of a partition's incidents begin with, so that no two detectors make the same."""
    return f"I-{partition}-"


def partition_of_incident(incident_id: str) -> int | None:
    """Return the partition that an incident is of, None for one from before the bus."""
    parts = incident_id.split("-")
    return int(parts[1]) if len(parts) == 3 and parts[1].isdecimal() else None
