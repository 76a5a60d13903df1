"""``ringwatch bench fuzz``: diagnose, fed by a coverage-guided fuzzer that starts from real evidence.

The fuzzer (atheris, over libFuzzer) runs in a process of its own, since a finding ends it. A finding is an
exception that leaves ``diagnose``, an input that takes longer than the time-out, or memory beyond the
limit; the input is kept.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

_LONGEST_BYTES: Final = 1 << 16
_TIMEOUT_S: Final = 10
_MEMORY_MIB: Final = 1024
_PARTS: Final = ("ringwatch_agent.evidence", "ringwatch_collector.diagnosis", "ringwatch_knowledge")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ringwatch bench fuzz", description="Fuzz diagnose.")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of evidence to start from")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations (default: %(default)s)")
    parser.add_argument("--findings", type=Path, default=Path("var/fuzz"), help="where inputs are kept")
    parser.add_argument("--json", action="store_true", help="one object on the last line")
    return parser


def _seeds(corpus: Path, into: Path) -> int:
    """Copy the evidence flat; libFuzzer wants one input a file."""
    count = 0
    for path in sorted(corpus.rglob("*")):
        if path.is_file() and path.stat().st_size <= _LONGEST_BYTES:
            (into / f"{count:06d}").write_bytes(path.read_bytes())
            count += 1
    return count


def _number(pattern: str, said: str) -> int:
    found = re.findall(pattern, said)
    return int(found[-1]) if found else 0


def main(argv: Sequence[str]) -> int:
    """Fuzz for the time given; return 1 when something was found."""
    options = _parser().parse_args(list(argv))
    options.findings.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ringwatch-fuzz-") as folder:
        seeds = _seeds(options.corpus, Path(folder))
        command = [
            sys.executable, "-m", "ringwatch_drills.bench.fuzz", folder,
            f"-max_total_time={round(options.minutes * 60)}", f"-seed={options.seed}",
            f"-max_len={_LONGEST_BYTES}", f"-timeout={_TIMEOUT_S}", f"-rss_limit_mb={_MEMORY_MIB}",
            f"-artifact_prefix={options.findings}/", "-print_final_stats=1", "-verbosity=1",
        ]  # fmt: skip
        ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    result = _result(ended.stderr, seeds, ended.returncode)
    if ended.returncode:
        sys.stderr.write(ended.stderr[-4000:])
    said = json.dumps(result) if options.json else "\n".join(f"{key}: {result[key]}" for key in result)
    sys.stdout.write(said + "\n")
    return 1 if ended.returncode else 0


def _result(said: str, seeds: int, code: int) -> dict[str, Any]:
    return {
        "seeds": seeds,
        "runs": _number(r"stat::number_of_executed_units:\s*(\d+)", said),
        "edges": _number(r"\bcov: (\d+)", said),
        "slowest_s": _number(r"stat::slowest_unit_time_sec:\s*(\d+)", said),
        "rss_mb": _number(r"stat::peak_rss_mb:\s*(\d+)", said),
        "findings": re.findall(r"Test unit written to (\S+)", said),
        "clean": code == 0,
    }


def _fuzz(argv: list[str]) -> None:
    """Run libFuzzer over diagnose; does not return."""
    import atheris

    with atheris.instrument_imports(include=list(_PARTS)):
        from ringwatch_agent.evidence import app as evidence
        from ringwatch_agent.evidence import files
        from ringwatch_collector.diagnosis import app as diagnosis

    def one(data: bytes) -> None:
        reading = evidence.Reading()
        pieces = files.stream("-", io.BytesIO(data), reading.refuse)
        seen = list(evidence.observations(pieces, reading))
        diagnosis.diagnose(seen, recognised_log=reading.logs > 0)

    atheris.Setup([sys.argv[0], *argv], one)
    atheris.Fuzz()


if __name__ == "__main__":
    _fuzz(sys.argv[1:])
