"""What somebody gets who means harm. docs/security.md has the same list."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.collector.access.rig import Fort, Pair, fort, pair_of, refused
from tests.collector.rig import Client, batch, event, eventually, hello, running
from tests.collector.test_runs import lost_batch, lost_hello, use_small

from ringwatch_collector.access.authority import Authority
from ringwatch_collector.audit_cli import main as audit_command
from ringwatch_proto.codec import to_ns
from ringwatch_proto.v1 import query_pb2, runs_pb2
from ringwatch_proto.v1 import telemetry_pb2 as wire


async def _gets_nothing(client: Client, node: str = "n1") -> None:
    """Say Hello, and see the stream end without a welcome."""
    try:
        await client.send(hello(node))
    except grpc.aio.AioRpcError:
        return
    assert await client.receive() is None


async def _serves(running: Fort, node: str = "honest") -> None:
    """An honest node is served beside the attack."""
    client = running.agent(pair_of(running.authority, node))
    await client.greet(hello(node))
    await client.send(batch(1))
    await client.until_acknowledged(1)


# Certificates


async def test_no_certificate_gets_no_handshake_and_on_the_second_port_no_stream(tmp_path: Path) -> None:
    """The port of nodes does not speak to strangers; the port of people lets nobody report."""
    async with fort(tmp_path) as running:
        await _gets_nothing(running.agent())
        await _gets_nothing(running.agent(second=True))
        assert running.collector.counters.refused["no_credential"] == 1
        assert not running.collector.fleet.nodes


async def test_a_certificate_of_another_ca_gets_no_handshake(tmp_path: Path) -> None:
    """The same name, well formed, signed by somebody else."""
    async with fort(tmp_path) as running:
        await _gets_nothing(running.agent(pair_of(Authority.new("Ringwatch CA"), "n1")))
        assert not running.collector.fleet.nodes


async def test_an_expired_certificate_gets_no_handshake(tmp_path: Path) -> None:
    """Signed by the right CA, a minute too old."""
    async with fort(tmp_path) as running:
        await _gets_nothing(running.agent(pair_of(running.authority, "n1", hours=-1 / 60)))
        assert not running.collector.fleet.nodes


async def test_the_servers_own_certificate_does_not_make_a_node(tmp_path: Path) -> None:
    """Certificates are for one purpose: the server's may not be shown by a client."""
    async with fort(tmp_path) as running:
        stolen = Pair(key=running.files.key.read_bytes(), certificate=running.files.certificate.read_bytes())
        await _gets_nothing(running.agent(stolen), "localhost")
        assert not running.collector.fleet.nodes


async def test_plaintext_to_a_tls_port_gets_nothing(tmp_path: Path) -> None:
    """Nothing is read before the handshake."""
    async with fort(tmp_path) as running, grpc.aio.insecure_channel(f"localhost:{running.port}") as channel:
        await _gets_nothing(Client(channel))


# Names of others


async def test_a_stolen_certificate_speaks_for_its_own_node_only(tmp_path: Path) -> None:
    """Hello under another name is refused with a sentence, first and later."""
    async with fort(tmp_path) as running:
        thief = running.agent(pair_of(running.authority, "n1"))
        await thief.send(hello("n2"))
        refusal = await thief.until_end()
        assert refusal is not None
        assert "'n1' speaks for 'n2'" in refusal.reason
        assert running.collector.counters.refused["foreign_node"] == 1
        assert not running.collector.fleet.nodes


async def test_a_stolen_join_token_does_not_take_over_a_node_that_is_there(tmp_path: Path) -> None:
    """A name with a valid certificate is taken; only an admin frees it."""
    async with fort(tmp_path) as running:
        await running.enrolled("n1")
        answer = await refused(running.enrolled("n1"))
        assert answer.code() is grpc.StatusCode.ALREADY_EXISTS


