"""Proof of a node: its probe, judged against the fleet's earlier probes, which are kept. Repairs nothing."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from ringwatch_collector.repair.base import done, failed
from ringwatch_proto import probe
from ringwatch_proto.errors import WireError
from ringwatch_runbooks.base import NodeVerbs, RepairCall, VerbCall, VerbOutcome

_LOG: Final = logging.getLogger("ringwatch.repair")
VERB: Final = "node.probe"
# The fact under which an agent sends what its probe found, as one line.
RESULT: Final = "result"
_KEPT_PER_NODE: Final = 20
_SHOWN: Final = 12


class Proof:
    """Runs and judges probes. The file keeps the newest results of each node, one a line."""

    def __init__(self, verbs: NodeVerbs, file: Path | None) -> None:
        self._verbs = verbs
        self._file = file
        self._results: dict[str, deque[probe.ProbeResult]] = {}
        self.unreadable = 0
        if file is not None and file.exists():
            self._load(file)

    @property
    def calls(self) -> tuple[str, ...]:
        """Name of what it can do."""
        return ("proof.node",)

    def results(self) -> list[probe.ProbeResult]:
        """Return every kept result."""
        return [result for kept in self._results.values() for result in kept]

    async def plan(self, call: RepairCall) -> VerbOutcome:
        """Ask the node what its probe would do."""
        return await self._verbs.call(self._verb(call))

    async def do(self, call: RepairCall) -> VerbOutcome:
        """Probe the node, keep the result, and judge it."""
        outcome = await self._verbs.call(self._verb(call))
        if outcome.status != "done" and RESULT not in outcome.facts:
            return outcome
        try:
            result = probe.from_json(outcome.facts.get(RESULT, ""))
        except WireError as error:
            return failed(f"{call.arguments['node']}: {error}")
        # A node speaks for itself only, whatever it calls itself.
        result = replace(result, node=call.arguments["node"])
        judgement = probe.judge(result, self.results())
        await asyncio.to_thread(self._keep, replace(result, passed=judgement.passed))
        return _outcome(result, judgement)

    def _verb(self, call: RepairCall) -> VerbCall:
        return VerbCall(
            node=call.arguments["node"],
            verb=VERB,
            arguments={"level": call.arguments["level"]},
            timeout_s=max(1.0, call.timeout_s - 4.0),
            requested_by=call.requested_by,
            approved_by=call.approved_by,
            incident=call.incident,
            dry_run=call.dry_run,
        )

    def _keep(self, result: probe.ProbeResult) -> None:
        """Keep a result on disk; one that failed is kept too, but is nobody's peer."""
        self._results.setdefault(result.node, deque(maxlen=_KEPT_PER_NODE)).append(result)
        if self._file is None:
            return
        text = "".join(probe.to_json(each) + "\n" for each in self.results())
        fresh = self._file.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(self._file)

    def _load(self, file: Path) -> None:
        with suppress(OSError), file.open(encoding="utf-8", errors="replace") as stream:
            for line in stream:
                try:
                    result = probe.from_json(line)
                except WireError:
                    self.unreadable += 1
                    continue
                self._results.setdefault(result.node, deque(maxlen=_KEPT_PER_NODE)).append(result)
        if self.unreadable:
            _LOG.warning("%s: %d lines are no probe result and are left out", file, self.unreadable)


def _outcome(result: probe.ProbeResult, judgement: probe.Judgement) -> VerbOutcome:
    numbers = sum(each.measure.value is not None for each in judgement.judged)
    lines = [
        f"{result.node}: {len(result.measures)} checks in {result.seconds:.0f} s, "
        f"{len(judgement.reasons)} wrong; {judgement.compared} of {numbers} numbers had enough peers",
        *(_line(each) for each in judgement.judged[:_SHOWN]),
        *(f"left out: {each}" for each in result.skipped),
    ]
    if judgement.passed:
        return done("\n".join(lines), passed="yes")
    return failed("\n".join([f"WRONG {reason}" for reason in judgement.reasons] + lines), passed="no")


def _line(each: probe.Judged) -> str:
    value = "" if each.measure.value is None else f" {each.measure.value:.4g} {each.measure.unit}"
    peers = f", {each.of_peers:.0%} of {each.peers} peers" if each.peers else ""
    past = f", {each.of_past:.0%} of its past" if each.past else ""
    return f"{each.measure.device} {each.measure.name}{value}{peers}{past}"
