"""Which partition a node belongs to, and what the ids of incidents say of it."""

from __future__ import annotations

from tests.collector.rig import hello

from ringwatch_collector.bus.partitions import (
    incident_prefix,
    number_of,
    partition_of,
    partition_of_incident,
)


def test_all_nodes_of_a_job_are_of_one_partition() -> None:
    """Whatever they are called, and whichever ranks they have."""
    found = {
        partition_of(hello(f"n{number}", ranks=8, first_rank=8 * number, world_size=512, job="llm"), 64)
        for number in range(64)
    }
    assert len(found) == 1


def test_jobs_and_idle_nodes_spread() -> None:
    """No partition has more than three times its share of a thousand."""
    for key in ("job", "node"):
        numbers = [number_of(f"{key} {number}", 16) for number in range(1000)]
        assert set(numbers) == set(range(16))
        assert max(numbers.count(number) for number in range(16)) < 3 * 1000 / 16


def test_a_partition_is_the_same_in_every_process_and_release() -> None:
    """Written down: a change would make every incident's id and every place on the bus wrong."""
    assert [number_of(f"job {name}", 16) for name in ("llm", "vision", "")] == [12, 3, 7]


def test_a_node_that_runs_nothing_stays_where_it_was() -> None:
    """Its history is there."""
    idle = hello("n1")
    assert partition_of(idle, 16, before=5) == 5
    busy = hello("n1", ranks=1, job="llm")
    assert partition_of(busy, 16, before=5) == number_of("job llm", 16)


def test_an_incident_says_which_partition_has_it() -> None:
    """Those from before the bus are of none."""
    assert partition_of_incident(f"{incident_prefix(12)}7") == 12
    assert partition_of_incident("I-7") is None
    assert partition_of_incident("I-x-7") is None