async def test_a_join_token_opens_nothing_else_and_a_persons_token_joins_nothing(tmp_path: Path) -> None:
    """A secret is for one purpose."""
    async with fort(tmp_path) as running:
        look = running.query().GetFleet(query_pb2.GetFleetRequest(), metadata=running.headers("join"))
        assert (await refused(look)).code() is grpc.StatusCode.UNAUTHENTICATED
        join = running.enrolled("n1", running.secrets["admin"].secret)
        assert (await refused(join)).code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_node_does_not_do_what_people_do_nor_a_person_what_nodes_do(tmp_path: Path) -> None:
    """A root shell on a node is no console; an admin's token is no node."""
    async with fort(tmp_path) as running:
        channel = running.dial(pair_of(running.authority, "n1"))
        look = channel.unary_unary(
            "/ringwatch.v1.Query/GetFleet",
            request_serializer=query_pb2.GetFleetRequest.SerializeToString,
            response_deserializer=query_pb2.Fleet.FromString,
        )
        answer = await refused(look(query_pb2.GetFleetRequest()))
        assert answer.code() is grpc.StatusCode.PERMISSION_DENIED
        report = running.dial(second=True).stream_stream("/ringwatch.v1.Telemetry/Report")
        call = report(metadata=running.headers("admin"))
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await call.read()
        assert ended.value.code() is grpc.StatusCode.UNAUTHENTICATED


# Roles


async def test_a_viewer_who_acts_is_refused_and_written_down(tmp_path: Path) -> None:
    """The refusal names the person and the role that it takes; the audit log has it once a minute."""
    async with fort(tmp_path) as running:
        act = query_pb2.IncidentAction(incident="I-1", action="silence", author="root", silence_s=3600)
        for _ in range(3):
            answer = await refused(running.query().ActOnIncident(act, metadata=running.headers("viewer")))
            assert answer.code() is grpc.StatusCode.PERMISSION_DENIED
            assert answer.details() == "viewer is viewer: ActOnIncident needs operator"
        assert await running.collector.audit.settle(5.0)
        trail = await asyncio.to_thread(running.collector.audit.records, 10)
        assert [(each.actor, each.action, each.result) for each in trail.records] == [
            ("viewer", "access.denied", "refused")
        ]


async def test_an_operator_does_not_act_under_another_name(tmp_path: Path) -> None:
    """The author in the message is not looked at."""
    async with fort(tmp_path) as running:
        await _lose_a_gpu(running)
        act = query_pb2.IncidentAction(incident="I-1", action="note", author="the boss", text="fine")
        answer = await running.query().ActOnIncident(act, metadata=running.headers("operator"))
        assert [each.author for each in answer.notes if each.text == "fine"] == ["operator"]


async def test_an_operator_does_not_give_the_second_approval(tmp_path: Path) -> None:
    """Nor does the first one twice, whatever name the message claims; an approver does."""
    async with fort(tmp_path) as running:
        use_small(running.collector)
        library = running.collector.runs.world.library
        action = replace(library.actions["reset_clocks"], approval="second_person")
        running.collector.runs.world.library = replace(
            library, actions={**library.actions, "reset_clocks": action}
        )
        agent = running.agent(pair_of(running.authority, "n1"))
        await agent.greet(lost_hello())
        await agent.send(lost_batch())
        await eventually(running.collector.book.all)
        _, secret = running.book.add_token(role="operator", name="second", now_ns=to_ns(time.time()))
        await eventually(lambda: running.collector.access.registry.find(secret) is not None)
        second = (("authorization", f"Bearer {secret}"),)
        first, runs = running.headers("operator"), running.runs()
        run = await runs.StartRun(runs_pb2.StartRunRequest(incident="I-1", runbook="small"), metadata=first)
        while run.state != "waiting":
            run = await runs.GetRun(runs_pb2.GetRunRequest(id=run.id), metadata=first)
        target = next(step.typed_target for step in run.steps if step.id == run.current)
        yes = runs_pb2.AnswerRequest(
            run=run.id, step=run.current, action="approve", text=target, author="the boss"
        )
        run = await runs.Answer(yes, metadata=first)
        assert run.state == "waiting"
        again = await refused(runs.Answer(yes, metadata=first))
        assert "a second person has to approve: operator already did" in (again.details() or "")
        other = await refused(runs.Answer(yes, metadata=second))
        assert other.details() == "second may not give the second approval: that takes the role approver"
        run = await runs.Answer(yes, metadata=running.headers("approver"))
        assert next(step.by for step in run.steps if step.id == "act") == "operator, approver"


