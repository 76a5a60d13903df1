"""The table of every source: name, what it reads, how it is built. Builds nothing by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ringwatch_agent.config import AgentConfig
from ringwatch_agent.sources.base import Source
from ringwatch_agent.sources.host import HostSource
from ringwatch_agent.sources.kmsg import KmsgSource
from ringwatch_agent.sources.ports import PortsSource


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceContext:
    """What a source may be built from. ``wake`` has it read at once, from any thread."""

    config: AgentConfig
    wake: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceEntry:
    """One row of the table."""

    name: str
    help: str
    build: Callable[[SourceContext], Source]


def _host(context: SourceContext) -> Source:
    return HostSource(node=context.config.node, proc=context.config.proc)


def _ports(context: SourceContext) -> Source:
    return PortsSource(sysfs=context.config.sysfs)


def _kmsg(context: SourceContext) -> Source:
    from ringwatch_knowledge.kernel_log import Follower

    return KmsgSource(Follower().match, path=context.config.kmsg, owned_pci=context.config.kmsg_pci)


ALL: Final[tuple[SourceEntry, ...]] = (
    SourceEntry(name="host", help="CPU, memory, pressure and load of this machine", build=_host),
    SourceEntry(name="ports", help="network ports: state, traffic, errors, egress queue", build=_ports),
    SourceEntry(name="kmsg", help="kernel log: Xid, SXid, bus loss, OOM and other faults", build=_kmsg),
)
