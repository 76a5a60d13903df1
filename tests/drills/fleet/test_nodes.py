"""What simulated nodes put on the wire."""

import numpy as np

from ringwatch_agent.encode import Encoded, Encoder, NodeIdentity
from ringwatch_drills.fleet.job import COLLECTIVE_TYPE, RANK_STATE_TYPE, STEP_TYPE
from ringwatch_drills.fleet.nodes import SimulatedNode
from ringwatch_drills.fleet.plan import plan_fleet
from ringwatch_drills.fleet.world import World
from ringwatch_proto.signals import Table


def report(world: World, node: SimulatedNode, encoder: Encoder) -> Encoded:
    moment = world.advance(world.now_s + 1.0)
    return encoder.encode((node.reading(moment, ()),), wall_ns=1, monotonic_ns=1)


def make(number: int) -> tuple[World, SimulatedNode, Encoder]:
    world = World(plan_fleet(8), 0.0)
    identity = NodeIdentity(node="n", boot_id="b", agent_version="1", simulated=True)
    return world, SimulatedNode(world, number), Encoder(identity)


def test_blocks_fit_the_columns_that_hello_names() -> None:
    """One row a device, one column a signal, for each table."""
    encoded = report(*make(5))
    assert encoded.hello is not None
    assert encoded.hello.simulated

    schemas = {schema.table: schema for schema in encoded.hello.tables}
    for block in encoded.batch.blocks:
        schema = schemas[block.table]
        assert (block.rows, block.columns) == (len(schema.devices), len(schema.signals))
        assert len(block.values) == 4 * block.rows * block.columns
    assert set(schemas) == {int(table) for table in Table}


def test_packed_records_are_those_of_the_nodes_own_ranks() -> None:
    """Rows refer to the ranks of the same Hello."""
    encoded = report(*make(5))
    assert encoded.hello is not None

    rows = {rank.row for rank in encoded.hello.ranks}
    steps = np.frombuffer(encoded.batch.steps, STEP_TYPE)
    collectives = np.frombuffer(encoded.batch.collectives, COLLECTIVE_TYPE)
    states = np.frombuffer(encoded.batch.rank_states, RANK_STATE_TYPE)

    assert {rank.rank for rank in encoded.hello.ranks} == set(range(8, 16))
    assert set(steps["rank_row"].tolist()) == set(states["rank_row"].tolist()) == rows
    named = {communicator.index for communicator in encoded.hello.communicators}
    assert set(collectives["communicator"].tolist()) == named


def test_hello_is_said_again_only_when_the_job_has_a_new_life() -> None:
    """A Hello each second would be most of the traffic."""
    world, node, encoder = make(1)
    assert report(world, node, encoder).hello is not None
    assert report(world, node, encoder).hello is None

    world.restart_job(world.jobs[0])

    assert report(world, node, encoder).hello is not None
