"""Counts by reason of what the collector took, refused and dropped. It counts and does nothing else."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Counters:
    """All counts of one collector since it started."""

    batches_taken: int = 0
    batches_duplicate: int = 0
    bytes_taken: int = 0
    events_taken: int = 0
    streams_opened: int = 0
    streams_replaced: int = 0
    # Reads that were held back because a stream sent faster than its limit.
    throttled: int = 0
    # Messages that meant nothing, by reason; the stream ended or the part was left out.
    refused: Counter[str] = field(default_factory=Counter)
    # Valid input that found no place, by reason: slots beyond the cap, steps too old for the window.
    dropped: Counter[str] = field(default_factory=Counter)
    # What agents say that they had to drop, by kind.
    dropped_by_agents: Counter[str] = field(default_factory=Counter)
    # Detectors that raised, by name.
    detector_failures: Counter[str] = field(default_factory=Counter)
    # CPU time of each detector, seconds.
    detector_cpu_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    store_failures: int = 0
    # Alerts by (result, channel): sent, failed (and tried again), given_up.
    alerts: Counter[tuple[str, str]] = field(default_factory=Counter)
    # Heartbeats by result: sent, failed, withheld.
    heartbeats: Counter[str] = field(default_factory=Counter)
    # Remote write by result: samples_sent, samples_dropped, failures, snapshot_overtaken.
    history: Counter[str] = field(default_factory=Counter)
    ticks: int = 0
