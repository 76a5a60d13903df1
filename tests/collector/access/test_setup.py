"""``ringwatch collector init``, ``token`` and ``revoke``: what they make, keep and print."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from tests.collector.access.rig import fort, pair_of, refused
from tests.collector.rig import batch, hello

from ringwatch_collector.access.setup import Files
from ringwatch_collector.access.tls import ServerCertificates, ServerFiles
from ringwatch_collector.cli import main
from ringwatch_proto.errors import ConfigError
from ringwatch_proto.v1 import query_pb2

_LISTEN = ["--name", "localhost", "--listen", "127.0.0.1:0", "--listen-without-certificate", "127.0.0.1:0"]


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_init_makes_all_that_is_needed_and_run_again_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One secret a role and one to join, shown once; the second run shows none and changes no file."""
    folder = tmp_path / "ringwatch"
    assert main(["init", str(folder), *_LISTEN, "--json"]) == 0
    made = _lines(capsys)
    assert [each["role"] for each in made] == ["join", "viewer", "operator", "approver", "admin"]
    before = {path: path.read_bytes() for path in (folder / "tls").iterdir()}
    assert main(["init", str(folder), *_LISTEN, "--json"]) == 0
    assert _lines(capsys) == []
    assert {path: path.read_bytes() for path in (folder / "tls").iterdir()} == before
    assert main(["check-config", "--config", str(Files(folder).settings)]) == 0
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*.key")} == {0o600}


def test_init_for_another_name_renews_the_server_and_keeps_the_ca(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nodes go on trusting; only the server's certificate is new."""
    assert main(["init", str(tmp_path), *_LISTEN]) == 0
    files = Files(tmp_path)
    authority, server = files.authority.read_bytes(), files.certificate.read_bytes()
    assert main(["init", str(tmp_path), *_LISTEN, "--name", "collector.example.org"]) == 0
    assert files.authority.read_bytes() == authority
    assert files.certificate.read_bytes() != server
    names = x509.load_pem_x509_certificate(files.certificate.read_bytes()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["localhost", "collector.example.org"]
    capsys.readouterr()


def test_init_anew_revokes_what_there_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--force is for the day on which the folder was stolen."""
    assert main(["init", str(tmp_path), *_LISTEN, "--json"]) == 0
    old = {each["id"] for each in _lines(capsys)}
    assert main(["init", str(tmp_path), *_LISTEN, "--force", "--json"]) == 0
    new = {each["id"] for each in _lines(capsys)}
    assert main(["token", "list", "--data-dir", str(tmp_path), "--json"]) == 0
    states = {each["id"]: each["state"] for each in _lines(capsys)}
    assert {states[each] for each in old} == {"revoked"}
    assert {states[each] for each in new} == {"valid"}


async def test_tokens_made_and_revoked_beside_a_running_collector_count_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command writes to the database; the collector reads it again every few seconds."""
    async with fort(tmp_path) as running:
        where = ["--data-dir", str(tmp_path)]
        add = ["token", "add", "grace", "--role", "operator", "--json", *where]
        assert await asyncio.to_thread(main, add) == 0
        made = _lines(capsys)[0]
        headers = (("authorization", f"Bearer {made['secret']}"),)
        stub = running.query()
        await asyncio.sleep(0.3)
        await stub.GetFleet(query_pb2.GetFleetRequest(), metadata=headers)
        assert await asyncio.to_thread(main, ["token", "revoke", str(made["id"]), *where]) == 0
        await asyncio.sleep(0.3)
        again = await refused(stub.GetFleet(query_pb2.GetFleetRequest(), metadata=headers))
        assert again.code() is grpc.StatusCode.UNAUTHENTICATED
        trail = await asyncio.to_thread(running.collector.audit.records, 10)
        assert [each.action for each in trail.records] == ["access.token_add", "access.token_revoke"]
        assert trail.chain_intact


@pytest.mark.parametrize(
    "arguments",
    [
        ["token", "revoke", "nobody"],
        ["revoke", "n1"],
        ["token", "add", "a\x1b[31m", "--role", "viewer"],
        ["token", "add", "", "--role", "viewer"],
    ],
)
def test_what_cannot_be_ends_with_2_and_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """Nothing is printed that could be taken for a secret."""
    assert main([*arguments, "--data-dir", str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert not told.out
    assert told.err.startswith("ringwatch collector: ")


async def test_a_new_server_certificate_is_taken_without_a_restart_or_a_dropped_stream(
    tmp_path: Path,
) -> None:
    """The next handshake sees it; the stream that was up stays up; half of a pair is not taken."""
    async with fort(tmp_path) as running:
        client = running.agent(pair_of(running.authority, "n1"))
        await client.greet(hello("n1"))
        shown = [await asyncio.to_thread(_shown, running.collector.access.second_port)]
        new_key_file = running.files.key.read_bytes()
        await asyncio.to_thread(main, ["init", str(tmp_path), *_LISTEN, "--name", "new.example.org"])
        whole = running.files.key.read_bytes()
        running.files.key.write_bytes(new_key_file)
        shown.append(await asyncio.to_thread(_shown, running.collector.access.second_port))
        running.files.key.write_bytes(whole)
        shown.append(await asyncio.to_thread(_shown, running.collector.access.second_port))
        assert shown[0] == shown[1]
        assert "new.example.org" in shown[2]
        await client.send(batch(1))
        await client.until_acknowledged(1)
        assert running.collector.counters.streams_opened == 1


def _shown(port: int) -> str:
    """Return the names in the certificate that a port shows."""
    pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=10)
    certificate = x509.load_pem_x509_certificate(pem.encode())
    return str(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


def test_files_that_cannot_be_used_are_a_sentence_at_the_start(tmp_path: Path) -> None:
    """A collector that cannot have TLS does not serve without it."""
    for content in (b"", b"not a key"):
        for name in ("server.pem", "server.key"):
            (tmp_path / name).write_bytes(content)
        files = ServerFiles(
            certificate=tmp_path / "server.pem", key=tmp_path / "server.key", client_authority=None
        )
        with pytest.raises(ConfigError):
            ServerCertificates(files)
