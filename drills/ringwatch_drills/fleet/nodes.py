"""What one simulated node reports: its part of a moment, as the readings that a real agent would make."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_agent.sources.base import (
    CommunicatorRecord,
    Device,
    EventRecord,
    RankRecord,
    Reading,
    TableReading,
)
from ringwatch_drills.fleet import gpus, network
from ringwatch_drills.fleet.faults import pci_address
from ringwatch_drills.fleet.plan import FleetPlan, JobPlan
from ringwatch_drills.fleet.world import Moment, World
from ringwatch_proto.signals import BY_NAME, Table

_SOURCES: Final = ("nvml", "ports", "host", "kmsg", "steps", "flows")
_SOURCE_SIGNALS: Final = tuple(
    BY_NAME["source." + name].id for name in ("up", "age_s", "duration_ms", "failures")
)
_SOURCE_ROW: Final = (1.0, 0.0, 1.5, 0.0)


class SimulatedNode:
    """One node of a world. Says who its ranks are when that changes, and its readings at each tick."""

    def __init__(self, world: World, node: int) -> None:
        self.node = node
        self._world = world
        plan = world.plan
        self._gpu_devices = gpu_devices(plan, node)
        self._port_devices = port_devices(plan, node)
        self._host_devices = (Device(id=plan.node_name(node), name=plan.node_name(node)),)
        self._source_devices = tuple(Device(id=name, name=name) for name in _SOURCES)
        self._sources = array("f", _SOURCE_ROW * len(_SOURCES))
        self._said: tuple[int, bool] | None = None

    def reading(self, moment: Moment, events: Sequence[EventRecord]) -> Reading:
        """Return the node's part of a moment."""
        at = self.node
        plan = self._world.plan
        job = plan.job_of(at)
        return Reading(
            tables=(
                self._table(Table.GPU, self._gpu_devices, gpus.SIGNALS, moment.gpus[at]),
                self._table(Table.PORT, self._port_devices, network.PORT_SIGNALS, moment.ports[at]),
                self._table(Table.HOST, self._host_devices, network.HOST_SIGNALS, moment.hosts[at]),
                TableReading(
                    table=Table.SOURCE,
                    devices=self._source_devices,
                    signals=_SOURCE_SIGNALS,
                    values=self._sources,
                ),
            ),
            events=tuple(events),
            addresses=(plan.address(at),),
            **(self._of_job(job, moment) if job else {}),
        )

    def _of_job(self, job: JobPlan, moment: Moment) -> dict[str, Any]:
        begin = (self.node - job.first_node) * job.gpus_per_node
        ranks = slice(begin, begin + job.gpus_per_node)
        flows = moment.flows.get(job.name)
        return {
            "steps": moment.steps[job.name][:, ranks].tobytes(),
            "collectives": moment.collectives[job.name][:, ranks].tobytes(),
            "rank_states": moment.states[job.name][ranks].tobytes(),
            "flows": b"" if flows is None else flows[self.node - job.first_node].tobytes(),
            **self._who(job, ranks),
        }

    def _who(self, job: JobPlan, ranks: slice) -> dict[str, Any]:
        ended = next(running.ended for running in self._world.jobs if running.plan is job)
        now = (self._world.lives[job.name], ended)
        if now == self._said:
            return {}
        self._said = now
        if ended:
            return {"ranks": (), "communicators": ()}
        here = range(ranks.start, ranks.stop)
        return {
            "ranks": tuple(self._rank(job, rank) for rank in here),
            "communicators": tuple(
                CommunicatorRecord(index=index, job=job.name, name=name, ranks=members)
                for index, name, members in job.communicators()
                if not set(members).isdisjoint(here)
            ),
        }

    def _rank(self, job: JobPlan, rank: int) -> RankRecord:
        local = rank % job.gpus_per_node
        return RankRecord(
            row=local,
            job=job.name,
            rank=rank,
            world_size=job.world_size,
            local_rank=local,
            pid=self._world.pid_of(job, rank),
            gpu=self._world.plan.gpu_id(self.node, local),
            user=job.user,
            backend="nccl",
        )

    def _table(
        self, table: Table, devices: tuple[Device, ...], signals: tuple[int, ...], values: NDArray[np.float32]
    ) -> TableReading:
        cells = array("f")
        cells.frombytes(values.tobytes())
        return TableReading(table=table, devices=devices, signals=signals, values=cells)


def gpu_devices(plan: FleetPlan, node: int) -> tuple[Device, ...]:
    """Return the GPUs of a node."""
    return tuple(
        Device(id=plan.gpu_id(node, gpu), name=f"gpu{gpu}", pci_address=pci_address(gpu), model=gpus.MODEL)
        for gpu in range(plan.gpus_per_node)
    )


def port_devices(plan: FleetPlan, node: int) -> tuple[Device, ...]:
    """Return the ports of a node: a rail a GPU, and one Ethernet port."""
    name = plan.node_name(node)
    rails = tuple(
        Device(id=f"SIM-{name}-mlx5_{rail}", name=f"mlx5_{rail}/1") for rail in range(plan.gpus_per_node)
    )
    return (*rails, Device(id=f"SIM-{name}-eth0", name="eth0"))
