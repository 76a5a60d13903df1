"""Layouts of the packed records in a Batch: steps, collectives, rank states and flows.

Each record is little-endian without padding; a Batch carries any number of them back to back.
``*_FIELDS`` pairs are (name, numpy type string), so that the collector makes a numpy dtype of them
while the agent, which must not load numpy, packs them with ``struct``. One table, two readers.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

from ringwatch_proto.errors import LayoutError


class Collective(IntEnum):
    """Kinds of collective operation."""

    UNKNOWN = 0
    ALL_REDUCE = 1
    ALL_GATHER = 2
    REDUCE_SCATTER = 3
    BROADCAST = 4
    ALL_TO_ALL = 5
    BARRIER = 6
    REDUCE = 7
    GATHER = 8
    SCATTER = 9
    SEND = 10
    RECV = 11


class Phase(IntEnum):
    """What a rank was last seen to do."""

    STARTING = 0
    DATA = 1
    COMPUTE = 2
    COLLECTIVE = 3
    PAUSE = 4
    ENDED = 5


class StepFlag(IntEnum):
    """Bits of ``flags`` in a step record."""

    # The job itself said that this step holds a checkpoint, an evaluation or another pause.
    TAGGED_PAUSE = 1
    # The job told a loss that is no finite float32; ``loss`` is NaN then as it is when none was told.
    LOSS_NOT_FINITE = 2


Fields = tuple[tuple[str, str], ...]

# One finished training step of one rank. Times in seconds; NaN for absent.
STEP_FIELDS: Final[Fields] = (
    ("rank_row", "<u2"),
    ("flags", "<u2"),
    ("step", "<u8"),
    ("ended_wall_ns", "<i8"),
    ("step_s", "<f4"),  # begin of this step to begin of the next
    ("data_s", "<f4"),  # waiting for the data loader
    ("compute_s", "<f4"),  # own work before each collective: sum of gaps while none was in flight
    ("pause_s", "<f4"),  # after the last collective and before the next step, loader excluded
    ("loss", "<f4"),
    ("tokens", "<f4"),
    ("work", "<f4"),  # sum of squared sequence lengths, when the job tells
)

# One collective of one rank within one step.
COLLECTIVE_FIELDS: Final[Fields] = (
    ("rank_row", "<u2"),
    ("communicator", "<u2"),
    ("slot", "<u2"),  # how many-th collective of the communicator within the step
    ("kind", "<u1"),
    ("flags", "<u1"),
    ("step", "<u8"),
    ("bytes", "<u8"),
    ("start_s", "<f4"),  # offset from the begin of the step
    ("duration_s", "<f4"),
)

# One rank now, whether or not it finished a step.
RANK_STATE_FIELDS: Final[Fields] = (
    ("rank_row", "<u2"),
    ("phase", "<u1"),
    ("process_state", "<u1"),  # ASCII letter of /proc/PID/stat: R S D T t Z X, 0 for unknown
    ("alive", "<u1"),
    ("inflight_kind", "<u1"),
    ("inflight_communicator", "<u2"),
    ("inflight_slot", "<u2"),
    ("step", "<u8"),
    ("launched", "<u8"),  # collectives begun since the job began
    ("completed", "<u8"),  # collectives ended
    ("phase_age_s", "<f4"),  # how long in this phase
    ("beat_age_s", "<f4"),  # since the hook last wrote anything
    ("cpu_cores", "<f4"),  # CPU used over the interval, in cores
    ("throttled_share", "<f4"),  # share of the interval its cgroup was held back by a CPU quota
    ("stopped_share", "<f4"),  # share of samples of the interval in which it was stopped (T)
    ("runqueue_share", "<f4"),  # share of the interval it was runnable but waited for a CPU
    ("rss_mib", "<f4"),
    ("records_lost", "<u4"),  # hook records overwritten before the agent read them
)

# One peer address of the job's TCP sockets, summed over sockets, over the interval.
FLOW_FIELDS: Final[Fields] = (
    ("peer", "V16"),  # IPv6, or IPv4 mapped into it
    ("rank_row", "<u2"),
    ("sockets", "<u2"),
    ("interval_s", "<f4"),
    ("delivery_bits_per_s", "<f4"),  # lowest delivery rate of the peer's bulk sockets
    ("busy_s", "<f4"),  # time with unacknowledged data, largest of the sockets
    ("receive_window_limited_s", "<f4"),
    ("send_buffer_limited_s", "<f4"),
    ("unsent_bytes", "<f4"),
    ("rtt_s", "<f4"),
    ("min_rtt_s", "<f4"),
    ("retransmits_per_s", "<f4"),
    ("tx_bytes_per_s", "<f4"),
    ("rx_bytes_per_s", "<f4"),
)

_STRUCT_CODES: Final[dict[str, str]] = {
    "<u1": "B",
    "<u2": "H",
    "<u4": "I",
    "<u8": "Q",
    "<i8": "q",
    "<f4": "f",
    "V16": "16s",
}


def struct_of(fields: Fields) -> struct.Struct:
    """Return the ``struct.Struct`` that packs one record of ``fields``."""
    return struct.Struct("<" + "".join(_STRUCT_CODES[code] for _, code in fields))


STEP: Final = struct_of(STEP_FIELDS)
COLLECTIVE: Final = struct_of(COLLECTIVE_FIELDS)
RANK_STATE: Final = struct_of(RANK_STATE_FIELDS)
FLOW: Final = struct_of(FLOW_FIELDS)


def count_of(layout: struct.Struct, packed: bytes, what: str) -> int:
    """Return how many records ``packed`` holds; raise LayoutError when it is cut short."""
    count, rest = divmod(len(packed), layout.size)
    if rest:
        raise LayoutError(f"{what}: {len(packed)} bytes are not a multiple of {layout.size}")
    return count
