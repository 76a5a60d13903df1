"""The kinds of event that cross the wire: something that happened once, with time and place."""

from __future__ import annotations

from typing import Final

GPU_XID: Final = "gpu.xid"
GPU_LOST: Final = "gpu.lost"
GPU_NOT_ANSWERING: Final = "gpu.not_answering"
GPU_NEEDS_RESET: Final = "gpu.needs_reset"
GPU_READS_FAIL: Final = "gpu.reads_fail"
GPU_RECOVERED: Final = "gpu.recovered"
NVSWITCH_SXID: Final = "nvswitch.sxid"
NVLINK_DOWN: Final = "nvlink.down"
PORT_DOWN: Final = "port.down"
PORT_UP: Final = "port.up"
KERNEL_OOM: Final = "kernel.oom"
KERNEL_ERROR: Final = "kernel.error"
KERNEL_LINES_LOST: Final = "kernel.lines_lost"
RANK_JOINED: Final = "rank.joined"
RANK_LEFT: Final = "rank.left"
RANK_DIED: Final = "rank.died"
HOST_FAULT: Final = "host.fault"
HOST_CLEARED: Final = "host.cleared"
HOST_CORRECTED: Final = "host.corrected"
SOURCE_DOWN: Final = "source.down"
SOURCE_UP: Final = "source.up"
AGENT_STARTED: Final = "agent.started"
CLOCK_JUMP: Final = "clock.jump"

# Kind -> what it tells. The collector counts an event of any other kind and keeps it.
EVENT_KINDS: Final[dict[str, str]] = {
    GPU_XID: "the driver reported an Xid; code is the Xid, device its GPU",
    GPU_LOST: "NVML says that the GPU is lost",
    GPU_NOT_ANSWERING: "an NVML call on the GPU has not come back within its deadline",
    GPU_NEEDS_RESET: "NVML says that the GPU has to be reset",
    GPU_READS_FAIL: "NVML answers for the GPU with errors only",
    GPU_RECOVERED: "a GPU that was lost or silent answers again",
    NVSWITCH_SXID: "the driver reported an NVSwitch SXid; code is the SXid",
    NVLINK_DOWN: "an NVLink went down",
    PORT_DOWN: "a network port lost its link",
    PORT_UP: "a network port has its link again",
    KERNEL_OOM: "the kernel killed a process for lack of memory",
    KERNEL_ERROR: "a kernel line of a known fault shape; field pattern names it",
    KERNEL_LINES_LOST: "the kernel log overran the reader; code is how many lines",
    RANK_JOINED: "a training process said hello; fields job, rank, pid",
    RANK_LEFT: "a training process said goodbye; field reason",
    RANK_DIED: "a training process ended without a goodbye; fields job, rank, pid, signal if known",
    HOST_FAULT: "a condition of the host began or holds still; fields condition, where, since, once",
    HOST_CLEARED: "a condition of the host is over; fields condition, where, since",
    HOST_CORRECTED: "errors that the hardware corrected, at most once an hour and place; code is how many",
    SOURCE_DOWN: "a source cannot be read; text says why",
    SOURCE_UP: "a source can be read again",
    AGENT_STARTED: "the agent started",
    CLOCK_JUMP: "the wall clock moved against the monotonic one; field seconds",
}
