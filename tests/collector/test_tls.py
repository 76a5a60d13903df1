"""TLS: who has no certificate of the CA does not get in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import grpc
import grpc.aio
import pytest
from tests.collector.rig import Client, hello

from ringwatch_collector.app import Collector
from ringwatch_collector.config import load_config


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """Make a CA, and a certificate of it that stands for both ends."""
    key = ("-newkey", "rsa:2048", "-nodes")
    _openssl(
        tmp_path, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", "-days", "2"
    )
    _openssl(tmp_path, "req", *key, "-keyout", "end.key", "-out", "end.csr", "-subj", "/CN=localhost")
    (tmp_path / "names").write_text("subjectAltName=DNS:localhost\n")
    signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    _openssl(tmp_path, "x509", "-req", "-in", "end.csr", "-out", "end.pem", *signing)
    return tmp_path


async def test_only_a_client_with_a_certificate_of_the_ca_gets_in(certificates: Path) -> None:
    """Mutual TLS: plaintext and TLS without a certificate get no welcome."""
    authority, chain, key = ((certificates / name).read_bytes() for name in ("ca.pem", "end.pem", "end.key"))
    flags = {
        "listen": "127.0.0.1:0",
        "data_dir": str(certificates),
        "tls_certificate": str(certificates / "end.pem"),
        "tls_key": str(certificates / "end.key"),
        "tls_client_ca": str(certificates / "ca.pem"),
    }
    collector = Collector(load_config(None, {}, flags))
    port = await collector.start()
    try:
        known = grpc.ssl_channel_credentials(authority, key, chain)
        async with grpc.aio.secure_channel(f"localhost:{port}", known) as channel:
            assert (await Client(channel).greet(hello("localhost"))).collector
        stranger = grpc.ssl_channel_credentials(authority)
        for channel in (
            grpc.aio.secure_channel(f"localhost:{port}", stranger),
            grpc.aio.insecure_channel(f"localhost:{port}"),
        ):
            async with channel:
                with pytest.raises(grpc.aio.AioRpcError):
                    await Client(channel).send(hello("n2"))
        assert len(collector.fleet.nodes) == 1
    finally:
        await collector.stop()
