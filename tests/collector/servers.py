"""The real servers that tests talk to, each on a free loopback port with a folder of its own."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg


def program(name: str, *folders: str) -> str:
    """Return the path of a program; fail with the name of its package when it is not there."""
    for folder in folders:
        for found in sorted(Path("/").glob(f"{folder.lstrip('/')}/{name}"), reverse=True):
            return str(found)
    path = shutil.which(name)
    assert path is not None, f"{name} is not installed: .ci/run names its Debian package"
    return path


def free_port() -> int:
    """Return a port that nobody has now, from below those that the kernel lends to outgoing connections."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@contextmanager
def _process(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as stream:
        running = subprocess.Popen(command, stdout=stream, stderr=stream, cwd=log.parent)
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def _until_ready(url: str, running: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert running.poll() is None, log.read_text(errors="replace")[-2000:]
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-2000:]
        time.sleep(0.05)


@contextmanager
def http_server(command: Sequence[str], folder: Path, url: str, ready: str) -> Iterator[str]:
    """Run a server until the end of the block and yield its address once ``ready`` answers."""
    log = folder / "log"
    with _process(command, log) as running:
        _until_ready(url + ready, running, log)
        yield url


@contextmanager
def alertmanager(folder: Path, config: str, port: int = 0) -> Iterator[str]:
    """Run Prometheus's Alertmanager and yield its address."""
    url = f"http://127.0.0.1:{port or free_port()}"
    (folder / "alertmanager.yml").write_text(config)
    command = [
        program("prometheus-alertmanager"),
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
    ]
    with http_server(command, folder, url, "/-/ready"):
        yield url


@contextmanager
def victoria_metrics(folder: Path, port: int = 0) -> Iterator[str]:
    """Run a single VictoriaMetrics and yield its address."""
    url = f"http://127.0.0.1:{port or free_port()}"
    command = [
        program("victoria-metrics"),
        f"-storageDataPath={folder / 'data'}",
        f"-httpListenAddr={url.removeprefix('http://')}",
        "-retentionPeriod=1y",
        "-memory.allowedBytes=128MB",
        "-search.latencyOffset=0s",
        "-search.disableCache",
    ]
    with http_server(command, folder, url, "/health"):
        yield url


@contextmanager
def postgres() -> Iterator[str]:
    """Run PostgreSQL and yield the URL of its server, without a database at the end."""
    folder = Path(tempfile.mkdtemp(prefix="ringwatch-postgres-"))
    initdb = program("initdb", "/usr/lib/postgresql/*/bin")
    server = program("postgres", "/usr/lib/postgresql/*/bin")
    asleep: list[str] = []
    if os.geteuid() == 0:
        # It refuses to run as root.
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        asleep = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    port = free_port()
    try:
        subprocess.run(
            [
                *asleep,
                initdb,
                "-D",
                str(folder / "data"),
                "-U",
                "ringwatch",
                "--auth=trust",
                "--no-sync",
                "-E",
                "UTF8",
            ],
            check=True,
            capture_output=True,
            cwd=folder,
        )
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "fsync": "off",
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        with _process([*asleep, server, "-D", str(folder / "data"), *options], folder / "log") as running:
            _until_postgres(port, running, folder / "log")
            yield f"postgresql+psycopg://ringwatch@127.0.0.1:{port}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _until_postgres(port: int, running: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(f"host=127.0.0.1 port={port} user=ringwatch dbname=postgres").close()
            return
        except psycopg.OperationalError:
            assert running.poll() is None, log.read_text(errors="replace")[-2000:]
            assert time.monotonic() < deadline, log.read_text(errors="replace")[-2000:]
            time.sleep(0.05)


def new_database(server: str) -> str:
    """Make an empty database on a PostgreSQL server and return its URL."""
    name = f"t{time.monotonic_ns()}"
    address = server.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
        connection.execute(f"create database {name}")
    return f"{server}/{name}"
