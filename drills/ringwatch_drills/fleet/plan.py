"""What a simulated fleet consists of: nodes, GPUs, jobs and their parallel groups; nothing moves here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_proto.layout import Collective

Ranks = NDArray[np.int64]

_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One collective that every step repeats.

    ``groups`` is (groups, members) of ranks. ``work_share`` is the part of the rank's own work that
    lies before it. ``flush_s`` is (ranks,): how much later than its group a rank leaves, as stages of
    a pipeline do.
    """

    role: str
    kind: Collective
    slot: int
    bytes: int
    transfer_s: float
    work_share: float
    groups: Ranks
    first_index: int
    crosses_nodes: bool
    flush_s: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class JobPlan:
    """One training job: where it lies, its shape, and how long its parts take.

    Ranks are laid out as Megatron-LM does: tensor-parallel fastest, then data, then pipeline.
    """

    name: str
    user: str
    first_node: int
    nodes: int
    gpus_per_node: int
    data_parallel: int
    pipeline: int
    tensor_parallel: int
    stage_work_s: tuple[float, ...]
    transport: str
    tagged_pauses: bool
    first_index: int

    @property
    def world_size(self) -> int:
        """How many ranks there are."""
        return self.nodes * self.gpus_per_node

    @cached_property
    def grid(self) -> Ranks:
        """(pipeline, data, tensor) of ranks."""
        return np.arange(self.world_size).reshape(self.pipeline, self.data_parallel, self.tensor_parallel)

    @cached_property
    def stage_of(self) -> Ranks:
        """(ranks,) pipeline stage."""
        return np.repeat(np.arange(self.pipeline), self.data_parallel * self.tensor_parallel)

    @cached_property
    def groups(self) -> dict[str, Ranks]:
        """Parallel groups by role; a role whose groups have one member is left out."""
        grid = self.grid
        shapes = {
            "tp": grid.reshape(-1, self.tensor_parallel),
            "pp": grid.transpose(1, 2, 0).reshape(-1, self.pipeline),
            "dp": grid.transpose(0, 2, 1).reshape(-1, self.data_parallel),
            "mp": grid.transpose(1, 0, 2).reshape(-1, self.pipeline * self.tensor_parallel),
        }
        if self.pipeline == 1:
            shapes["mp"] = grid.reshape(1, -1)
        return {role: groups for role, groups in shapes.items() if groups.shape[1] > 1}

    @cached_property
    def index_of(self) -> dict[str, int]:
        """Communicator index of the first group of each role."""
        indexes: dict[str, int] = {}
        at = self.first_index
        for role, groups in self.groups.items():
            indexes[role] = at
            at += len(groups)
        return indexes

    def communicators(self) -> list[tuple[int, str, tuple[int, ...]]]:
        """Return (index, name, ranks) of every group."""
        return [
            (self.index_of[role] + at, f"{role}{at}", tuple(int(rank) for rank in group))
            for role, groups in self.groups.items()
            for at, group in enumerate(groups)
        ]

    def node_of(self, rank: int) -> int:
        """Return the fleet's node of a rank."""
        return self.first_node + rank // self.gpus_per_node

    def holds(self, node: int) -> bool:
        """Tell whether the job runs on a node."""
        return self.first_node <= node < self.first_node + self.nodes


# role, kind, MiB, transfer seconds, share of the rank's own work before it. One aggregate a phase
# stands for the many small tensor-parallel and pipeline messages of a real step.
_PROGRAM: Final = (
    ("tp", Collective.ALL_REDUCE, 64, 0.004, 0.32),
    ("tp", Collective.ALL_REDUCE, 64, 0.004, 0.60),
    ("pp", Collective.SEND, 32, 0.002, 0.0),
    ("dp", Collective.REDUCE_SCATTER, 512, 0.030, 0.0),
    ("mp", Collective.ALL_REDUCE, 0, 0.0008, 0.02),
    ("dp", Collective.ALL_GATHER, 256, 0.016, 0.06),
)


def operations_of(job: JobPlan) -> tuple[Operation, ...]:
    """Return the collectives of one step in order; a role that the job lacks gives its work to the next."""
    operations: list[Operation] = []
    used: dict[str, int] = {}
    carried = 0.0
    for role, kind, mib, transfer_s, share in _PROGRAM:
        carried += share
        groups = job.groups.get(role)
        if groups is None:
            continue
        slot = used.get(role, 0)
        used[role] = slot + 1
        # In 1F1B the last stage is done with its backward pass first, stage 0 last.
        flush_s = (job.pipeline - 1 - job.stage_of) * 0.006 * (role == "pp")
        operations.append(
            Operation(
                role=role,
                kind=kind,
                slot=slot,
                bytes=max(mib * _MIB, 4),
                transfer_s=transfer_s,
                work_share=carried,
                groups=groups,
                first_index=job.index_of[role],
                crosses_nodes=bool(np.ptp(groups // job.gpus_per_node, axis=1).any()),
                flush_s=flush_s.astype(np.float64),
            )
        )
        carried = 0.0
    operations[-1] = replace(operations[-1], work_share=operations[-1].work_share + carried)
    return tuple(operations)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """The whole fleet."""

    nodes: int
    gpus_per_node: int
    seed: int
    jobs: tuple[JobPlan, ...]

    def node_name(self, node: int) -> str:
        """Return the name of a node: n000, n001..."""
        return f"n{node:03d}"

    def gpu_id(self, node: int, gpu: int) -> str:
        """Return the id of a GPU, which says that it is simulated."""
        return f"SIM-{self.node_name(node)}-gpu{gpu}"

    def address(self, node: int) -> str:
        """Return the data address of a node."""
        return f"10.90.{node // 200}.{node % 200 + 10}"

    def job_of(self, node: int) -> JobPlan | None:
        """Return the job that runs on a node."""
        return next((job for job in self.jobs if job.holds(node)), None)


def plan_fleet(nodes: int = 64, gpus_per_node: int = 8, seed: int = 1) -> FleetPlan:
    """Plan two jobs on two halves of the fleet, one job when there is a single node.

    The first is a pipelined language model over RDMA, the second a plain data-parallel one over TCP.
    """
    first = max(1, nodes // 2)
    pipeline = next(stages for stages in (4, 2, 1) if first % stages == 0)
    language = JobPlan(
        name="llm-70b",
        user="mei",
        first_node=0,
        nodes=first,
        gpus_per_node=gpus_per_node,
        data_parallel=first // pipeline,
        pipeline=pipeline,
        tensor_parallel=gpus_per_node,
        # The last stage also holds the loss: structural lateness, and nobody's fault.
        stage_work_s=(0.40,) * (pipeline - 1) + (0.46,),
        transport="rdma",
        tagged_pauses=True,
        first_index=0,
    )
    jobs = [language]
    if nodes > first:
        tensor = max(1, gpus_per_node // 2)
        jobs.append(
            JobPlan(
                name="vision-22b",
                user="omar",
                first_node=first,
                nodes=nodes - first,
                gpus_per_node=gpus_per_node,
                data_parallel=(nodes - first) * gpus_per_node // tensor,
                pipeline=1,
                tensor_parallel=tensor,
                stage_work_s=(0.34,),
                transport="tcp",
                tagged_pauses=False,
                first_index=sum(len(groups) for groups in language.groups.values()),
            )
        )
    return FleetPlan(nodes=nodes, gpus_per_node=gpus_per_node, seed=seed, jobs=tuple(jobs))
