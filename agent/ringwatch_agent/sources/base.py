"""The source seam: a thing that is read once a second and says what it saw.

A source reads and never judges. It runs on a thread of its own, so that one which blocks takes down
its own readings and nothing else; the sampler owns deadlines, the age of what was read, and what is
said when a read does not come back.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Protocol

from ringwatch_proto.signals import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One row of a table. ``id`` is stable (GPU UUID, port name or GUID), ``name`` is for people."""

    id: str
    name: str
    pci_address: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableReading:
    """One table now: float32 values, row-major over devices x signals, NaN for absent."""

    table: Table
    devices: tuple[Device, ...]
    signals: tuple[int, ...]
    values: array[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """Something that happened once; ``kind`` is one of ``ringwatch_proto.events``."""

    wall_ns: int
    kind: str
    severity: int
    source: str
    text: str
    device: str = ""
    code: int = 0
    fields: dict[str, str] = field(default_factory=dict)
    backfill: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RankRecord:
    """A training process on this node; ``row`` is what the packed records refer to."""

    row: int
    job: str
    rank: int
    world_size: int
    local_rank: int
    pid: int
    gpu: str = ""
    user: str = ""
    backend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommunicatorRecord:
    """A group of ranks that runs collectives together; ``index`` is unique on this node."""

    index: int
    job: str
    name: str
    ranks: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuOwner:
    """A process, or a pod, that a GPU of this node is given to; ``how`` says by what that is known."""

    gpu: str
    pid: int = 0
    job: str = ""
    user: str = ""
    rank: int = -1
    world_size: int = 0
    program: str = ""
    pod: str = ""
    container: str = ""
    how: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outsiders:
    """Ranks and groups that are known without a hook: the complete lists, newer ones with a higher serial.

    Their rows and indexes lie above those that the hook's source gives out. A rank that the hook names as
    well is the hook's.
    """

    serial: int
    ranks: tuple[RankRecord, ...]
    communicators: tuple[CommunicatorRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one read of one source gave. Everything is optional.

    ``ranks`` and ``communicators`` are None when the source knows nothing of jobs, else the complete
    current list. The byte strings are packed records of ``ringwatch_proto.layout``. ``addresses`` are
    those of the node's ports, ``owners`` those who use its GPUs. ``dropped`` counts what was lost, by kind.
    """

    tables: tuple[TableReading, ...] = ()
    events: tuple[EventRecord, ...] = ()
    ranks: tuple[RankRecord, ...] | None = None
    communicators: tuple[CommunicatorRecord, ...] | None = None
    steps: bytes = b""
    collectives: bytes = b""
    rank_states: bytes = b""
    flows: bytes = b""
    addresses: tuple[str, ...] | None = None
    owners: tuple[GpuOwner, ...] | None = None
    outsiders: Outsiders | None = None
    dropped: dict[str, int] = field(default_factory=dict)


class Source(Protocol):
    """One thing the agent reads."""

    @property
    def name(self) -> str:
        """Short stable name: ``nvml``, ``host``, ``ports``, ``kmsg``, ``steps``, ``flows``."""
        ...

    def open(self) -> None:
        """Get ready; raise SourceUnsupported with the reason when this machine has no such thing.

        Called on the source's own thread, again after a failure that closed it.
        """
        ...

    def read(self) -> Reading:
        """Return what is seen now. May block; raise SourceError when it cannot be read this time."""
        ...

    def close(self) -> None:
        """Let go of everything. Safe to call twice, and before ``open``."""
        ...
