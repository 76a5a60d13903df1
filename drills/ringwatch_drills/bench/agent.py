"""``ringwatch bench agent``: what the agent costs beside two exporters, connected, cut off and catching up.

One emulated driver serves all; the agent reports to a real collector through a relay that counts
bytes; the exporters are scraped once a second. It measures and judges nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ringwatch_drills.bench import peers
from ringwatch_drills.bench.agent_rig import (
    AgentProcess,
    CollectorProcess,
    Emulator,
    emulator,
    end,
    environment_of,
    free_port,
)
from ringwatch_drills.bench.process_cost import Memory, cpu_s, memory
from ringwatch_drills.bench.relay import Relay

_SETTLE_S: Final = 10.0
_CATCH_UP_S: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one process tree cost over one phase."""

    seconds: float
    cpu_percent: float
    memory: Memory

    def as_json(self) -> dict[str, Any]:
        """Return the cost in one flat object."""
        return {"seconds": self.seconds, "cpu_percent": self.cpu_percent, **asdict(self.memory)}


class Meter:
    """Measures one process tree from its making to ``cost``."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._begin_s, self._cpu_s = time.monotonic(), cpu_s(pid)

    def cost(self) -> Cost:
        """Return what it cost since."""
        seconds = time.monotonic() - self._begin_s
        used_s = cpu_s(self._pid) - self._cpu_s
        return Cost(
            seconds=round(seconds, 1),
            cpu_percent=round(100 * used_s / seconds, 3),
            memory=memory(self._pid),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """What runs while the agent is measured."""

    relay: Relay
    collector: CollectorProcess
    agent: AgentProcess

    @property
    def page(self) -> str:
        """Return where the agent's page is."""
        return f"http://{self.agent.metrics}/metrics"

    def metric(self, name: str) -> float:
        """Return one of the agent's own numbers from its page."""
        lines = peers.scrape(self.page).splitlines()
        return float(next(line for line in lines if line.startswith(name)).rpartition(" ")[2])


@asynccontextmanager
async def _rig(folder: Path, driver: Emulator) -> AsyncIterator[Rig]:
    collector = CollectorProcess(folder)
    relay = Relay(await asyncio.to_thread(collector.start))
    agent = AgentProcess(
        folder, await relay.open(), f"127.0.0.1:{free_port()}", environment_of(driver), "--kmsg", "/dev/kmsg"
    )
    agent.start()
    try:
        yield Rig(relay=relay, collector=collector, agent=agent)
    finally:
        await asyncio.to_thread(agent.stop)
        await relay.close()
        await asyncio.to_thread(collector.stop)


async def _connected(rig: Rig, seconds: float) -> dict[str, Any]:
    """Measure the agent as it runs every day."""
    page = await asyncio.to_thread(peers.scrape, rig.page)
    meter, before = Meter(rig.agent.pid), rig.relay.sent_bytes
    await asyncio.sleep(seconds)
    cost = meter.cost()
    readings = peers.readings(page)
    return {
        **cost.as_json(),
        "signals": len(peers.names(page)),
        "readings_per_s": readings,
        "cpu_us_per_reading": _us_per(cost, readings),
        "wire_bytes_per_s": round((rig.relay.sent_bytes - before) / cost.seconds),
    }


