"""How a node gets its certificate and keeps it, against a real collector with a real CA."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from tests.agent.test_uplink import QUICK
from tests.collector.access.rig import Fort, fort
from tests.collector.rig import eventually, hello

from ringwatch_agent.channel import Tls
from ringwatch_agent.config import AgentConfig, load
from ringwatch_agent.enrollment import Enrollment, Joining, Validity
from ringwatch_agent.spool import Spool
from ringwatch_agent.uplink import Uplink
from ringwatch_proto.errors import ConfigError
from ringwatch_proto.v1 import telemetry_pb2 as pb


def _joining(running: Fort, folder: Path, node: str = "n1") -> Joining:
    own = folder / "node" / "node.pem"
    token = folder / "join"
    token.write_text(running.secrets["join"].secret + "\n")
    return Joining(
        node=node,
        collector=f"localhost:{running.port}",
        join=f"localhost:{running.collector.access.second_port}",
        token_file=token,
        tls=Tls(ca=running.files.authority, certificate=own, key=own, joins=True),
    )


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Fort]:
    """Run a collector whose certificates last four seconds."""
    async with fort(tmp_path / "collector", access={"node_certificate_hours": 4 / 3600}) as made:
        yield made


async def _no_verb(request: pb.VerbRequest) -> pb.VerbResult:
    return pb.VerbResult(status=pb.VERB_STATUS_DONE, text=request.verb)


async def test_a_node_joins_renews_and_reports_over_one_stream_and_redials_with_its_newest_certificate(
    running: Fort, tmp_path: Path
) -> None:
    """The stream outlives the certificate that it began with; the next dial shows the one that is there."""
    joining = _joining(running, tmp_path)
    enrollment = Enrollment(joining)
    await enrollment.join()
    assert joining.tls.key.stat().st_mode & 0o777 == 0o600
    first = x509.load_pem_x509_certificate(joining.tls.certificate.read_bytes())
    spool = Spool()
    uplink = Uplink(joining.collector, spool, _no_verb, tls=joining.tls, backoff=QUICK)
    tasks = [asyncio.create_task(enrollment.run()), asyncio.create_task(uplink.run())]
    try:
        while time.time() < first.not_valid_after_utc.timestamp() + 1.0:
            spool.append(hello("n1", gpus=0), pb.Batch(schema_id=1, wall_ns=time.time_ns(), monotonic_ns=1))
            await asyncio.sleep(0.1)
        await eventually(lambda: not len(spool))
        assert running.collector.counters.streams_opened == 1
        running.collector.sessions.refuse_all("again", 0.0)
        spool.append(None, pb.Batch(schema_id=1, wall_ns=time.time_ns(), monotonic_ns=1))
        await eventually(lambda: running.collector.counters.streams_opened == 2)
        await eventually(lambda: uplink.state.connected)
    finally:
        await uplink.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_node_that_may_not_join_says_why_and_tries_again(running: Fort, tmp_path: Path) -> None:
    """A token that was put right counts at the next try; the secret is in no reason."""
    joining = _joining(running, tmp_path)
    right = joining.token_file.read_text()
    joining.token_file.write_text("rw-join-wrong")
    enrollment = Enrollment(joining, dice=_Quick())
    joined = asyncio.create_task(enrollment.join())
    await eventually(lambda: enrollment.reason)
    assert "the join token is unknown" in enrollment.reason
    joining.token_file.write_text(right)
    await joined
    assert not enrollment.reason
    assert enrollment.validity() is not None


class _Quick(random.Random):
    """Waits for nothing."""

    def uniform(self, a: float, b: float) -> float:
        return min(b, a + 0.05)


async def test_a_certificate_of_another_node_does_not_count(running: Fort, tmp_path: Path) -> None:
    """A node that was renamed, or a disk that was cloned, joins under its own name."""
    await Enrollment(_joining(running, tmp_path, "n1")).join()
    assert Enrollment(_joining(running, tmp_path, "n2")).validity() is None


def test_renewal_is_asked_for_around_the_half_and_sooner_when_it_failed() -> None:
    """A week: after two to four days; with a day left: within hours; an ended one: at once."""
    day = 86400.0
    week = Validity(begins_s=0.0, ends_s=7 * day)
    dice = random.Random(7)
    waits = [week.wait_s(0.0, dice) for _ in range(100)]
    assert set(waits) == {3600.0}
    assert not week.is_due(2 * day)
    assert week.is_due(4.5 * day)
    assert week.wait_s(7 * day - 600, dice) == pytest.approx(150)
    assert week.wait_s(8 * day, dice) == 0.0


@pytest.mark.parametrize(
    "flags",
    [
        {"join": "collector:7702"},
        {"join": "collector:7702", "tls_ca": "ca.pem"},
        {"join": "collector", "tls_ca": "ca.pem", "join_token_file": "token"},
        {
            "join": "collector:7702",
            "tls_ca": "ca.pem",
            "join_token_file": "t",
            "tls_certificate": "c",
            "tls_key": "k",
        },
    ],
)
def test_settings_that_cannot_work_together_are_a_sentence(flags: dict[str, str]) -> None:
    """Found out at the start."""
    with pytest.raises(ConfigError):
        load(flags, {}, None)


def test_a_node_that_joins_needs_no_certificate_in_its_settings() -> None:
    """It keeps its own in its state folder."""
    config = load({"join": "c:1", "tls_ca": "ca.pem", "join_token_file": "t"}, {}, None)
    assert isinstance(config, AgentConfig)
    assert config.tls_certificate is None
