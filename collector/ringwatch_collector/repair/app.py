"""Composes the adapters that a site has set up. Decides nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from ringwatch_collector.repair.base import Adapter
from ringwatch_collector.repair.config import RepairConfig
from ringwatch_collector.repair.messages import Chat, Tickets
from ringwatch_collector.repair.proof import Proof
from ringwatch_collector.repair.scripts import Scripts
from ringwatch_collector.repair.slurm import Slurm
from ringwatch_collector.repair.switchboard import Switchboard
from ringwatch_proto.errors import ConfigError
from ringwatch_runbooks.base import NodeVerbs
from ringwatch_runbooks.calls import ENTRY_POINTS

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/slurm/bin"
_SHORTEST_SECRET: Final = 16


def build_switchboard(config: RepairConfig, verbs: NodeVerbs, results: Path | None) -> Switchboard:
    """Return all calls of this site; raise ConfigError when one cannot work.

    ``results`` is the file that keeps what probes found; None keeps it in memory.
    """
    return Switchboard(_adapters(config, verbs, results))


def _adapters(config: RepairConfig, verbs: NodeVerbs, results: Path | None) -> Iterator[Adapter]:
    if config.scheduler == "slurm":
        yield _slurm(config)
    if config.scheduler == "kubernetes":
        from ringwatch_collector.repair.kubernetes import Kubernetes, api_of

        yield Kubernetes(api_of(config.kubeconfig))
    if config.scripts:
        yield Scripts(config.scripts)
    if config.ticket_url:
        yield Tickets(config.ticket_url, _secret(config.ticket_secret_file))
    if config.chat_urls_file:
        yield Chat(_lines(config.chat_urls_file))
    if config.proof:
        yield Proof(verbs, results)
    for name in config.adapters:
        yield _of_entry_point(name)


def _slurm(config: RepairConfig) -> Slurm:
    environment = {"PATH": _PATH, "LC_ALL": "C.UTF-8"}
    if config.slurm_conf:
        environment["SLURM_CONF"] = config.slurm_conf
    found = {name: shutil.which(name, path=_PATH) for name in ("scontrol", "squeue")}
    for name, path in found.items():
        if path is None:
            raise ConfigError(f"repair.scheduler=slurm needs {name}, which is not in {_PATH}")
    return Slurm(scontrol=str(found["scontrol"]), squeue=str(found["squeue"]), environment=environment)


def _secret(file: str) -> bytes:
    secret = _text(file).strip().encode()
    if len(secret) < _SHORTEST_SECRET:
        raise ConfigError(f"{file}: a secret has at least {_SHORTEST_SECRET} characters")
    return secret


def _lines(file: str) -> tuple[str, ...]:
    found = tuple(line.strip() for line in _text(file).splitlines() if line.strip())
    if not found:
        raise ConfigError(f"{file}: no address")
    return found


def _text(file: str) -> str:
    try:
        if os.stat(file).st_mode & 0o077:
            raise ConfigError(f"{file}: others can read or write it; chmod 600")
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from error


def _of_entry_point(name: str) -> Adapter:
    """Return a site's own adapter; its entry point is a function without arguments that makes one."""
    found = [entry for entry in metadata.entry_points(group=ENTRY_POINTS) if entry.name == name]
    if len(found) != 1:
        raise ConfigError(f"repair.adapters: {len(found)} entry points {name!r} in the group {ENTRY_POINTS}")
    try:
        make: Callable[[], Adapter] = found[0].load()
    except ImportError as error:
        raise ConfigError(f"repair.adapters: {name}: {error}") from error
    return make()