async def _lose_a_gpu(running: Fort) -> None:
    """Have a node say that a GPU fell off the bus, and wait for the incident."""
    client = running.agent(pair_of(running.authority, "n1"))
    await client.greet(hello("n1"))
    lost = wire.Event(
        id=1,
        wall_ns=time.time_ns(),
        kind="gpu.xid",
        severity=wire.SEVERITY_CRITICAL,
        source="kmsg",
        device="GPU-n1-0",
        code=79,
        text="NVRM: Xid (PCI:0000:0a:00): 79, GPU has fallen off the bus.",
    )
    await client.send(batch(1, events=[lost]))
    await eventually(running.collector.book.all)


async def _to_the_end(follow: Any) -> None:
    while await follow.read() is not grpc.aio.EOF:
        pass


# Tokens


async def test_a_revoked_token_is_refused_and_its_open_stream_ends(tmp_path: Path) -> None:
    """A laptop is lost while its console is open."""
    async with fort(tmp_path) as running:
        follow = running.query().FollowFleet(
            query_pb2.FollowFleetRequest(min_interval_s=0.1), metadata=running.headers("admin")
        )
        await follow.read()
        running.book.deny([running.secrets["admin"].id], "ada", to_ns(time.time()))
        assert (await refused(_to_the_end(follow))).code() is grpc.StatusCode.UNAUTHENTICATED
        again = running.query().GetFleet(query_pb2.GetFleetRequest(), metadata=running.headers("admin"))
        assert (await refused(again)).code() is grpc.StatusCode.UNAUTHENTICATED


async def test_guesses_wait_longer_each_and_nobody_else_does(tmp_path: Path) -> None:
    """While a hundred wrong answers are held back, a right token from the same address is served."""
    async with fort(tmp_path, access={"failed_delay_s": 30.0}) as running:
        stub = running.query()
        guesses = [
            asyncio.ensure_future(
                refused(
                    stub.GetFleet(
                        query_pb2.GetFleetRequest(),
                        metadata=(("authorization", f"Bearer rw-admin-{number}"),),
                    )
                )
            )
            for number in range(50)
        ]
        await eventually(lambda: running.collector.counters.refused["bad_token"] == 50)
        assert (
            await stub.GetFleet(query_pb2.GetFleetRequest(), metadata=running.headers("viewer"))
        ).collector == "test"
        assert sum(guess.done() for guess in guesses) < 10
        for guess in guesses:
            guess.cancel()
        await asyncio.gather(*guesses, return_exceptions=True)


async def test_one_person_does_not_take_all_the_streams_or_calls(tmp_path: Path) -> None:
    """Beyond a caller's share the answer is RESOURCE_EXHAUSTED, and others are served."""
    async with fort(tmp_path, access={"open_streams": 3, "calls_burst": 12, "calls_per_s": 0.01}) as running:
        stub, headers = running.query(), running.headers("viewer")
        follows = [stub.FollowFleet(query_pb2.FollowFleetRequest(), metadata=headers) for _ in range(4)]
        ends = await asyncio.gather(*(follow.read() for follow in follows), return_exceptions=True)
        exhausted = [each for each in ends if isinstance(each, grpc.aio.AioRpcError)]
        assert [each.code() for each in exhausted] == [grpc.StatusCode.RESOURCE_EXHAUSTED]
        asked = [stub.GetFleet(query_pb2.GetFleetRequest(), metadata=headers) for _ in range(12)]
        ends = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(each, grpc.aio.AioRpcError) for each in ends) == 4
        await stub.GetFleet(query_pb2.GetFleetRequest(), metadata=running.headers("operator"))
        for follow in follows:
            follow.cancel()


# What is sent


async def test_a_replayed_stream_is_stored_once(tmp_path: Path) -> None:
    """Every batch of a captured stream again, on a new connection, by whoever holds the certificate."""
    async with fort(tmp_path) as running:
        pair = pair_of(running.authority, "n1")
        for _ in range(3):
            client = running.agent(pair)
            await client.greet(hello("n1"))
            for number in range(1, 4):
                await client.send(batch(number, events=[event(number)]))
            await client.until_acknowledged(3)
            await client.close()
        stored = await asyncio.to_thread(lambda: running.collector.store.events(node="n1"))
        assert sorted(number for _, number, _ in stored) == [1, 2, 3]
        assert running.collector.counters.batches_duplicate == 6


