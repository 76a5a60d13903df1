"""The table of every source: name, what it reads, how it is built. Builds nothing by itself."""

from __future__ import annotations

import socket
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
from ringwatch_agent.sources.outsiders import Roster
from ringwatch_agent.sources.owners import JobsSource
from ringwatch_agent.sources.port_errors import PortErrorsSource
from ringwatch_agent.sources.ports import PortsSource, local_addresses
from ringwatch_agent.sources.processes import ProcessesSource
from ringwatch_agent.sources.sensors import SensorsSource
from ringwatch_agent.sources.slow import Part
from ringwatch_agent.sources.unset import UnsetSource


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


def _roster(context: SourceContext) -> Roster:
    """Return the roster that the sources without a hook share."""
    shared = (getattr(source, "roster", None) for source in context.built.values())
    return next((roster for roster in shared if isinstance(roster, Roster)), None) or Roster()


def _tensorboard(context: SourceContext) -> Source:
    if not context.config.tensorboard:
        return UnsetSource("tensorboard", "JOB=/runs/**/events.out.tfevents.*")
    from ringwatch_agent.sources.tensorboard import tensorboard_source

    return tensorboard_source(context.config.tensorboard, _roster(context))


def _horovod(context: SourceContext) -> Source:
    config = context.config
    if not config.horovod:
        return UnsetSource("horovod", "JOB=/path/of/the/timeline.json")
    from ringwatch_agent.sources.horovod import horovod_source

    return horovod_source(config.horovod, _roster(context), all_ranks=config.horovod_all_ranks)


def _inspector(context: SourceContext) -> Source:
    if not context.config.inspector:
        return UnsetSource("inspector", "JOB=/path/nccl-inspector-*/*.log")
    from ringwatch_agent.sources.inspector import inspector_source

    return inspector_source(context.config.inspector, _roster(context), host=socket.gethostname())


def _flight(context: SourceContext) -> Source:
    if not context.config.flight:
        return UnsetSource("flight", "JOB=/tmp/nccl_trace_rank_*")
    from ringwatch_agent.sources.flight_dumps import FlightDumpsSource

    return FlightDumpsSource(context.config.flight, _roster(context))


def _ras(context: SourceContext) -> Source:
    job, address = next(iter(context.config.ras.items()), ("", ""))
    if not job:
        return UnsetSource("ras", "JOB=localhost:28028")
    from ringwatch_agent.sources.ras_states import RasSource

    return RasSource(address, job, _roster(context), hosts=_own_names(context.config.node))


def _own_names(node: str) -> Callable[[], frozenset[str]]:
    def names() -> frozenset[str]:
        addresses = (address for each in local_addresses().values() for address in each)
        return frozenset({node, socket.gethostname(), "localhost", "127.0.0.1", *addresses})

    return names


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
    # Without a hook in the job: off until the settings name what to read.
    SourceEntry(name="ras", help="where ranks stand, by NCCL's RAS socket", build=_ras),
    SourceEntry(name="inspector", help="collectives, by the files of NCCL's Inspector", build=_inspector),
    SourceEntry(name="flight", help="collectives and states, by PyTorch's flight recorder", build=_flight),
    SourceEntry(name="horovod", help="collectives and steps, by Horovod's timeline", build=_horovod),
    SourceEntry(name="tensorboard", help="step times and losses, by event files", build=_tensorboard),
    SourceEntry(
        name="flows", help="TCP connections of those processes, by peer", build=_flows, exclusive=True
    ),
)
