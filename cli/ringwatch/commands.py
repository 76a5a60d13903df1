"""The one table of sub-commands. A new command is one more row; nothing is imported before it is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A sub-command.

    ``target`` is ``module:function``; the function takes argv and returns an exit code.
    ``prefix`` is put before the user's arguments, for commands that share a parser.
    """

    name: str
    target: str
    help: str
    extra: str
    prefix: tuple[str, ...] = ()


def _console(name: str, help: str) -> Command:
    return Command(name=name, target="ringwatch_tui.cli:main", help=help, extra="console", prefix=(name,))


COMMANDS: Final[tuple[Command, ...]] = (
    _console("console", "open the console (also: ringwatch with nothing behind it)"),
    _console("status", "the fleet in one screen of text"),
    _console("incidents", "open incidents"),
    _console("incident", "one incident: cause, evidence, what was ruled out"),
    _console("jobs", "training jobs"),
    _console("job", "one job: step time, late ranks, waits"),
    _console("nodes", "nodes"),
    _console("node", "one node: GPUs, sources, events"),
    _console("gpu", "one GPU: readings, trends beside its peers, events"),
    *(
        Command(
            name=name,
            target="ringwatch_tui.recordings.cli:main",
            help=help,
            extra="console",
            prefix=(name,),
        )
        for name, help in (
            ("record", "what the collector recorded of the last minutes, as a file"),
            ("replay", "the console over a recording"),
            ("export", "the evidence of an incident as one archive"),
        )
    ),
    Command(
        name="web",
        target="ringwatch_tui.web.cli:main",
        help="the console in a browser, read-only",
        extra="web",
    ),
    *(
        Command(name=name, target="ringwatch.notify:main", help=help, extra="console", prefix=(name,))
        for name, help in (
            ("silence", "silences by node, job, kind or cause: list, put, end"),
            ("alerts", "what was told to whom, and what could not be"),
            ("history", "one series of a node or a job over a window"),
        )
    ),
    Command(
        name="runbook",
        target="ringwatch_runbooks.cli:main",
        help="list, show, lint, start and answer runbooks",
        extra="collector",
    ),
    Command(name="agent", target="ringwatch_agent.cli:main", help="the agent of a node", extra="agent"),
    Command(name="collector", target="ringwatch_collector.cli:main", help="the collector", extra="collector"),
    Command(
        name="audit",
        target="ringwatch_collector.audit_cli:main",
        help="who did what: show the audit log, verify its chain",
        extra="collector",
    ),
    Command(
        name="exec",
        target="ringwatch_agent.hook.cli:main",
        help="run a training command with telemetry: ringwatch exec -- torchrun ...",
        extra="train",
    ),
    Command(
        name="demo",
        target="ringwatch_drills.demo.cli:main",
        help="a simulated fleet on the real wire, and a fault to find",
        extra="collector",
    ),
    Command(
        name="lab",
        target="ringwatch_drills.lab.cli:main",
        help="a real job and real faults on this machine (root, torch)",
        extra="train",
    ),
    Command(
        name="diagnose",
        target="ringwatch.diagnose.cli:main",
        help="say what logs, dumps and outputs of tools show: files, folders or - for a paste",
        extra="collector",
    ),
    Command(
        name="kb",
        target="ringwatch_knowledge.cli:main",
        help="what faults, log lines and signals mean; your own words over it",
        extra="agent",
    ),
    Command(
        name="probe",
        target="ringwatch_agent.probe.cli:main",
        help="prove this node under load: arithmetic, memory, copies, pairs, storage",
        extra="train",
    ),
    Command(
        name="completion",
        target="ringwatch.completion:main",
        help="a script that completes commands, options and names: bash, zsh or fish",
        extra="console",
    ),
    Command(name="bench", target="ringwatch.bench:main", help="measure Ringwatch itself", extra="all"),
)