async def test_an_oversized_message_ends_its_own_stream_only(tmp_path: Path) -> None:
    """Five MiB against a limit of four."""
    async with fort(tmp_path) as running:
        client = running.agent(pair_of(running.authority, "n1"))
        await client.greet(hello("n1"))
        await client.send_bytes(b"\0" * (5 << 20))
        assert await client.until_end() is None
        await _serves(running)


async def test_a_stream_that_says_nothing_is_closed(tmp_path: Path) -> None:
    """A certificate is no ticket for a seat."""
    async with fort(tmp_path, hello_timeout_s=0.3) as running:
        client = running.agent(pair_of(running.authority, "n1"))
        refusal = await client.until_end()
        assert refusal is not None
        assert refusal.reason == "no Hello came in time"


async def test_connections_that_never_finish_their_handshake_are_closed_and_harm_nobody(
    tmp_path: Path,
) -> None:
    """Two hundred sockets that send one byte each, and then nothing."""
    async with fort(tmp_path, access={"handshake_s": 1.0}) as running:
        pairs = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(200)]
        for _, writer in pairs:
            writer.write(b"\x16")
        await _serves(running)
        ends = await asyncio.gather(*(asyncio.wait_for(reader.read(), 30) for reader, _ in pairs))
        assert len(ends) == 200
        for _, writer in pairs:
            writer.close()


# HTTP/2, RFC 9113: the preface, an empty SETTINGS frame, HEADERS without Huffman, DATA that is not whole.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"


def _half_a_call(path: bytes) -> bytes:
    """Return the beginning of a call whose message never ends."""
    fields = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": path,
        b":authority": b"localhost",
        b"te": b"trailers",
        b"content-type": b"application/grpc",
    }
    block = b"".join(
        b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in fields.items()
    )
    headers = len(block).to_bytes(3, "big") + b"\x01\x04" + (1).to_bytes(4, "big") + block
    message = b"\0" + (1000).to_bytes(4, "big") + b"0123456789"
    data = len(message).to_bytes(3, "big") + b"\0\0" + (1).to_bytes(4, "big") + message
    return _PREFACE + headers + data


@pytest.mark.parametrize("path", [b"/ringwatch.v1.Telemetry/Report", b"/ringwatch.v1.Query/GetFleet"])
async def test_half_a_message_on_many_connections_harms_nobody(tmp_path: Path, path: bytes) -> None:
    """A thousand bytes are promised, ten come, on a hundred connections; nodes and consoles are served."""
    async with running(tmp_path, hello_timeout_s=0.5) as rig:
        port = int(rig.collector.access.port)
        pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(100)]
        for _, writer in pairs:
            writer.write(_half_a_call(path))
        client = await rig.agent()
        await client.send(batch(1))
        await client.until_acknowledged(1)
        assert (await rig.query.GetFleet(query_pb2.GetFleetRequest())).collector == "test"
        if path.endswith(b"Report"):
            await eventually(lambda: rig.collector.counters.refused["no_hello"] == 100)
        for _, writer in pairs:
            writer.close()


# Names


async def test_sql_in_names_is_a_name(tmp_path: Path) -> None:
    """It reaches the database as a value: the tables are there, and so is the node of that name."""
    node = "n1'; drop table events; --"
    async with running(tmp_path) as rig:
        client = await rig.agent(hello(node, spool="'; drop table progress; --"))
        await client.send(batch(1, events=[event(1, kind="'; drop table incidents; --", text="' or 1=1 --")]))
        await client.until_acknowledged(1)
        found = await rig.query.ListEvents(query_pb2.ListEventsRequest(node=node))
        assert [each.event.text for each in found.events] == ["' or 1=1 --"]
        missed = await rig.query.ListEvents(query_pb2.ListEventsRequest(node="' or 1=1 --"))
        assert not missed.events


@pytest.mark.parametrize(
    "name",
    ["n1\x1b[2J", "n1\x9b31m", "n1\r\nn2 is fine", "n1\0", "n1\u202egpj.exe", "n1\u2028", "n1\ud7ff\ue000"],
    ids=["escape", "c1", "newline", "nul", "right-to-left", "line-separator", "private-use"],
)
async def test_terminal_escapes_in_names_end_the_stream_with_the_reason(tmp_path: Path, name: str) -> None:
    """Names are keys: one that cannot be shown as it is is not changed but refused, and counted."""
    async with running(tmp_path) as rig:
        client = rig.client()
        await client.send(hello(name))
        refusal = await client.until_end()
        assert refusal is not None
        assert refusal.reason.isprintable()
        assert rig.collector.counters.refused["hello_name"] == 1


