"""The names that runbooks may read, with unit and meaning. Reads nothing itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ringwatch_proto.signals import SIGNALS, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class FactName:
    """One name. ``source`` is ``live``, ``incident`` or ``verb``: the answer of a node verb."""

    name: str
    unit: str
    help: str
    source: str = "live"


def _fact(name: str, unit: str, help: str, source: str = "live") -> FactName:
    return FactName(name=name, unit=unit, help=help, source=source)


_DERIVED: Final[tuple[FactName, ...]] = (
    _fact(
        "gpu.sm_clock_ratio_to_peers", "", "SM clock over the median of the node's and the job's other GPUs"
    ),
    _fact("gpu.temperature_over_peers_celsius", "C", "core temperature over the median of the peers"),
    _fact("gpu.power_limit_ratio_to_peers", "", "enforced power limit over the median of the peers"),
    _fact(
        "gpu.bad_clock_event_bits",
        "bits",
        "clock event reasons that slow it: 0x8 hardware, 0x60 heat, 0x80 power",
    ),
    _fact("gpu.slowdown_margin_celsius", "C", "how far below the temperature that slows it down"),
    _fact("rank.compute_ratio", "", "own work of the last 10 steps over the median of the job's ranks"),
    _fact("rank.data_ratio", "", "wait for data of the last 10 steps over the median of the job's ranks"),
    _fact("rank.data_s", "s", "wait for data a step, median of the last 10"),
    _fact("rank.process_state", "", "letter of /proc/PID/stat: R S D T Z"),
    _fact("rank.alive", "", "whether its process lives"),
    _fact("rank.throttled_share", "", "share of the interval that a CPU quota held it back"),
    _fact("rank.stopped_share", "", "share of the interval that it was stopped"),
    _fact("rank.runqueue_share", "", "share of the interval that it waited for a CPU"),
    _fact("rank.beat_age_s", "s", "since the hook last wrote anything"),
    _fact("rank.steps_behind", "", "steps behind the job's furthest rank"),
    _fact("job.step_s", "s", "step time, median over ranks of the last 10 steps"),
    _fact("job.step_ratio_to_baseline", "", "step time over that of the job's healthy history"),
    _fact("job.step_age_s", "s", "since any rank ended a step"),
    _fact("job.ranks_alive", "", "ranks whose process lives"),
    _fact("job.ranks_dead", "", "ranks whose process ended without a goodbye"),
    _fact("job.ranks_stopped", "", "ranks whose process is stopped (state T)"),
    _fact("flow.delivery_mbit_s", "Mbit/s", "lowest delivery rate of the node's bulk flows"),
    _fact("flow.delivery_ratio_to_reference", "", "lowest delivery rate over what was learned"),
    _fact("flow.retransmits_per_s", "1/s", "TCP retransmits of the node's flows"),
    _fact("flow.rtt_ms", "ms", "largest round-trip time of the node's flows"),
    _fact("node.connected", "", "whether the agent's stream is up"),
    _fact("node.last_seen_age_s", "s", "since the newest batch of the node"),
    _fact("node.gpus", "", "GPUs that the node has told of"),
    _fact("node.gpus_answering", "", "GPUs that answer NVML now"),
    _fact("node.drained", "", "whether the node is labelled as drained"),
    _fact("incident.active", "", "whether the live signal is seen now", "incident"),
    _fact("incident.quiet_s", "s", "since the live signal was last seen", "incident"),
    _fact("incident.cause", "", "cause token of the incident", "incident"),
    _fact("incident.reopened", "", "how often it came back", "incident"),
    _fact("process.state", "", "letter of /proc/PID/stat as the node reads it", "verb"),
    _fact("process.cpu_max", "", "CPU quota and period of its cgroup", "verb"),
    _fact("process.name", "", "name of the process", "verb"),
    _fact("scheduler.state", "", "state of the node, in the scheduler's own word", "verb"),
    _fact("scheduler.out", "", "yes when the scheduler places no work on the node", "verb"),
    _fact("scheduler.ours", "", "yes when it was taken out from here, by its reason", "verb"),
    _fact("scheduler.work", "1", "jobs or pods that run on the node", "verb"),
    _fact("fleet.nodes", "1", "nodes that the collector knows"),
    _fact("fleet.nodes_out", "1", "nodes that are drained or silent"),
    _fact("fleet.gpus_bad", "1", "GPUs of the fleet whose state is not ok"),
    _fact("node.clock_offset_s", "s", "how far the node's clock is from the collector's, without sign"),
    _fact("node.uptime_s", "s", "since the node booted"),
    _fact("port.pause_tx_to_rx", "", "pause frames sent over those received, of this port"),
)

FACTS: Final[dict[str, FactName]] = {
    signal.name: _fact(signal.name, signal.unit, signal.help)
    for signal in SIGNALS
    if signal.table is not Table.SOURCE
} | {fact.name: fact for fact in _DERIVED}

# What can be filled into a command, an argument or a typed target.
PARAMETERS: Final[dict[str, str]] = {
    "node": "name of the node",
    "gpu": "id of the GPU",
    "port": "id of the network port",
    "peer": "node at the other end of the link",
    "job": "name of the job",
    "rank": "rank of the training process",
    "pid": "process id of the rank on its node",
    "incident": "id of the incident",
    "run": "id of this run",
}
