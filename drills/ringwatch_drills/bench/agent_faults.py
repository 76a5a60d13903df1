"""``ringwatch bench faults``: each fault of the emulated driver, and what scan, /metrics and collector show.

Real processes on loopback: one collector, and an agent with a driver of its own a fault.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import math
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import grpc

from ringwatch_drills.bench.agent_fault_table import FAULTS, NAME, UUID, Bed, Fault, Page, Told, bus
from ringwatch_drills.bench.agent_rig import (
    AgentProcess,
    CollectorProcess,
    Emulator,
    emulator,
    environment_of,
    free_port,
)
from ringwatch_proto.records import Severity
from ringwatch_proto.signals import BY_ID
from ringwatch_proto.v1 import query_pb2, query_pb2_grpc

_START_S: Final = 20.0
_SHOW_S: Final = 40.0
_RECOVER_S: Final = 90.0
# After the first readings: the second of the slow group, from which rates come, is one beat later.
_SETTLE_S: Final = 3.0
_LIVE_S: Final = 3.0
# A cell that says "no incident" has to hold for so long.
_QUIET_S: Final = 6.0
_SAMPLE: Final = re.compile(r"^(\w+)\{([^}]*)\} (\S+)$")
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What came of one fault. Times are seconds after it was laid; NaN for what never came."""

    fault: str
    title: str
    metrics: str
    metrics_s: float
    collector: str
    collector_s: float
    scan: str
    scan_exit: int
    scan_s: float
    others_live: bool
    recovered_s: float
    right: bool


class Bench:
    """One collector for all faults."""

    def __init__(self, folder: Path, address: str) -> None:
        self._folder = folder
        self._address = address
        self._sysfs = bus(folder / "sys")
        self._query: Any = query_pb2_grpc.QueryStub(grpc.insecure_channel(address))

    def run(self, fault: Fault) -> Row:
        """Lay one fault and see what is shown."""
        folder = self._folder / fault.name
        folder.mkdir()
        driver = emulator(folder)
        kernel = folder / "kmsg"
        kernel.touch()
        bed = Bed(driver=driver, kernel=_kernel_log(kernel))
        fault.first(bed)
        metrics = f"127.0.0.1:{free_port()}"
        agent = AgentProcess(
            folder, self._address, metrics, environment_of(driver), "--node", fault.name,
            "--kmsg", str(kernel), "--sysfs", str(self._sysfs),
        )  # fmt: skip
        agent.start()
        try:
            return self._watch(fault, bed, driver, metrics, folder)
        finally:
            driver.set(all__block=0, init__block=0, gpu3__block=0)
            agent.stop()

    def _watch(self, fault: Fault, bed: Bed, driver: Emulator, metrics: str, folder: Path) -> Row:
        _first(_START_S, lambda: _scrape(metrics) if self._knows(fault.name) else None)
        time.sleep(_SETTLE_S)
        laid_s = time.monotonic()
        fault.lay(bed)
        shown = _Timed(laid_s, lambda: fault.page(_scrape(metrics) or Page(values={})))
        told = _Timed(laid_s, lambda: fault.told(self._told(fault.name)))
        live = True
        while not (shown.words and told.words) and time.monotonic() - laid_s < _SHOW_S:
            shown.look()
            told.look()
            live = live and (not fault.live or _others_live(_scrape(metrics)))
            time.sleep(0.2)
        if not fault.recovers:
            time.sleep(_QUIET_S)
            told.words = told.words and fault.told(self._told(fault.name))
        scan, code, scan_s = _scan(environment_of(driver), folder, self._sysfs)
        recovered_s = self._recovery(fault, driver, metrics) if fault.recovers else math.nan
        right = (
            bool(shown.words and told.words) and live and (scan, code) == (_expected(fault), fault.scan[2])
        )
        right = right and (not fault.recovers or not math.isnan(recovered_s))
        return Row(
            fault=fault.name,
            title=fault.title,
            metrics=shown.words,
            metrics_s=shown.after_s,
            collector=told.words,
            collector_s=told.after_s,
            scan=scan,
            scan_exit=code,
            scan_s=scan_s,
            others_live=live,
            recovered_s=recovered_s,
            right=right,
        )

    def _recovery(self, fault: Fault, driver: Emulator, metrics: str) -> float:
        """Repair the driver; return how long it took until the page shows every GPU well again."""
        begin_s = time.monotonic()
        driver.clear(**({"reloads": 2} if fault.name == "gone" else {}))

        def well() -> float | None:
            page = _scrape(metrics)
            if page is None or len(page.names()) != 8 or page.source("nvml") != 1 or fault.page(page):
                return None
            names = page.names()
            states = {page.gpu("state", name) for name in names}
            return time.monotonic() - begin_s if states == {0.0} else None

        found = _first(_RECOVER_S, well)
        return math.nan if found is None else round(found, 1)

    def _knows(self, node: str) -> bool:
        fleet = self._query.GetFleet(query_pb2.GetFleetRequest(), timeout=5.0)
        return any(each.node == node for each in fleet.nodes)

    def _told(self, node: str) -> Told:
        fleet = self._query.GetFleet(query_pb2.GetFleetRequest(), timeout=5.0)
        detail = self._query.GetNode(query_pb2.GetNodeRequest(node=node), timeout=5.0)
        stored = self._query.ListEvents(query_pb2.ListEventsRequest(node=node, limit=1000), timeout=5.0)
        return Told(
            incidents=[
                (each.kind, each.cause, Severity(each.severity).word, each.culprit.device)
                for each in fleet.incidents
                if each.culprit.node == node and each.kind != "node.agent_silent"
            ],
            events=[
                (each.event.kind, each.event.device, each.event.code, each.event.source)
                for each in stored.events
            ],
            sources={row.name: row.reason for row in detail.sources if not row.up},
            readings={(BY_ID[each.signal].name, each.device): each.value for each in detail.readings},
        )