async def test_terminal_escapes_in_texts_are_replaced(tmp_path: Path) -> None:
    """An event is never refused for its text; what a person says is cleaned in the same way."""
    async with running(tmp_path) as rig:
        client = await rig.agent()
        await client.send(batch(1, events=[event(1, text="\x1b]0;owned\x07 lost\x9b2J", **{"a\x1b": "b\r"})]))
        await client.until_acknowledged(1)
        stored = (await rig.query.ListEvents(query_pb2.ListEventsRequest())).events[0].event
        assert stored.text.isprintable()
        assert all(text.isprintable() for pair in stored.fields.items() for text in pair)


# The audit log


@contextmanager
def _edited(folder: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(folder / "ringwatch.db")) as database:
        yield database
        database.commit()


async def _written(folder: Path) -> tuple[int, str]:
    """Have five records written and return what an earlier verify printed of the newest."""
    async with running(folder) as rig:
        for number in range(5):
            await rig.collector.audit.append(actor="ada", action="verb", target=f"n{number}")
        newest = (await asyncio.to_thread(rig.collector.audit.records, 1)).records[0]
    return newest.sequence, newest.digest


@pytest.mark.parametrize(
    ("tampering", "at"),
    [
        ("update audit set actor = 'eve' where sequence = 2", 2),
        ("update audit set reason = 'because' where sequence = 5", 5),
        ("delete from audit where sequence = 3", 3),
        ("delete from audit where sequence = 1", 1),
        ("update audit set sequence = 9 where sequence = 5", 5),
        (
            "insert into audit select 6, wall_ns, actor, action, 'n9', incident, reason, result, digest "
            "from audit where sequence = 5",
            6,
        ),
    ],
)
async def test_verify_names_the_first_record_that_is_not_as_it_was_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tampering: str, at: int
) -> None:
    """Exit code 1 and the number of the record."""
    await _written(tmp_path)
    assert audit_command(["verify", "--data-dir", str(tmp_path)]) == 0
    with _edited(tmp_path) as database:
        database.execute(tampering)
    capsys.readouterr()
    assert audit_command(["verify", "--data-dir", str(tmp_path), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["intact"], told["at"]) == (False, at)


async def test_a_chain_that_was_cut_or_forged_whole_is_found_by_a_digest_noted_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the noted digest both look whole: that is what --expect is for."""
    sequence, digest = await _written(tmp_path)
    with _edited(tmp_path) as database:
        database.execute("delete from audit where sequence = 5")
    verify = ["verify", "--data-dir", str(tmp_path)]
    assert audit_command(verify) == 0
    assert audit_command([*verify, "--expect", f"{sequence}:{digest}"]) == 1
    assert "records 5 to 5 were cut off" in capsys.readouterr().err
    async with running(tmp_path) as rig:
        await rig.collector.audit.append(actor="eve", action="verb", target="n4")
    assert audit_command(verify) == 0
    assert audit_command([*verify, "--expect", f"{sequence}:{digest}"]) == 1
    assert "not the one whose digest was noted" in capsys.readouterr().err


async def test_no_secret_is_in_a_log_or_on_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Right ones and wrong ones, after calls that used them; files that hold keys are their owner's alone."""
    with caplog.at_level("DEBUG", logger="ringwatch"):
        async with fort(tmp_path) as running:
            await running.enrolled("n1")
            await running.query().GetFleet(query_pb2.GetFleetRequest(), metadata=running.headers("viewer"))
            await refused(running.enrolled("n2", "rw-join-a-wrong-guess"))
            secrets = [each.secret for each in running.secrets.values()] + ["rw-join-a-wrong-guess"]
    for secret in secrets:
        assert secret not in caplog.text
        assert not any(secret.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for path in (tmp_path / "tls" / "ca.key", tmp_path / "tls" / "server.key", tmp_path / "collector.toml"):
        assert path.stat().st_mode & 0o077 == 0
