"""The table of every source: name, what it reads, how it is built. Builds nothing by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ringwatch_agent.config import AgentConfig
from ringwatch_agent.sources.base import Source
from ringwatch_agent.sources.clock import ClockSource
from ringwatch_agent.sources.disks import DisksSource
from ringwatch_agent.sources.hardware import HardwareSource
from ringwatch_agent.sources.host import HostSource
from ringwatch_agent.sources.kernel_position import KernelPosition
from ringwatch_agent.sources.kmsg import KmsgSource
from ringwatch_agent.sources.mounts import MountsSource
from ringwatch_agent.sources.nvml import NvmlSource
from ringwatch_agent.sources.owners import JobsSource
from ringwatch_agent.sources.port_errors import PortErrorsSource
from ringwatch_agent.sources.ports import PortsSource
from ringwatch_agent.sources.processes import ProcessesSource
from ringwatch_agent.sources.sensors import SensorsSource
from ringwatch_agent.sources.slow import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceContext:
    """What a source may be built from.

    ``wake`` has it read at once, from any thread; ``built`` are the sources above it in the table;
    ``keeps_state`` is False for a look from outside, which must not touch the agent's files.
    """

    config: AgentConfig
    wake: Callable[[], None]
    built: Mapping[str, Source]
    keeps_state: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceEntry:
    """One row of the table."""

    name: str
    help: str
    build: Callable[[SourceContext], Source]
    # Opening it takes something away from a running agent: a look from outside leaves it alone.
    exclusive: bool = False


def _host(context: SourceContext) -> Source:
    parts = [source for source in context.built.values() if isinstance(source, Part)]
    return HostSource(node=context.config.node, proc=context.config.proc, parts=parts)


def _mounts(context: SourceContext) -> Source:
    return MountsSource(proc=context.config.proc)


def _disks(context: SourceContext) -> Source:
    return DisksSource(proc=context.config.proc, sysfs=context.config.sysfs)


def _hardware(context: SourceContext) -> Source:
    return HardwareSource(sysfs=context.config.sysfs, proc=context.config.proc)


def _sensors(context: SourceContext) -> Source:
    return SensorsSource(sysfs=context.config.sysfs)


def _clock(_: SourceContext) -> Source:
    return ClockSource()


def _processes(context: SourceContext) -> Source:
    return ProcessesSource(proc=context.config.proc)


def _port_errors(context: SourceContext) -> Source:
    return PortErrorsSource(sysfs=context.config.sysfs, off=context.config.ports_off)


def _ports(context: SourceContext) -> Source:
    errors = context.built.get("port_errors")
    config = context.config
    if not isinstance(errors, PortErrorsSource):
        return PortsSource(sysfs=config.sysfs, off=config.ports_off)
    source = PortsSource(sysfs=config.sysfs, off=config.ports_off, errors=errors.values)
    errors.follow(source.addressed)
    return source


def _jobs(context: SourceContext) -> Source:
    # NVML's own word of who uses a GPU, where the source of GPUs passes it on.
    seen = getattr(context.built.get("nvml"), "pids_by_gpu", dict)
    return JobsSource(proc=context.config.proc, kubelet=context.config.kubelet, seen=seen)


def _kmsg(context: SourceContext) -> Source:
    from ringwatch_knowledge.kernel_log import Follower

    config = context.config
    position = KernelPosition(config.state_dir / "kmsg.json", config.boot_id) if context.keeps_state else None
    return KmsgSource(Follower().match, path=config.kmsg, owned_pci=config.kmsg_pci, position=position)


def _nvml(_: SourceContext) -> Source:
    return NvmlSource()


def _steps(context: SourceContext) -> Source:
    from ringwatch_agent.sources.steps import StepsSource

    return StepsSource(context.config.hook_socket, wake=context.wake, proc=context.config.proc)


def _flows(context: SourceContext) -> Source:
    from ringwatch_agent.sources.flows import FlowsSource
    from ringwatch_agent.sources.steps import StepsSource

    steps = context.built.get("steps")
    pids = steps.pids if isinstance(steps, StepsSource) else dict[int, int]
    return FlowsSource(pids, proc=context.config.proc)


ALL: Final[tuple[SourceEntry, ...]] = (
    SourceEntry(name="nvml", help="GPUs through NVML, in a process of its own", build=_nvml),
    SourceEntry(name="mounts", help="file systems: not answering, full, made read-only", build=_mounts),
    SourceEntry(name="disks", help="disks: use, waits, errors; NVMe state", build=_disks),
    SourceEntry(
        name="hardware", help="errors of memory (EDAC), CPUs and PCIe (AER), by place", build=_hardware
    ),
    SourceEntry(name="sensors", help="temperatures, fans and alarms (hwmon)", build=_sensors),
    SourceEntry(name="clock", help="whether the clock is kept, and how well", build=_clock),
    SourceEntry(
        name="processes",
        help="hung and unreaped processes, system limits, fabric manager, persistence daemon",
        build=_processes,
    ),
    # After its parts, whose readings stand in its row.
    SourceEntry(name="host", help="CPU, memory, pressure and load of this machine", build=_host),
    SourceEntry(name="port_errors", help="ports: error, ECN, CNP and pause counters", build=_port_errors),
    SourceEntry(name="ports", help="network ports: state, traffic, egress queue", build=_ports),
    SourceEntry(name="jobs", help="which job, rank, user and pod each GPU belongs to", build=_jobs),
    SourceEntry(name="kmsg", help="kernel log: Xid, SXid, bus loss, OOM and other faults", build=_kmsg),
    SourceEntry(
        name="steps", help="training steps of processes that join by the hook", build=_steps, exclusive=True
    ),
    SourceEntry(
        name="flows", help="TCP connections of those processes, by peer", build=_flows, exclusive=True
    ),
)