class _Timed:
    """Words that a face shows, and when it first did."""

    def __init__(self, since_s: float, look: Callable[[], str]) -> None:
        self.words = ""
        self.after_s = math.nan
        self._since_s = since_s
        self._look = look

    def look(self) -> None:
        """Look again unless it was seen."""
        if not self.words:
            self.words = self._look()
            if self.words:
                self.after_s = round(time.monotonic() - self._since_s, 1)


def _expected(fault: Fault) -> str:
    fault_class, action, _ = fault.scan
    return f"{fault_class} -> {action}" if fault_class else "nothing"


def _first(seconds: float, look: Callable[[], _T | None]) -> _T | None:
    """Return the first thing that ``look`` gives, None when it never does."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        found = look()
        if found is not None:
            return found
        time.sleep(0.2)
    return None


def _kernel_log(path: Path) -> Callable[[str], None]:
    count = 0

    def write(text: str) -> None:
        nonlocal count
        count += 1
        with path.open("a") as log:
            log.write(f"3,{count},{time.monotonic_ns() // 1000},-;{text}\n")

    return write


def _scrape(address: str) -> Page | None:
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except (OSError, urllib.error.URLError):
        return None
    values: dict[tuple[str, str], float] = {}
    devices: dict[str, str] = {}
    for line in text.splitlines():
        found = _SAMPLE.match(line)
        labels = dict(_LABEL.findall(found[2])) if found else {}
        if found and "name" in labels:
            values[found[1], labels["name"]] = float(found[3])
            devices[labels["device"]] = labels["name"]
    return Page(values=values, devices=devices)


def _others_live(page: Page | None) -> bool:
    """Tell whether each other GPU that is listed was read within the last beats."""
    if page is None:
        return False
    others = [name for name in page.names() if name not in (NAME, page.devices.get(UUID))]
    ages = [page.gpu("reading_age_s", name) for name in others]
    return all(age_s is not None and age_s <= _LIVE_S for age_s in ages)


def _scan(environment: dict[str, str], folder: Path, sysfs: Path) -> tuple[str, int, float]:
    """Scan beside the running agent; return the worst trouble of a GPU or the driver."""
    command = [sys.executable, "-m", "ringwatch_agent", "scan", "--json", "--kmsg", str(folder / "kmsg")]
    begin_s = time.monotonic()
    done = subprocess.run(
        [*command, "--sysfs", str(sysfs)], env=environment, capture_output=True, text=True, check=False
    )
    took_s = round(time.monotonic() - begin_s, 1)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    troubles = [line for line in lines if "trouble" in line and line["severity"] != "INFO"]
    if not troubles:
        return "nothing", done.returncode, took_s
    return f"{troubles[0]['trouble']} -> {troubles[0]['action']}", done.returncode, took_s


def measure(names: Sequence[str], at_once: int, told: Callable[[str], None] = lambda _: None) -> list[Row]:
    """Run the named faults, all when there are none, so many at a time; return their rows in order."""
    faults = [fault for fault in FAULTS if not names or fault.name in names]
    with tempfile.TemporaryDirectory(prefix="ringwatch-faults-", ignore_cleanup_errors=True) as folder:
        collector = CollectorProcess(Path(folder))
        address = collector.start()
        bench, saying = Bench(Path(folder), address), threading.Lock()

        def run(fault: Fault) -> Row:
            row = bench.run(fault)
            with saying:
                told(f"{fault.name}: {'right' if row.right else 'WRONG'}")
            return row

        try:
            with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
                return list(pool.map(run, faults))
        finally:
            collector.stop()


def markdown(rows: Sequence[Row]) -> str:
    """Return the rows as a table of a page."""
    lines = [
        "| fault | `/metrics` | after | collector | after | `agent scan` | exit | took | back after |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        back = "" if math.isnan(row.recovered_s) else f"{row.recovered_s:.1f} s"
        lines.append(
            f"| {row.title} | {row.metrics} | {row.metrics_s:.1f} s | {row.collector} | "
            f"{row.collector_s:.1f} s | {row.scan} | {row.scan_exit} | {row.scan_s:.1f} s | {back} |"
        )
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Print one JSON object a fault, or a table; 1 when a cell is wrong."""
    parser = argparse.ArgumentParser(prog="ringwatch bench faults", description=__doc__)
    parser.add_argument("faults", nargs="*", help="names of faults; all when none is given")
    parser.add_argument("--at-once", type=int, default=3, help="faults that run at the same time")
    parser.add_argument("--json", action="store_true", help="one object a fault instead of the table")
    options = parser.parse_args(argv)
    unknown = set(options.faults) - {fault.name for fault in FAULTS}
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    rows = measure(options.faults, options.at_once, lambda words: print(words, file=sys.stderr))  # noqa: T201
    if options.json:
        text = "\n".join(json.dumps(_without_nan(asdict(row))) for row in rows)
    else:
        text = markdown(rows)
    sys.stdout.write(text + "\n")
    return 0 if all(row.right for row in rows) else 1


def _without_nan(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
