"""How clients of people reach a collector: what they show, and to whom they do not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.collector.access.rig import Fort, fort

from ringwatch_proto.dialling import Credentials, credentials_from, is_loopback, open_blocking_channel
from ringwatch_proto.errors import ConfigError, UnreachableError
from ringwatch_proto.v1 import runs_pb2, runs_pb2_grpc
from ringwatch_tui.client.base import RequestRefused
from ringwatch_tui.client.live import LiveClient


def _credentials(running: Fort, role: str) -> Credentials:
    return Credentials(token=running.secrets[role].secret, ca=running.files.authority)


async def test_a_console_asks_and_follows_with_a_token_over_tls(tmp_path: Path) -> None:
    """Every call of the channel carries it, answers that come one after the other too."""
    async with fort(tmp_path) as running:
        address = f"localhost:{running.collector.access.second_port}"
        client = LiveClient(address, _credentials(running, "viewer"))
        assert (await client.fleet()).collector == "test"
        async for fleet in client.follow(0.1):
            assert fleet.collector == "test"
            break
        with pytest.raises(RequestRefused, match="viewer is viewer: ActOnIncident needs operator"):
            await client.act("I-1", "note", "ada", "seen")
        await client.close()
        stranger = LiveClient(address, Credentials(ca=running.files.authority))
        with pytest.raises(RequestRefused, match="give a token"):
            await stranger.fleet()
        await stranger.close()


async def test_a_script_asks_with_a_token_over_tls(tmp_path: Path) -> None:
    """The blocking channel shows the same."""
    async with fort(tmp_path) as running:
        address = f"localhost:{running.collector.access.second_port}"

        def ask() -> int:
            with open_blocking_channel(address, _credentials(running, "viewer")) as channel:
                return len(
                    runs_pb2_grpc.RunsStub(channel).ListRunbooks(runs_pb2.ListRunbooksRequest()).runbooks
                )

        assert await asyncio.to_thread(ask) > 0


async def test_a_token_does_not_cross_the_network_as_it_is() -> None:
    """Off loopback it takes TLS, and the sentence says what to set; the token is in no text."""
    credentials = Credentials(token="rw-admin-secret")
    assert "secret" not in repr(credentials)
    with pytest.raises(ConfigError, match="RINGWATCH_TLS_CA"):
        open_blocking_channel("192.0.2.1:7702", credentials)
    with pytest.raises(UnreachableError, match="RINGWATCH_TLS_CA"):
        await LiveClient("192.0.2.1:7702", credentials).fleet()


def test_the_environment_names_files_and_a_file_stands_above_a_text(tmp_path: Path) -> None:
    """A variable shows in the process list of some systems; a file does not."""
    file = tmp_path / "token"
    file.write_text("from the file\n")
    found = credentials_from(
        {"RINGWATCH_TOKEN": "text", "RINGWATCH_TOKEN_FILE": str(file), "RINGWATCH_TLS_CA": "ca"}
    )
    assert (found.token, found.ca) == ("from the file", Path("ca"))
    assert credentials_from({"RINGWATCH_TOKEN": "text"}).token == "text"
    for wrong in (
        {"RINGWATCH_TOKEN_FILE": str(tmp_path / "none")},
        {"RINGWATCH_TLS_CERTIFICATE": "c", "RINGWATCH_TLS_CA": "ca"},
        {"RINGWATCH_TLS_CERTIFICATE": "c", "RINGWATCH_TLS_KEY": "k"},
    ):
        with pytest.raises(ConfigError):
            credentials_from(wrong)


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1:1", True),
        ("localhost:1", True),
        ("[::1]:1", True),
        ("192.0.2.1:1", False),
        ("collector:1", False),
    ],
)
def test_what_stays_on_this_machine_is_known_without_a_resolver(address: str, loopback: bool) -> None:
    """A name could resolve to anything."""
    assert is_loopback(address) is loopback
