"""``ringwatch bench kernel-lines``: kernel logs of cases with known answers, through the agent's own source.

A case is a folder with ``case.yaml``: the names of its evidence files and, under ``expected``, the Xids
and SXids that the log tells of and the class of the fault. Each kernel log among the evidence is given
the form of ``/dev/kmsg`` and read by the source that an agent runs. Expected stands against seen; what
is no kernel log is left out, and a case without a fault must raise nothing.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from ringwatch_agent.sources.base import EventRecord
from ringwatch_agent.sources.kmsg import KmsgSource
from ringwatch_knowledge.kernel_log import Follower, match
from ringwatch_proto import events

# What a line of a kernel log looks like: stamps of /dev/kmsg, dmesg, dmesg -T and -x, syslog; or, pasted
# without a stamp, a name that only the kernel and its drivers print.
_KERNEL_LINE: Final = re.compile(
    r"^\d+,\d+,\d+,[^;]*;|^(?:<\d+>)?\s*\[\s*\+?\d+\.\d+\]|^\[(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) |^kern\s*:"
    r"|\bkernel:|\bNVRM: |\bnvidia-nvswitch\d|\bINFO: task |\bwatchdog: BUG|^Memory cgroup out of memory"
)
_KMSG_HEAD: Final = re.compile(r"^\d+,\d+,\d+,[^;]*;")
# Class of fault -> the kind of event that tells it, where a kind of its own exists for it.
_KIND_OF_CLASS: Final = {
    "gpu.off_bus": {events.GPU_LOST, events.GPU_XID},
    "host_memory.oom_kill": {events.KERNEL_OOM},
    "ethernet.link_down": {events.PORT_DOWN},
    "ib_link.down": {events.PORT_DOWN},
}
_ANY_FAULT: Final = set(events.EVENT_KINDS) - {events.KERNEL_LINES_LOST}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One case: what its log should tell, and what was told."""

    case: str
    negative: bool
    xids: tuple[int, ...]
    seen_xids: tuple[int, ...]
    sxids: tuple[int, ...]
    seen_sxids: tuple[int, ...]
    fault_class: str
    seen_kinds: tuple[str, ...]
    right: bool


def holds_kernel_lines(text: str) -> bool:
    """Return whether some line is of a kernel log."""
    return any(_KERNEL_LINE.search(line) for line in text.splitlines())


def told(text: str) -> tuple[EventRecord, ...]:
    """Return the events that an agent makes of a kernel log."""
    with tempfile.TemporaryDirectory(prefix="ringwatch-kmsg-") as folder:
        path = Path(folder) / "kmsg"
        path.write_text("".join(_records(text.splitlines())), encoding="utf-8")
        source = KmsgSource(Follower().match, path=path)
        source.open()
        reading = source.read()
        source.close()
    return reading.events


def _records(lines: Iterable[str]) -> Iterator[str]:
    """Give lines the form of ``/dev/kmsg``, ten seconds apart, so that none is taken for a repetition."""
    for number, line in enumerate((line for line in lines if line.strip()), 1):
        yield f"4,{number},{number * 10_000_000},-;{_KMSG_HEAD.sub('', line)}\n"


def score(folder: Path) -> Row | None:
    """Read the kernel lines of one case; None when it has none.

    A case without a fault is read whatever its evidence is: no text at all may raise an event.
    """
    case = yaml.safe_load((folder / "case.yaml").read_text(encoding="utf-8"))
    files = [folder / name for name in case["evidence"] if (folder / name).is_file()]
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
    if not case["negative"]:
        texts = [text for text in texts if holds_kernel_lines(text)]
    if not texts:
        return None
    seen = [event for text in texts for event in told(text)]
    return _row(folder.name, bool(case["negative"]), case["expected"], seen)


