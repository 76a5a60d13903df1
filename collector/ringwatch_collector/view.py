"""What detectors look at: read-only numpy views of the fleet at one instant.

The arrays belong to the fleet state and change after the look; a detector reads them within its
call and keeps none. Absent is NaN in float arrays. Times are Unix seconds of the collector's clock:
the fleet state has taken each node's clock offset out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, overload

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Seconds = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenEvent:
    """One event as received: node, kind of ``ringwatch_proto.events``, and what it carried."""

    node: str
    at_s: float
    received_s: float
    kind: str
    severity: int
    source: str
    device: str
    code: int
    text: str
    fields: dict[str, str]
    backfill: bool


class EventsView(Sequence[SeenEvent]):
    """Events, oldest first, which can be had by kind without a look at all of them."""

    def __init__(self, events: Sequence[SeenEvent]) -> None:
        self._events = events
        self._by_kind: dict[str, list[SeenEvent]] | None = None

    def __len__(self) -> int:
        return len(self._events)

    @overload
    def __getitem__(self, at: int) -> SeenEvent: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[SeenEvent]: ...
    def __getitem__(self, at: int | slice) -> SeenEvent | Sequence[SeenEvent]:
        return self._events[at]

    def __iter__(self) -> Iterator[SeenEvent]:
        return iter(self._events)

    def of(self, kinds: Collection[str]) -> Sequence[SeenEvent]:
        """Return the events of these kinds, oldest first."""
        if self._by_kind is None:
            self._by_kind = {}
            for event in self._events:
                self._by_kind.setdefault(event.kind, []).append(event)
        found = [self._by_kind[kind] for kind in kinds if kind in self._by_kind]
        if len(found) == 1:
            return found[0]
        return sorted((event for events in found for event in events), key=lambda event: event.at_s)


class TableView(Protocol):
    """One device table of the whole fleet: a ring over time of rows x signals."""

    @property
    def node_of(self) -> Ints:
        """(rows,) index into ``FleetView.nodes``."""
        ...

    @property
    def devices(self) -> Sequence[str]:
        """Device ids, one a row."""
        ...

    def latest(self, signal: int) -> Floats:
        """(rows,) newest values of a signal id; NaN where absent or never sent."""
        ...

    def age_s(self, now_s: float) -> Seconds:
        """(rows,) seconds since the newest batch that held the row; inf where none came."""
        ...

    def window(self, signal: int, seconds: float) -> tuple[Seconds, Floats]:
        """(T,) times oldest first and (T, rows) values of the last ``seconds``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RankStates:
    """Newest state of each rank of one job; every array is (R,). See layout.RANK_STATE_FIELDS."""

    received_s: Seconds  # when the newest state came; -inf when none did
    phase: Ints
    process_state: Ints
    alive: Flags
    step: Ints
    launched: Ints
    completed: Ints
    inflight_kind: Ints
    inflight_communicator: Ints
    inflight_slot: Ints
    phase_age_s: Floats  # as of received_s
    beat_age_s: Floats
    cpu_cores: Floats
    throttled_share: Floats
    stopped_share: Floats
    runqueue_share: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectiveSlot:
    """A collective that every step repeats: (communicator, position within the step)."""

    communicator: str
    slot: int
    kind: int
    bytes: int
    members: Flags  # (R,) which of the job's ranks take part


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """One training job. R ranks in rank order, S newest steps oldest first, K collective slots.

    ``steps`` holds the step numbers of the S rows; a row may still lack ranks (NaN). ``*_all``
    medians over the job's healthy history are the frozen reference: NaN until ``reference_steps``
    healthy steps were seen.
    """

    job: str
    ranks: Ints
    node_of: Ints
    gpu_of: Sequence[str]
    pid: Ints
    started_s: float
    steps: Ints
    ended_s: Seconds  # (S, R)
    step_s: Floats  # (S, R)
    data_s: Floats  # (S, R)
    compute_s: Floats  # (S, R)
    pause_s: Floats  # (S, R)
    flags: Ints  # (S, R) layout.StepFlag bits
    slots: Sequence[CollectiveSlot]
    collective_start_s: Floats  # (S, K, R) offset from the begin of the rank's step
    collective_s: Floats  # (S, K, R) duration
    states: RankStates
    reference_steps: int
    reference_step_s: float
    reference_compute_s: Floats  # (R,)
    reference_data_s: Floats  # (R,)
    reference_transfer_s: Floats  # (K,) least duration of the group, median over steps
    reference_wait_s: Floats  # (K, R) median wait, which is the structural lateness
    # (S, R) what the job said of its input, when it does: tokens, or the sum of squared sequence lengths.
    tokens: Floats | None = None
    work: Floats | None = None
    loss: Floats | None = None  # (S, R); NaN where none was told, or none that is a number: see the flags
    # What detectors derive from the steps and share: by key, gone once a step, a rank or the reference
    # changes. What depends on the time has to be kept with it.
    memo: dict[object, object] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowView:
    """TCP flows between nodes, newest reading of each (node, peer); every array is (F,)."""

    node_of: Ints
    peer_of: Ints  # index into nodes, -1 for an address that no node has
    job: Sequence[str]
    received_s: Seconds
    delivery_bits_per_s: Floats  # smallest over the last 5 s of readings with traffic
    busy_share: Floats  # mean over the last 5 s
    unsent_bytes: Floats  # mean over the last 5 s
    rtt_s: Floats
    retransmits_per_s: Floats
    tx_bytes_per_s: Floats
    reference_delivery_bits_per_s: Floats  # learned over healthy time; NaN until learned


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesView:
    """The nodes; every array is (N,)."""

    names: Sequence[str]
    connected: Flags
    last_batch_s: Seconds  # when the newest batch came, -inf when none did
    first_seen_s: Seconds
    clock_offset_s: Seconds
    simulated: Flags
    drained: Flags
    racks: Sequence[str] = ()  # (N,) as the agents' label ``rack`` tells it, empty where it does not


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuUser:
    """A process or pod that a GPU is given to, as its node's agent sees it with no hook in the job.

    ``job`` is empty and ``rank`` -1 when it has none; ``how`` says by what it is known which GPU it uses.
    """

    job: str
    user: str
    rank: int
    pid: int
    program: str
    pod: str
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetView:
    """The fleet at one instant."""

    now_s: float
    # When this collector began to take batches: before that, silence means nothing.
    started_s: float
    nodes: NodesView
    gpu: TableView
    port: TableView
    host: TableView
    source: TableView
    jobs: Sequence[JobView]
    flows: FlowView
    events: Sequence[SeenEvent]  # of the last hour, oldest first
    # (node name, GPU id) -> who uses it.
    owners: Mapping[tuple[str, str], Sequence[GpuUser]] = field(default_factory=dict)
