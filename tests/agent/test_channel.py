"""Mutual TLS to the collector, with real certificates."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import grpc
import grpc.aio
import pytest

from ringwatch_agent.channel import Tls, open_channel
from ringwatch_proto.errors import ConfigError


def _certificate(folder: Path, name: str, issuer: str = "") -> None:
    """Make ``name.key`` and ``name.pem``; without an issuer it signs itself and may sign others."""
    subject = ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost"]
    sign = ["-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key"] if issuer else []
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    files = ["-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2"]
    subprocess.run([*command, *subject, *files, *sign], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, a collector and a node that it signed, and a stranger that it did not."""
    if shutil.which("openssl") is None:
        pytest.skip("certificates are made by openssl")
    folder = tmp_path_factory.mktemp("tls")
    _certificate(folder, "ca")
    _certificate(folder, "collector", "ca")
    _certificate(folder, "node", "ca")
    _certificate(folder, "stranger")
    return folder


async def _reaches(folder: Path, who: str) -> bool:
    """Return whether ``who`` gets as far as being told that there is no such method."""
    pair = ((folder / "collector.key").read_bytes(), (folder / "collector.pem").read_bytes())
    server = grpc.aio.server()
    ca = (folder / "ca.pem").read_bytes()
    port = server.add_secure_port(
        "localhost:0", grpc.ssl_server_credentials([pair], ca, require_client_auth=True)
    )
    await server.start()
    tls = Tls(ca=folder / "ca.pem", certificate=folder / f"{who}.pem", key=folder / f"{who}.key")
    channel = open_channel(f"localhost:{port}", tls=tls)
    try:
        await channel.unary_unary("/none/none")(b"", timeout=10)
    except grpc.aio.AioRpcError as error:
        return error.code() is grpc.StatusCode.UNIMPLEMENTED
    finally:
        await channel.close()
        await server.stop(None)
    return True


async def test_a_node_with_a_certificate_of_the_ca_gets_through(folder: Path) -> None:
    """Both sides prove who they are."""
    assert await _reaches(folder, "node")


async def test_a_stranger_does_not(folder: Path) -> None:
    """A certificate that the CA did not sign is refused."""
    assert not await _reaches(folder, "stranger")


def test_a_missing_file_is_named_at_start(tmp_path: Path) -> None:
    """Before anything is dialled."""
    none = tmp_path / "none.pem"
    with pytest.raises(ConfigError, match=r"none\.pem"):
        open_channel("collector.example:7701", tls=Tls(ca=none, certificate=none, key=none))
