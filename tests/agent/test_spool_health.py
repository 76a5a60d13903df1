"""What is said of a spool that loses, or that is not on disk."""

from __future__ import annotations

from pathlib import Path

from ringwatch_agent.journal import Journal
from ringwatch_agent.persister import Persister
from ringwatch_agent.spool import Spool
from ringwatch_agent.spool_health import SpoolHealth
from ringwatch_proto.v1 import telemetry_pb2 as pb


def _fill(spool: Spool, count: int) -> None:
    for _ in range(count):
        batch = pb.Batch(schema_id=1)
        batch.blocks.add(values=b"v" * 1000)
        spool.append(None, batch)


def test_a_full_spool_says_so_while_it_loses_and_no_longer(tmp_path: Path) -> None:
    """Loud as long as samples go, quiet ten seconds after the last one went."""
    spool = Spool(limit_bytes=5000)
    health = SpoolHealth(spool, Persister(spool, Journal(tmp_path, limit_bytes=1 << 20)))
    _fill(spool, 3)
    assert health.trouble(1.0) == ""
    _fill(spool, 10)
    assert "oldest samples" in health.trouble(2.0)
    assert "oldest samples" in health.trouble(11.0)
    assert health.trouble(13.0) == ""


def test_both_troubles_are_told(tmp_path: Path) -> None:
    """A full disk hides no loss."""
    spool = Spool(limit_bytes=5000)
    persister = Persister(spool, Journal(tmp_path, limit_bytes=1 << 20))
    health = SpoolHealth(spool, persister)
    persister.trouble = "the spool is in memory only: No space left on device"
    _fill(spool, 10)
    assert "No space left" in health.trouble(1.0)
    assert "oldest samples" in health.trouble(1.0)


def test_losses_of_an_earlier_life_are_no_trouble_of_this_one(tmp_path: Path) -> None:
    """They are in the counts."""
    spool = Spool()
    spool.count({"spool.torn": 1})
    assert SpoolHealth(spool, Persister(spool, Journal(tmp_path, limit_bytes=1))).trouble(1.0) == ""
