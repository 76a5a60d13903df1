"""How far "no incident" can be trusted: how many rules ran on how complete an input."""

from __future__ import annotations

import numpy as np

from ringwatch_collector.view import FleetView
from ringwatch_proto.signals import BY_NAME

_READING_AGES = {
    "gpu": BY_NAME["gpu.reading_age_s"].id,
    "port": BY_NAME["port.reading_age_s"].id,
    "host": BY_NAME["host.reading_age_s"].id,
}
_STALE_READING_S = 5.0


def completeness(view: FleetView, silent_s: float) -> float:
    """Return the share of expected rows that are present and fresh, 0 to 1; 0 when none is expected.

    A row is expected when its device was named; a known node that named none yet counts as one row.
    Drained nodes are not expected.
    """
    expected = fresh = 0
    told = np.zeros(len(view.nodes.names), np.bool_)
    for table, signal in ((getattr(view, name), signal) for name, signal in _READING_AGES.items()):
        in_service = ~view.nodes.drained[table.node_of]
        told[table.node_of] = True
        reading_age_s = np.nan_to_num(table.latest(signal))
        good = (table.age_s(view.now_s) <= silent_s) & (reading_age_s <= _STALE_READING_S)
        expected += int(np.count_nonzero(in_service))
        fresh += int(np.count_nonzero(good & in_service))
    expected += int(np.count_nonzero(~told & ~view.nodes.drained))
    return fresh / expected if expected else 0.0


def nodes_reporting(view: FleetView, silent_s: float) -> int:
    """Return how many nodes were heard lately, by this collector."""
    heard_s = view.nodes.last_batch_s
    return int(np.count_nonzero((view.now_s - heard_s <= silent_s) & (heard_s >= view.started_s)))
