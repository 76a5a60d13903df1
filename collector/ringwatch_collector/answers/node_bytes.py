"""Node summaries as bytes of the wire: what stands still is encoded once. Judges nothing.

A message object a GPU costs ten microseconds, a second for 100,000 of them, at every look that anybody
follows. The bytes here are those that protobuf would make, in another order of fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_proto.signals import is_whole_gpu
from ringwatch_proto.v1 import query_pb2
from ringwatch_proto.v1 import telemetry_pb2 as wire

# Fields 4 to 8 of GpuSummary, each a tag of "fixed32" and a float.
GPU_FLOATS: Final = (
    "utilization_percent",
    "power_watts",
    "temperature_celsius",
    "sm_clock_mhz",
    "reading_age_s",
)
FLOATS_BYTES: Final = 5 * len(GPU_FLOATS)
_FIRST_FLOAT: Final = 4
_GPU_TAG: Final = b"\x3a"  # field 7 of NodeSummary, length-delimited
_NODE_TAG: Final = b"\x1a"  # field 3 of Fleet, length-delimited


def varint(value: int) -> bytes:
    """Return a number as protobuf writes it."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def packed_floats(columns: Sequence[NDArray[np.floating]]) -> bytes:
    """Return the floats of all GPUs, ``FLOATS_BYTES`` a GPU."""
    packed = np.zeros((columns[0].size, len(columns), 5), np.uint8)
    packed[:, :, 0] = [(_FIRST_FLOAT + at) << 3 | 5 for at in range(len(columns))]
    values = np.stack(columns, axis=1).astype("<f4")
    packed[:, :, 1:] = values.view(np.uint8).reshape(*values.shape, 4)
    return packed.tobytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeText:
    """What of a node's summary stands still while its Hello and its ranks do.

    ``gpus`` has an entry a row, empty for a MIG instance: that is a part of a GPU, and no GPU to be counted.
    """

    hello: wire.Hello | None
    version: int
    head: bytes
    gpus: tuple[bytes, ...]


def text_of(
    name: str,
    hello: wire.Hello | None,
    *,
    devices: Sequence[str],
    ranks: Sequence[tuple[str, int]],
    job: str,
    version: int,
) -> NodeText:
    """Encode what stands still: names, labels, and each GPU's rank as of a ``version`` of the jobs."""
    names = _gpu_names(hello)
    head = query_pb2.NodeSummary(
        node=name,
        labels=dict(hello.labels) if hello is not None else {},
        simulated=hello.simulated if hello is not None else False,
        job=job,
    )
    return NodeText(
        hello=hello,
        version=version,
        head=head.SerializeToString(),
        gpus=tuple(
            _gpu_head(device, names.get(device, device), of_job, rank) if is_whole_gpu(device) else b""
            for device, (of_job, rank) in zip(devices, ranks, strict=True)
        ),
    )


def _gpu_head(device: str, name: str, job: str, rank: int) -> bytes:
    return query_pb2.GpuSummary(id=device, name=name, job=job, rank=rank).SerializeToString()


def _gpu_names(hello: wire.Hello | None) -> dict[str, str]:
    tables = hello.tables if hello is not None else ()
    return {
        device.id: device.name or device.id
        for table in tables
        if table.table == wire.TABLE_GPU
        for device in table.devices
    }


def state_field(word: str) -> bytes:
    """Return field 3 of a GpuSummary."""
    return query_pb2.GpuSummary(state=word).SerializeToString()


def node_bytes(text: NodeText, moving: bytes, states: Sequence[bytes], floats: bytes, first: int) -> bytes:
    """Return one node as an entry of ``Fleet.nodes``; ``first`` is its first GPU within ``floats``."""
    parts = [text.head, moving]
    at = first * FLOATS_BYTES
    for fixed, state in zip(text.gpus, states, strict=True):
        if fixed:
            size = len(fixed) + len(state) + FLOATS_BYTES
            parts += (_GPU_TAG, _LENGTHS[size] if size < 512 else varint(size), fixed, state)
            parts.append(floats[at : at + FLOATS_BYTES])
        at += FLOATS_BYTES
    body = b"".join(parts)
    return _NODE_TAG + varint(len(body)) + body


_LENGTHS: Final = tuple(varint(size) for size in range(512))
