"""Slurm through its own commands, by argument lists: state, drain, resume, requeue. Knows no runbook."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Final

from ringwatch_collector.repair import programs
from ringwatch_collector.repair.base import done, failed, refused, yes_no
from ringwatch_collector.repair.slurm_node import OWNER, NodeState, parse_node
from ringwatch_runbooks.base import RepairCall, VerbOutcome

_JOB: Final = re.compile(r"[0-9]{1,10}(_[0-9]{1,10})?")
_LOOK_S: Final = 0.3
_COMMAND_S: Final = 20.0


class SlurmError(Exception):
    """Slurm did not do as it was asked; the text is for a person."""


class Slurm:
    """One cluster, through ``scontrol`` and ``squeue``."""

    def __init__(self, *, scontrol: str, squeue: str, environment: Mapping[str, str]) -> None:
        self._scontrol = scontrol
        self._squeue = squeue
        self._environment = environment

    @property
    def calls(self) -> tuple[str, ...]:
        """Names of what it can do."""
        return (
            "scheduler.state", "scheduler.drain", "scheduler.resume", "scheduler.move", "scheduler.requeue",
        )  # fmt: skip

    async def plan(self, call: RepairCall) -> VerbOutcome:
        """Say what would be done: reads state and jobs, and changes nothing."""
        try:
            return await self._planned(call)
        except (SlurmError, OSError) as error:
            return failed(str(error))

    async def do(self, call: RepairCall) -> VerbOutcome:
        """Do it, and say what was before and after."""
        acts = {
            "scheduler.state": self._state,
            "scheduler.drain": self._drain,
            "scheduler.resume": self._resume,
            "scheduler.move": self._move,
            "scheduler.requeue": self._requeue,
        }
        try:
            return await acts[call.name](call)
        except (SlurmError, OSError) as error:
            return failed(str(error))

    async def _planned(self, call: RepairCall) -> VerbOutcome:
        if call.name == "scheduler.requeue":
            job = await self._job_of(call.arguments["job"])
            return done(f"would requeue job {job}")
        node = await self.node(call.arguments["node"])
        jobs = await self.jobs(node.name)
        words = f"{len(jobs)} jobs run there" + (f" ({', '.join(jobs[:8])})" if jobs else "")
        would = {
            "scheduler.state": f"{node.name} is {node}; {words}",
            "scheduler.drain": f"{node.name} is {node}; would drain it with reason {_reason(call)!r}; "
            f"{words} and go on",
            "scheduler.resume": f"{node.name} is {node}; "
            + (_refusal_to_resume(node, call) or "would resume it"),
            "scheduler.move": f"{node.name} is {node}; would requeue: {words}",
        }
        return done(would[call.name])

    async def _state(self, call: RepairCall) -> VerbOutcome:
        node = await self.node(call.arguments["node"])
        jobs = await self.jobs(node.name)
        return done(
            f"{node.name} is {node}; {len(jobs)} jobs",
            state=node.state,
            out=yes_no(node.out),
            ours=yes_no(node.ours),
            work=str(len(jobs)),
            reason=node.reason,
        )

    async def _drain(self, call: RepairCall) -> VerbOutcome:
        before = await self.node(call.arguments["node"])
        if before.drained:
            return done(f"{before.name}: it was out already, and is left as it is: {before}")
        # Each argument is one word of the list; none of them can become an option or a second node.
        await self._update(before.name, "state=drain", f"reason={_reason(call)}")
        after = await self.node(before.name)
        if not after.drained:
            return failed(f"{before.name}: before {before}, after {after}: it is not drained")
        return done(f"{before.name}: before {before}, after {after}", before=str(before), after=str(after))

    async def _resume(self, call: RepairCall) -> VerbOutcome:
        before = await self.node(call.arguments["node"])
        why = _refusal_to_resume(before, call)
        if why:
            return refused(f"{before.name}: {why}")
        await self._update(before.name, "state=resume")
        after = await self._until(before.name, call.timeout_s)
        if after.out:
            return failed(f"{before.name}: before {before}, after {after}: it is not in service")
        return done(f"{before.name}: before {before}, after {after}", before=str(before), after=str(after))

    async def _until(self, name: str, timeout_s: float) -> NodeState:
        """Return the node once it is in service, or as it is when the time is over."""
        until_s = time.monotonic() + max(1.0, timeout_s - 5.0)
        node = await self.node(name)
        while node.out and time.monotonic() < until_s:
            await asyncio.sleep(_LOOK_S)
            node = await self.node(name)
        return node

    async def _move(self, call: RepairCall) -> VerbOutcome:
        node = await self.node(call.arguments["node"])
        if not node.drained:
            return refused(f"{node.name} is {node}: jobs would come back to it; drain it first")
        jobs = await self.jobs(node.name)
        troubles = [trouble for job in jobs if (trouble := await self._requeued(job))]
        left = await self._emptied(node.name, call.timeout_s)
        said = f"{len(jobs) - len(troubles)} of {len(jobs)} jobs were requeued"
        if troubles or left:
            still = f"; still there: {', '.join(left[:8])}" if left else ""
            return failed(f"{node.name}: {said}{still}; {'; '.join(troubles[:4])}".rstrip("; "))
        return done(
            f"{node.name}: before {len(jobs)} jobs, after 0; {said} ({', '.join(jobs[:8]) or 'none'})"
        )

    async def _emptied(self, name: str, timeout_s: float) -> list[str]:
        until_s = time.monotonic() + max(1.0, timeout_s - 5.0)
        left = await self.jobs(name)
        while left and time.monotonic() < until_s:
            await asyncio.sleep(_LOOK_S)
            left = await self.jobs(name)
        return left

    async def _requeue(self, call: RepairCall) -> VerbOutcome:
        job = await self._job_of(call.arguments["job"])
        trouble = await self._requeued(job)
        return failed(trouble) if trouble else done(f"job {job} was requeued")

    async def _requeued(self, job: str) -> str:
        """Requeue a job; return what went wrong, empty when nothing did."""
        ended = await self._ran(self._scontrol, "requeue", job)
        return "" if ended.well else f"job {job}: {ended.words}"

    async def _job_of(self, name: str) -> str:
        """Return the id of a job: Ringwatch calls a Slurm job ``slurm-ID`` unless it has a name."""
        number = name.removeprefix("slurm-")
        if _JOB.fullmatch(number):
            return number
        ended = await self._ran(self._squeue, "--noheader", "--states=R", f"--name={name}", "--format=%i")
        found = ended.out.split()
        if not ended.well or len(found) != 1 or _JOB.fullmatch(found[0]) is None:
            raise SlurmError(f"{len(found)} running jobs are called {name}: name one by its id")
        return found[0]

    async def node(self, name: str) -> NodeState:
        """Return a node as Slurm has it now; raise SlurmError when it knows no such node."""
        if name.casefold() == "all":  # scontrol takes ALL for every node of the cluster
            raise SlurmError("ALL is no node")
        ended = await self._ran(self._scontrol, "--oneliner", "show", "node", name)
        found = [line for line in ended.out.splitlines() if line.startswith("NodeName=")]
        if not ended.well or len(found) != 1 or found[0].split()[0] != f"NodeName={name}":
            raise SlurmError(f"Slurm knows no node {name}: {ended.words}")
        return parse_node(found[0])

    async def jobs(self, name: str) -> list[str]:
        """Return the ids of jobs that run on a node, or are about to leave it."""
        ended = await self._ran(
            self._squeue, "--noheader", "--states=R,S,CG", f"--nodelist={name}", "--format=%i"
        )
        if not ended.well:
            raise SlurmError(f"squeue: {ended.words}")
        return [job for job in ended.out.split() if _JOB.fullmatch(job)]

    async def _update(self, name: str, *settings: str) -> None:
        ended = await self._ran(self._scontrol, "update", f"nodename={name}", *settings)
        if not ended.well:
            raise SlurmError(f"scontrol update {name}: {ended.words}")

    async def _ran(self, program: str, *arguments: str) -> programs.Ended:
        return await programs.run((program, *arguments), self._environment, _COMMAND_S)


def _reason(call: RepairCall) -> str:
    who = re.sub(r"[^A-Za-z0-9._@-]", "?", call.approved_by or call.requested_by)[:40]
    return f"{OWNER} {call.incident} {call.run} by {who}"


def _refusal_to_resume(node: NodeState, call: RepairCall) -> str:
    """Return why a node must not go back: someone else took it out, or another incident holds it."""
    if not node.out:
        return "it is in service"
    if not node.ours:
        return f"it was not taken out from here ({node}): ask who did"
    if call.incident not in node.reason.split():
        return f"another incident holds it ({node.reason})"
    return ""
