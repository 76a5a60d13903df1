"""Whether the collector can see: whether anything reports, anything looks, and anything is kept. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Eyes:
    """What sight depends on, at one moment."""

    store_trouble: str
    # Seconds since the detectors looked last, and how often they should.
    looked_age_s: float
    tick_s: float
    rules_active: int
    nodes_known: int
    # Seconds since any node was heard.
    heard_age_s: float
    blind_after_s: float


def blindness(eyes: Eyes) -> str:
    """Return why the collector cannot see, empty when it can."""
    if eyes.store_trouble:
        return eyes.store_trouble
    if eyes.looked_age_s > max(5.0, 10 * eyes.tick_s):
        return "the detectors do not look"
    if not eyes.rules_active:
        return "no rule does its work"
    if not eyes.nodes_known:
        return "no node has reported yet"
    if eyes.heard_age_s > eyes.blind_after_s:
        return f"no node was heard for {eyes.heard_age_s:.0f} s"
    return ""
