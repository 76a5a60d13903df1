"""The closed list of what an agent can be asked to do on its node, with typed arguments.

Nothing else can be asked: an unknown verb, an unknown argument or a value of the wrong form is
refused by the collector before it is sent and by the agent before it is run. A verb never becomes a
shell command.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ringwatch_proto.errors import VerbRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One typed argument: its pattern must match the whole value."""

    name: str
    pattern: str
    help: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One thing an agent can do. ``risk`` is R0 (reads only) to R3 (hard to undo).

    ``longest_s`` is the most time that it may ask for, in seconds.
    """

    name: str
    risk: str
    help: str
    arguments: tuple[Argument, ...] = ()
    longest_s: float = 60.0


_GPU = Argument(name="gpu", pattern=r"GPU-[0-9a-fA-F-]{8,40}|SIM-[0-9A-Za-z-]{1,40}", help="GPU UUID")
_PID = Argument(name="pid", pattern=r"[1-9][0-9]{0,9}", help="process id on the node")

VERBS: Final[tuple[Verb, ...]] = (
    Verb(name="gpu.inspect", risk="R0", help="read every NVML signal of one GPU now", arguments=(_GPU,)),
    Verb(name="process.inspect", risk="R0", help="state, CPU, cgroup quota of a process", arguments=(_PID,)),
    Verb(name="node.inspect", risk="R0", help="host, ports, sources and the kernel log's last faults"),
    Verb(
        name="gpu.reset_clocks",
        risk="R1",
        help="take back locked SM clocks (nvmlDeviceResetGpuLockedClocks)",
        arguments=(_GPU,),
    ),
    Verb(
        name="process.continue",
        risk="R1",
        help="let a stopped training process go on (SIGCONT); only ranks that joined by the hook",
        arguments=(_PID,),
    ),
    Verb(
        name="process.terminate",
        risk="R2",
        help="ask a training process to end (SIGTERM); only ranks that joined by the hook",
        arguments=(_PID,),
    ),
    Verb(
        name="node.probe",
        risk="R1",
        help="load the idle node and prove it: arithmetic, memory, copies, pairs, storage",
        arguments=(Argument(name="level", pattern="quick|full", help="quick or full"),),
        longest_s=600.0,
    ),
)

BY_NAME: Final[dict[str, Verb]] = {verb.name: verb for verb in VERBS}


def check_request(name: str, arguments: Mapping[str, str]) -> Verb:
    """Return the verb when the request fits the list; raise VerbRefused with the reason otherwise."""
    verb = BY_NAME.get(name)
    if verb is None:
        raise VerbRefused(f"no verb {name[:60]!r}")
    wanted = {argument.name: argument for argument in verb.arguments}
    for key in arguments:
        if key not in wanted:
            raise VerbRefused(f"{name}: no argument {key[:60]!r}")
    for key, argument in wanted.items():
        if key not in arguments:
            raise VerbRefused(f"{name}: argument {key} is missing")
        if re.fullmatch(argument.pattern, arguments[key]) is None:
            raise VerbRefused(f"{name}: {key}={arguments[key][:60]!r} is not {argument.help}")
    return verb