async def _away(rig: Rig, seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Cut the agent off for a while and measure it then, and while it catches up."""
    await rig.relay.close()
    meter = Meter(rig.agent.pid)
    await asyncio.sleep(seconds)
    away = meter.cost().as_json()
    kept = await asyncio.to_thread(rig.metric, "ringwatch_agent_spool_batches")
    away |= {"spooled_batches": kept, "spool_bytes": rig.metric("ringwatch_agent_spool_bytes")}
    await rig.relay.open()
    meter = Meter(rig.agent.pid)
    deadline_s = time.monotonic() + _CATCH_UP_S
    left = kept
    while left > 2 and time.monotonic() < deadline_s:
        await asyncio.sleep(0.5)
        left = await asyncio.to_thread(rig.metric, "ringwatch_agent_spool_batches")
    catch_up = meter.cost().as_json()
    await asyncio.sleep(2.0)
    return away, catch_up | {"left_batches": left, **await asyncio.to_thread(_losses, rig)}


def _losses(rig: Rig) -> dict[str, Any]:
    """Compare what the agent counts as dropped with what the collector holds."""
    dropped = [
        line
        for line in peers.scrape(rig.page).splitlines()
        if line.startswith("ringwatch_agent_dropped_total")
    ]
    with sqlite3.connect(f"file:{rig.collector.database}?mode=ro", uri=True) as database:
        taken = database.execute("SELECT MAX(sequence) FROM progress WHERE node = 'bench'").fetchone()
    return {"dropped": dropped, "collector_sequence": taken[0]}


async def _peer(peer: peers.Peer, course: Course) -> dict[str, Any]:
    """Measure an exporter and end it."""
    try:
        await asyncio.sleep(course.settle_s)
        return await _scraped(peer.process.pid, peer.url, course.seconds)
    finally:
        await asyncio.to_thread(end, peer.process)


async def _scraped(pid: int, url: str, seconds: float) -> dict[str, Any]:
    """Measure a process whose page is scraped once a second."""
    meter, page = Meter(pid), ""
    next_s = begin_s = time.monotonic()
    while time.monotonic() < begin_s + seconds:
        page = await asyncio.to_thread(peers.scrape, url)
        next_s += 1.0
        await asyncio.sleep(max(0.0, next_s - time.monotonic()))
    cost, readings = meter.cost(), peers.readings(page)
    return {
        **cost.as_json(),
        "signals": len(peers.names(page)),
        "readings_per_s": readings,
        "cpu_us_per_reading": _us_per(cost, readings),
    }


def _us_per(cost: Cost, readings: int) -> float:
    return round(cost.cpu_percent * 1e4 / readings, 2) if readings else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What is measured, and for how long."""

    gpus: int = 8
    seconds: float = 60.0
    away_s: float = 0.0
    with_peers: bool = True
    # Imports, the first reads of everything and the first stream are no part of what a day costs.
    settle_s: float = _SETTLE_S


async def measure(course: Course) -> dict[str, Any]:
    """Measure the agent, then each peer, one after the other on the same emulated driver."""
    with tempfile.TemporaryDirectory(prefix="ringwatch-bench-") as name:
        driver = emulator(Path(name))
        driver.set(gpus=course.gpus)
        async with _rig(Path(name), driver) as rig:
            await asyncio.sleep(course.settle_s)
            measured = await _connected(rig, course.seconds)
            measured["scraped"] = await _scraped(rig.agent.pid, rig.page, course.seconds)
            if course.away_s:
                measured["away"], measured["catch_up"] = await _away(rig, course.away_s)
        measured["peers"] = {}
        if course.with_peers:
            for peer in (
                await asyncio.to_thread(peers.start_node_exporter),
                await asyncio.to_thread(peers.start_nvitop_exporter, environment_of(driver)),
            ):
                measured["peers"][peer.name] = await _peer(peer, course)
    return {"gpus": course.gpus, **measured}


def main(argv: Sequence[str]) -> int:
    """Measure once and print one JSON object."""
    parser = argparse.ArgumentParser(prog="ringwatch bench agent", description=__doc__)
    parser.add_argument("--gpus", type=int, default=8, help="GPUs of the emulated driver")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each phase is measured")
    parser.add_argument("--away-seconds", type=float, default=0.0, help="then cut the agent off this long")
    parser.add_argument("--no-peers", action="store_true", help="measure the agent alone")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout (the only form)")
    options = parser.parse_args(argv)
    course = Course(
        gpus=options.gpus,
        seconds=options.seconds,
        away_s=options.away_seconds,
        with_peers=not options.no_peers,
    )
    sys.stdout.write(json.dumps(asyncio.run(measure(course))) + "\n")
    return 0
