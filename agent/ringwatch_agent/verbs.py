"""Carries out the closed list of node verbs that the policy of this node allows. No shell, ever."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ringwatch_agent.probe.node import ProbeFailed, ProbeNode, run_probe
from ringwatch_proto.errors import VerbError, VerbRefused
from ringwatch_proto.v1 import telemetry_pb2 as pb
from ringwatch_proto.verbs import BY_NAME, check_request

_log = logging.getLogger(__name__)

Facts = dict[str, str]
_DEFAULT_TIMEOUT_S: Final = 10.0
_MAX_AT_ONCE: Final = 4
_REMEMBERED: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What verbs look at and act through; each callable may block and is called on a thread."""

    inspect_gpu: Callable[[str], Facts]
    inspect_node: Callable[[], Facts]
    reset_clocks: Callable[[str], None]
    training_pids: Callable[[], Mapping[int, int]]
    proc: Path = Path("/proc")
    probe: ProbeNode = run_probe


class Verbs:
    """Answers requests. A request that comes again gets the answer it got, and is not run again."""

    def __init__(self, allowed: frozenset[str], node: NodeFacts) -> None:
        self.allowed = tuple(sorted(allowed))
        self._node = node
        self._answers: OrderedDict[str, asyncio.Task[pb.VerbResult]] = OrderedDict()
        self._places = asyncio.Semaphore(_MAX_AT_ONCE)

    async def __call__(self, request: pb.VerbRequest) -> pb.VerbResult:
        """Return what came of a request; never raises."""
        if request.id not in self._answers:
            self._answers[request.id] = asyncio.create_task(self._answer(request))
            while len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)
        return await asyncio.shield(self._answers[request.id])

    async def _answer(self, request: pb.VerbRequest) -> pb.VerbResult:
        known = BY_NAME.get(request.verb)
        longest_s = known.longest_s if known is not None else _DEFAULT_TIMEOUT_S
        timeout_s = min(request.timeout_s or _DEFAULT_TIMEOUT_S, longest_s)
        try:
            act = self._checked(request)
            async with asyncio.timeout(timeout_s), self._places:
                text, facts = await asyncio.to_thread(act)
            result = pb.VerbResult(id=request.id, status=pb.VERB_STATUS_DONE, text=text, facts=facts)
        except VerbRefused as error:
            result = pb.VerbResult(id=request.id, status=pb.VERB_STATUS_REFUSED, text=str(error))
        except ProbeFailed as error:
            result = pb.VerbResult(
                id=request.id, status=pb.VERB_STATUS_FAILED, text=str(error), facts=error.facts
            )
        except TimeoutError:
            text = f"{request.verb} has not come back for {timeout_s:.0f} s; it may still happen"
            result = pb.VerbResult(id=request.id, status=pb.VERB_STATUS_TIMED_OUT, text=text)
        except Exception as error:  # noqa: BLE001 - whatever went wrong is the answer
            result = pb.VerbResult(id=request.id, status=pb.VERB_STATUS_FAILED, text=str(error))
        _log.info(
            # What others wrote is quoted: it may hold line ends, and this is a log.
            "verb %r %s for %r, approved by %r: %s %r",
            request.verb,
            dict(request.arguments),
            request.requested_by or "nobody named",
            request.approved_by or "nobody",
            pb.VerbStatus.Name(result.status),
            result.text,
        )
        return result

    def _checked(self, request: pb.VerbRequest) -> Callable[[], tuple[str, Facts]]:
        verb = check_request(request.verb, request.arguments)
        if verb.name not in self.allowed:
            raise VerbRefused(f"the policy of this node does not allow {verb.name}")
        if verb.risk != "R0" and not request.approved_by and not request.dry_run:
            raise VerbRefused(f"{verb.name} changes the node and nobody approved it")
        arguments, dry_run = dict(request.arguments), request.dry_run
        acts: dict[str, Callable[[], tuple[str, Facts]]] = {
            "gpu.inspect": lambda: ("read", self._node.inspect_gpu(arguments["gpu"])),
            "node.inspect": lambda: ("read", self._node.inspect_node()),
            "process.inspect": lambda: ("read", inspect_process(int(arguments["pid"]), self._node.proc)),
            "gpu.reset_clocks": lambda: self._reset_clocks(arguments["gpu"], dry_run),
            "process.continue": lambda: self._signal(int(arguments["pid"]), signal.SIGCONT, dry_run),
            "node.probe": lambda: self._probe(arguments["level"], request.timeout_s, dry_run=dry_run),
            "process.terminate": lambda: self._signal(int(arguments["pid"]), signal.SIGTERM, dry_run),
        }
        return acts[verb.name]

    def _probe(self, level: str, timeout_s: float, *, dry_run: bool) -> tuple[str, Facts]:
        working = len(self._node.training_pids())
        if working:
            raise VerbRefused(f"{working} training processes work on this node: a probe would disturb them")
        if dry_run:
            return f"dry run: would load this node with the {level} probe; no training process is here", {}
        return self._node.probe(level, timeout_s or _DEFAULT_TIMEOUT_S)

    def _reset_clocks(self, gpu: str, dry_run: bool) -> tuple[str, Facts]:
        if dry_run:
            return f"dry run: would reset the locked SM clocks of {gpu}", {}
        self._node.reset_clocks(gpu)
        return f"locked SM clocks of {gpu} were reset", {}

    def _signal(self, pid: int, number: signal.Signals, dry_run: bool) -> tuple[str, Facts]:
        try:
            # Held open before the check, the descriptor is the process that is checked, whatever
            # becomes of its number.
            process = os.pidfd_open(pid)
        except OSError as error:
            raise VerbRefused(f"no process {pid}: {error.strerror}") from error
        try:
            if pid not in self._node.training_pids():
                raise VerbRefused(f"process {pid} is no training process that joined by the hook")
            facts = inspect_process(pid, self._node.proc)
            if dry_run:
                return f"dry run: would send {number.name} to {pid} ({facts['name']})", facts
            signal.pidfd_send_signal(process, number)
        except OSError as error:
            raise VerbError(f"{number.name} to {pid}: {error.strerror}") from error
        finally:
            os.close(process)
        return f"{number.name} was sent to {pid} ({facts['name']})", facts


def inspect_process(pid: int, proc: Path) -> Facts:
    """Return name, state, threads, memory, user and CPU quota of a process; raise VerbError without one."""
    folder = proc / str(pid)
    try:
        status = dict(line.split(":\t", 1) for line in _lines(folder / "status") if ":\t" in line)
    except OSError as error:
        raise VerbError(f"no process {pid}: {error.strerror}") from error
    facts = {
        "name": status.get("Name", ""),
        "state": status.get("State", "").partition(" ")[0],
        "threads": status.get("Threads", ""),
        "resident": status.get("VmRSS", "").strip(),
        "user_id": status.get("Uid", "").partition("\t")[0],
        "voluntary_switches": status.get("voluntary_ctxt_switches", ""),
    }
    return {name: value for name, value in {**facts, **_cpu_quota(folder)}.items() if value}


def _cpu_quota(folder: Path) -> Facts:
    try:
        unified = next((line[3:] for line in _lines(folder / "cgroup") if line.startswith("0::")), "")
        cgroup = Path("/sys/fs/cgroup") / unified.lstrip("/")
        quota = (cgroup / "cpu.max").read_text().strip()
        stat = dict(line.split(" ", 1) for line in _lines(cgroup / "cpu.stat"))
    except (OSError, ValueError):
        return {}
    return {"cgroup": unified, "cpu_max": quota, "throttled_usec": stat.get("throttled_usec", "")}


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines()
