"""Nodes join with a token, renew with their certificate, and are who their certificate says."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import grpc
from cryptography import x509
from tests.collector.access.rig import Fort, Pair, fort, refused, request_for
from tests.collector.rig import batch, hello

from ringwatch_proto.codec import to_ns
from ringwatch_proto.v1 import enroll_pb2


async def _token(running: Fort, **about: object) -> str:
    """Make a join token beside the running collector and wait until it knows."""
    token, secret = running.book.add_token(
        role="join",
        name="rack",
        now_ns=to_ns(time.time()),
        **{"nodes": "*", **about},  # type: ignore[arg-type]
    )
    while running.collector.access.registry.join_token(secret) is None:
        await asyncio.sleep(0.02)
    assert token.digest not in secret
    return secret


async def test_a_node_joins_and_reports_under_its_own_name(tmp_path: Path) -> None:
    """The first certificate is signed for the node's own key, names the node, and opens the stream."""
    async with fort(tmp_path) as running:
        pair = await running.enrolled("n1")
        certificate = x509.load_pem_x509_certificate(pair.certificate)
        assert certificate.subject.rfc4514_string() == "CN=n1"
        client = running.agent(pair)
        assert (await client.greet(hello("n1"))).collector == "test"
        await client.send(batch(1))
        await client.until_acknowledged(1)
        trail = await asyncio.to_thread(running.collector.audit.records, 10)
        assert [(each.action, each.target) for each in trail.records] == [("access.enroll", "n1")]


async def test_a_join_token_is_bound_to_names_uses_and_time(tmp_path: Path) -> None:
    """Each bound holds by itself, and the answer says which one it was."""
    async with fort(tmp_path) as running:
        rack = await _token(running, nodes="rack7-*", uses=1)
        wrong = await refused(running.enrolled("rack8-n1", rack))
        assert wrong.code() is grpc.StatusCode.PERMISSION_DENIED
        assert "rack7-*" in (wrong.details() or "")
        await running.enrolled("rack7-n1", rack)
        spent = await refused(running.enrolled("rack7-n2", rack))
        assert spent.code() is grpc.StatusCode.UNAUTHENTICATED
        brief = await _token(running, expires_ns=to_ns(time.time() + 0.3))
        await asyncio.sleep(0.35)
        assert (await refused(running.enrolled("n9", brief))).code() is grpc.StatusCode.UNAUTHENTICATED


async def test_two_nodes_at_once_do_not_share_the_last_use_of_a_token(tmp_path: Path) -> None:
    """The database counts, not the copy that a collector keeps."""
    async with fort(tmp_path) as running:
        once = await _token(running, uses=1)
        found = await asyncio.gather(
            *(running.enrolled(f"n{number}", once) for number in range(4)), return_exceptions=True
        )
        assert sum(isinstance(each, Pair) for each in found) == 1


async def test_a_certificate_is_renewed_while_its_stream_stays_up(tmp_path: Path) -> None:
    """The stream that the old certificate opened goes on after it has expired: the node has a newer one."""
    async with fort(tmp_path, access={"node_certificate_hours": 4 / 3600}) as running:
        pair = await running.enrolled("n1")
        client = running.agent(pair)
        await client.greet(hello("n1"))
        old = x509.load_pem_x509_certificate(pair.certificate).not_valid_after_utc.timestamp()
        number = 0
        while time.time() < old + 1.0:
            key, request = request_for("n1")
            answer = await running.enrollment(pair).Renew(enroll_pb2.RenewRequest(request=request))
            pair = Pair(key=key, certificate=answer.certificate)
            number += 1
            await client.send(batch(number))
            await client.until_acknowledged(number)
            await asyncio.sleep(0.3)
        assert running.collector.counters.streams_opened == 1


async def test_a_stream_ends_when_its_certificate_does_and_no_newer_one_was_asked_for(tmp_path: Path) -> None:
    """An expired node is out even if it never hangs up."""
    async with fort(tmp_path, access={"node_certificate_hours": 4 / 3600}) as running:
        client = running.agent(await running.enrolled("n1"))
        await client.greet(hello("n1"))
        assert await client.until_end() is None
        assert running.collector.counters.refused["revoked"] == 1


async def test_revoking_a_node_ends_its_stream_and_lets_it_join_again(tmp_path: Path) -> None:
    """The deny list reaches streams that are up; the name is free for the next certificate."""
    async with fort(tmp_path) as running:
        pair = await running.enrolled("n1")
        client = running.agent(pair)
        await client.greet(hello("n1"))
        serials = [each.serial for each in running.book.certificates("n1")]
        running.book.deny(serials, "ada", to_ns(time.time()))
        assert await client.until_end() is None
        again = running.agent(pair)
        await again.send(hello("n1"))
        assert await again.until_end() is None
        assert running.collector.counters.refused["revoked_certificate"] == 1
        client = running.agent(await running.enrolled("n1"))
        await client.greet(hello("n1"))


async def test_requests_that_mean_nothing_and_names_that_are_none_are_refused(tmp_path: Path) -> None:
    """Nothing of a request is used but its key, and that only if it signed the request."""
    async with fort(tmp_path) as running:
        join = running.secrets["join"].secret
        stub = running.enrollment()
        for node, request in (
            ("n1", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"),
            ("n1", b"x" * 20_000),
            ("n1\x1b[31m", request_for("n1")[1]),
            ("*", request_for("n1")[1]),
            ("n1'; drop table events; --", request_for("n1")[1]),
            ("", request_for("n1")[1]),
            ("n" * 65, request_for("n1")[1]),
        ):
            asked = enroll_pb2.EnrollRequest(join_token=join, node=node, request=request)
            assert (await refused(stub.Enroll(asked))).code() is grpc.StatusCode.INVALID_ARGUMENT
        _, request = request_for("somebody-else")
        answer = await stub.Enroll(enroll_pb2.EnrollRequest(join_token=join, node="n1", request=request))
        assert x509.load_pem_x509_certificate(answer.certificate).subject.rfc4514_string() == "CN=n1"
