"""``ringwatch diagnose FILE|DIR|- ...``: reads argv, prints findings.

Exit codes: 0 no fault found, 1 a fault was found, 2 usage, 3 cannot tell from this evidence,
4 nothing that was given could be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ringwatch.diagnose import app
from ringwatch.diagnose.app import Diagnosis
from ringwatch.diagnose.progress import Progress, size_of
from ringwatch.diagnose.words import ACTIONS_ZH, WORDS
from ringwatch_collector.diagnosis.conclusion import Conclusion
from ringwatch_knowledge.observation import Observation
from ringwatch_proto.records import Severity

NO_FAULT, FAULT, CANNOT_TELL, NOT_READ = 0, 1, 3, 4
_QUOTE: Final = 200


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ringwatch diagnose",
        description="Say what logs, dumps and outputs of tools show. Nothing leaves this machine.",
        epilog="Exit code: 0 no fault, 1 a fault, 2 usage, 3 cannot tell, 4 nothing could be read. "
        "Example: dmesg | ringwatch diagnose -",
    )
    parser.add_argument("evidence", nargs="+", metavar="FILE|DIR|-", help="what you have; - reads a paste")
    parser.add_argument("--json", action="store_true", help="one object on one line")
    parser.add_argument(
        "--why", action="store_true", help="with look-alikes, and which kinds each file holds"
    )
    parser.add_argument("--lang", choices=sorted(WORDS), default="en", help="language of the findings")
    return parser


def _printable(text: str) -> str:
    """Return a quote that cannot move the terminal's cursor."""
    return "".join(letter if letter.isprintable() else " " for letter in text.strip())[:_QUOTE]


def _source(seen: Observation) -> str:
    return f"{_printable(seen.file)}:{seen.line}" if seen.line else _printable(seen.file)


def _as_object(each: Conclusion) -> dict[str, Any]:
    return {
        "component": each.about.component,
        "fault": each.fault_class,
        "title": each.about.title,
        "title_zh": each.about.title_zh,
        "severity": Severity(each.about.severity).word,
        "where": each.where,
        "role": each.role,
        "confidence": each.confidence,
        "guessed": each.guessed,
        "action": each.first_step,
        "runbook": each.about.runbook,
        "note": each.note,
        "evidence": [{"file": row.file, "line": row.line, "text": row.text} for row in each.evidence],
        "explains": [{"file": row.file, "line": row.line, "text": row.text} for row in each.explains],
        "ruled_out": list(each.ruled_out),
        "settle": list(each.settle),
    }


def as_object(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return a diagnosis as plain data for ``--json``."""
    answer, reading = diagnosis.answer, diagnosis.reading
    return {
        "verdict": answer.verdict,
        "findings": [_as_object(each) for each in answer.conclusions],
        "benign": [_as_object(each) for each in answer.benign],
        "unread": [{"file": row.file, "line": row.line, "text": row.text} for row in answer.unread],
        "kinds": {file: sorted(kinds) for file, kinds in reading.kinds.items()},
        "refused": reading.refused,
        "bytes": reading.bytes_read,
        "lines": reading.lines_read,
    }


def _finding(number: int, each: Conclusion, lang: str) -> list[str]:
    words = WORDS[lang]
    title = each.about.title_zh if lang == "zh" else each.about.title
    step = ACTIONS_ZH.get(each.first_step, each.first_step) if lang == "zh" else each.first_step
    rows = [
        f"{number}. {Severity(each.about.severity).word}  {title}  [{each.fault_class}]",
        f"   {words[each.role]}, {words['confidence']} {each.confidence:.0%}",
    ]
    if each.guessed:
        rows.append(f"   {words['guessed']}")
    if each.where:
        rows.append(f"   {words['where']}: {_printable(each.where)}")
    if each.note:
        rows.append(f"   {each.note}")
    rows.append(f"   {words['step']}: {step}")
    if each.about.runbook:
        rows.append(f"   {words['runbook']}: {each.about.runbook}")
    rows += [f"   {words['evidence']}: {_source(row)}: {_printable(row.text)}" for row in each.evidence]
    rows += [f"   {words['explains']}: {_source(row)}: {_printable(row.text)}" for row in each.explains[:3]]
    rows += [f"   {words['ruled_out']}: {text}" for text in each.ruled_out]
    rows += [f"   {words['settle']}: {text}" for text in each.settle]
    return rows


def as_text(diagnosis: Diagnosis, lang: str, *, why: bool) -> str:
    """Return a diagnosis as a person reads it."""
    words, answer, reading = WORDS[lang], diagnosis.answer, diagnosis.reading
    rows = [] if answer.conclusions else [words[answer.verdict]]
    rows += [f"{words['unread']}: {_source(row)}: {_printable(row.text)}" for row in answer.unread]
    for number, each in enumerate(answer.conclusions, 1):
        rows += _finding(number, each, lang)
    if why:
        for each in answer.benign:
            rows += [f"{words['also']}: {_source(row)}: {_printable(row.text)}" for row in each.evidence]
        for file, kinds in reading.kinds.items():
            rows.append(f"{words['read']}: {_printable(file)}: {', '.join(sorted(kinds)) or '-'}")
    return "\n".join(rows)


def _exit_code(diagnosis: Diagnosis) -> int:
    if diagnosis.answer.conclusions:
        return FAULT
    if diagnosis.reading.refused and not diagnosis.reading.bytes_read:
        return NOT_READ
    return CANNOT_TELL if diagnosis.answer.verdict == "cannot_tell" else NO_FAULT


def main(argv: Sequence[str]) -> int:
    """Diagnose what argv names, print the findings, return the exit code."""
    options = _parser().parse_args(list(argv))
    stdin = sys.stdin.buffer if "-" in options.evidence else None
    paths = [Path(name) for name in options.evidence if name != "-"]
    progress = Progress(sys.stderr, 0 if stdin is not None else size_of(paths))
    diagnosis = app.of_evidence(paths, stdin, progress)
    progress.close()
    for why in diagnosis.reading.refused:
        print(f"{WORDS[options.lang]['refused']}: {_printable(why)}", file=sys.stderr)
    if options.json:
        print(json.dumps(as_object(diagnosis), ensure_ascii=False))
    else:
        print(as_text(diagnosis, options.lang, why=options.why))
    return _exit_code(diagnosis)
