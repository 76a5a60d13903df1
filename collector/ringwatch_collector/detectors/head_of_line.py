"""Which ranks a stalled job waits for: the head-of-line rule over rank states. Decides no hang.

A rank that has nothing in flight while others wait in a collective never came: its host is stuck. If
all are in a collective, one that launched fewer than its peers of the same group sits in a collective
that they have left: it is stuck on the device or the network. If all sit in the same one, the states
do not tell. (Rule checked against the labelled flight-recorder cases of NVIDIA/nvidia-resiliency-ext.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ringwatch_collector.detectors.window import Index, peer_groups
from ringwatch_collector.view import Flags, JobView
from ringwatch_proto.layout import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """Columns of ranks in a collective, of those that never came, and of those left behind in one."""

    waiting: Index
    missing: Index
    behind: Index


def heads_of(job: JobView, counted: Flags) -> Heads:
    """Return who waits and who is waited for, among the ``counted`` ranks."""
    states = job.states
    in_flight = counted & (states.launched > states.completed)
    missing = counted & ~in_flight & (states.phase != Phase.ENDED)
    behind = np.zeros(job.ranks.size, np.bool_)
    if in_flight.any() and not missing.any():
        for group in peer_groups(job, np.flatnonzero(in_flight)):
            behind[_left_behind(job, np.flatnonzero(in_flight)[group])] = True
    return Heads(
        waiting=np.flatnonzero(in_flight),
        missing=np.flatnonzero(missing),
        behind=np.flatnonzero(behind),
    )


def _left_behind(job: JobView, columns: Index) -> Index:
    """Return those of a peer group that launched fewer collectives than most of it."""
    launched = job.states.launched[columns]
    usual = int(np.sort(launched)[launched.size // 2])
    return columns[launched < usual]