def _row(name: str, negative: bool, expected: dict[str, Any], seen: Sequence[EventRecord]) -> Row:
    kinds = {event.kind for event in seen}
    wanted = {kind: set(expected.get(key) or ()) for key, kind in _CODES.items()}
    codes = {kind: {event.code for event in seen if event.kind == kind} for kind in wanted}
    if negative:
        right = not kinds
    elif any(wanted.values()):
        right = codes == wanted
    else:
        right = bool(kinds & _KIND_OF_CLASS.get(expected["fault_class"], _ANY_FAULT))
    return Row(
        case=name,
        negative=negative,
        xids=tuple(sorted(wanted[events.GPU_XID])),
        seen_xids=tuple(sorted(codes[events.GPU_XID])),
        sxids=tuple(sorted(wanted[events.NVSWITCH_SXID])),
        seen_sxids=tuple(sorted(codes[events.NVSWITCH_SXID])),
        fault_class=expected["fault_class"],
        seen_kinds=tuple(sorted(kinds)),
        right=right,
    )


_CODES: Final = {"xids": events.GPU_XID, "sxids": events.NVSWITCH_SXID}


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRow:
    """One line of a catalogue of shapes: whose example it is, and what it was read as; empty for nothing."""

    shape: str
    seen: str
    line: str


def lines_of(catalogue: Path) -> list[LineRow]:
    """Read every example of a catalogue: ``patterns``, each with ``id`` and ``examples`` of ``line``."""
    found = yaml.safe_load(catalogue.read_text(encoding="utf-8"))["patterns"]
    return [
        LineRow(shape=pattern["id"], seen=_shape_of(example["line"]), line=example["line"])
        for pattern in found
        for example in pattern.get("examples") or ()
    ]


def _shape_of(text: str) -> str:
    faults = [fault for line in text.splitlines() if (fault := match(line)) is not None]
    return faults[0].pattern_id if faults else ""


def _line_table(rows: Sequence[LineRow]) -> str:
    odd = [row for row in rows if row.seen != row.shape]
    lines = [f"{row.shape:<24} {row.seen or 'nothing':<24} {row.line[:100]}" for row in odd]
    return "\n".join([*lines, f"{len(rows) - len(odd)} of {len(rows)} lines read as their own shape"])


def _table(rows: Sequence[Row]) -> str:
    lines = [f"{'case':<46} {'expected':<34} {'seen':<44} "]
    for row in rows:
        codes = ", ".join(str(code) for code in (*row.xids, *row.sxids))
        seen = ", ".join(str(code) for code in (*row.seen_xids, *row.seen_sxids))
        wanted = "nothing" if row.negative else codes or row.fault_class
        shown = seen or ", ".join(row.seen_kinds) or "nothing"
        lines.append(f"{row.case[:45]:<46} {wanted[:33]:<34} {shown[:43]:<44} {'' if row.right else 'WRONG'}")
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Score every case and print the table or one JSON object; 1 when a case is wrong."""
    parser = argparse.ArgumentParser(prog="ringwatch bench kernel-lines", description=__doc__)
    parser.add_argument("--cases", type=Path, required=True, help="folder of folders with case.yaml")
    parser.add_argument("--lines", type=Path, help="YAML of line shapes with examples, to be read as well")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the tables")
    options = parser.parse_args(argv)
    folders = sorted(path.parent for path in options.cases.glob("*/case.yaml"))
    if not folders:
        sys.stderr.write(f"ringwatch bench kernel-lines: no */case.yaml in {options.cases}\n")
        return 2
    rows = [row for folder in folders if (row := score(folder)) is not None]
    lines = lines_of(options.lines) if options.lines else []
    right = sum(row.right for row in rows)
    if options.json:
        told_rows = {"rows": [asdict(row) for row in rows], "lines": [asdict(row) for row in lines]}
        sys.stdout.write(
            json.dumps({"cases": len(folders), "read": len(rows), "right": right, **told_rows}) + "\n"
        )
    else:
        sys.stdout.write(f"{_table(rows)}\n{right} of {len(rows)} right; {len(folders)} cases there\n")
        sys.stdout.write(f"{_line_table(lines)}\n" if lines else "")
    return 0 if right == len(rows) else 1
