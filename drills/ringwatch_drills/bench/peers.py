"""Starts the exporters that the agent is measured beside, and scrapes pages of metrics. Judges none."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ringwatch_drills.bench.agent_rig import cache_folder, free_port

NVITOP_EXPORTER: Final = "nvitop-exporter==1.7.2"
# What an exporter says about itself is no reading of the node.
_OWN: Final = (
    "go_",
    "process_",
    "promhttp_",
    "python_",
    "node_scrape_",
    "ringwatch_agent_",
    "ringwatch_source_",
)


@dataclass(slots=True, kw_only=True)
class Peer:
    """One exporter that runs: its process and its page."""

    name: str
    process: subprocess.Popen[bytes]
    url: str


def start_node_exporter() -> Peer:
    """Start Debian's prometheus-node-exporter with its default collectors."""
    port = free_port()
    command = ["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    return _start("prometheus-node-exporter", command, port, None)


def start_nvitop_exporter(environment: Mapping[str, str]) -> Peer:
    """Start nvitop-exporter, at its default interval of a second, from a virtual environment of its own."""
    port = free_port()
    command = [str(_installed(NVITOP_EXPORTER) / "bin" / "nvitop-exporter"), "--port", str(port)]
    return _start("nvitop-exporter", command, port, environment)


def scrape(url: str) -> str:
    """Return a page of metrics."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own loopback address
        text: str = answer.read().decode()
    return text


def readings(page: str) -> int:
    """Count the samples of a page, without those of the exporter itself and those that hold nothing."""
    lines = (line for line in page.splitlines() if line and not line.startswith(("#", *_OWN)))
    return sum(not line.endswith(("NaN", "nan")) for line in lines)


def names(page: str) -> set[str]:
    """Return the names of the metrics that the page holds samples of."""
    lines = (line for line in page.splitlines() if line and not line.startswith(("#", *_OWN)))
    return {line.partition("{")[0].partition(" ")[0] for line in lines}


def _start(name: str, command: list[str], port: int, environment: Mapping[str, str] | None) -> Peer:
    process = subprocess.Popen(
        command,
        env=None if environment is None else dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return Peer(name=name, process=process, url=f"http://127.0.0.1:{port}/metrics")


def _installed(requirement: str) -> Path:
    """Return a virtual environment that holds the package; made once, and kept."""
    folder = cache_folder() / requirement.replace("==", "-")
    if not (folder / "ready").exists():
        print(f"installing {requirement} into {folder}", file=sys.stderr)  # noqa: T201 - a bench talks on stderr
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", requirement], check=True)
        (folder / "ready").touch()
    return folder
