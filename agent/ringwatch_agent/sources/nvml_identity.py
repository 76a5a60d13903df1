"""Says which GPU stands at an index, and what MIG instances it is divided into. Reads no measurement."""

from __future__ import annotations

import ctypes
import struct
from typing import Final, NamedTuple

from ringwatch_agent.sources import nvml_library as nvml

_PCI: Final = struct.Struct("<16xIII8x32s")
_ARCHITECTURES: Final = {
    2: "Kepler", 3: "Maxwell", 4: "Pascal", 5: "Volta", 6: "Turing", 7: "Ampere", 8: "Ada", 9: "Hopper",
    10: "Blackwell", 13: "Rubin",
}  # fmt: skip
_VGPU: Final = 2
_MOST_INSTANCES: Final = 16


class Identity(NamedTuple):
    """What does not change about a GPU or MIG instance while the driver stays."""

    id: str
    name: str
    pci_address: str
    model: str
    facts: tuple[tuple[str, str], ...]


class Instance(NamedTuple):
    """A MIG instance and its own handle."""

    identity: Identity
    handle: nvml.Handle


def unidentified(index: int) -> Identity:
    """Return what stands for a GPU that has not said who it is."""
    return Identity(id=f"gpu{index}", name=f"gpu{index}", pci_address="", model="", facts=())


def handle_at(library: nvml.Library, index: int) -> nvml.Handle:
    """Return the handle of the GPU at an index; raise NvmlFailed as NVML does."""
    handle = nvml.Handle()
    library.call(("nvmlDeviceGetHandleByIndex_v2",), ctypes.c_uint(index), ctypes.byref(handle))
    return handle


def identify(library: nvml.Library, index: int, handle: nvml.Handle) -> Identity:
    """Return the GPU behind a handle; raise NvmlFailed when it does not tell its UUID."""
    uuid = ctypes.create_string_buffer(96)
    library.call(("nvmlDeviceGetUUID",), handle, uuid, ctypes.c_uint(len(uuid)))
    model = library.text(("nvmlDeviceGetName",), handle)
    if library.number(("nvmlDeviceGetVirtualizationMode",), handle) == _VGPU:
        model += " (vGPU)"
    return Identity(
        id=uuid.value.decode("utf-8", "replace"),
        name=f"gpu{index}",
        pci_address=_pci_address(library, handle),
        model=model,
        facts=_facts(library, handle),
    )


def _pci_address(library: nvml.Library, handle: nvml.Handle) -> str:
    """Write the address as the kernel does: NVML has eight digits of domain."""
    buffer = (ctypes.c_char * _PCI.size)()
    try:
        library.call(("nvmlDeviceGetPciInfo_v3",), handle, buffer)
    except nvml.NvmlFailed:
        return ""
    domain, bus, device, _ = _PCI.unpack_from(buffer)
    return f"{domain:04x}:{bus:02x}:{device:02x}.0"


def _facts(library: nvml.Library, handle: nvml.Handle) -> tuple[tuple[str, str], ...]:
    architecture = library.number(("nvmlDeviceGetArchitecture",), handle)
    gsp = ctypes.create_string_buffer(96)
    try:
        library.call(("nvmlDeviceGetGspFirmwareVersion",), handle, gsp)
    except nvml.NvmlFailed:
        gsp.value = b""
    facts = {
        "architecture": _ARCHITECTURES.get(architecture or 0, ""),
        "serial": library.text(("nvmlDeviceGetSerial",), handle),
        "vbios": library.text(("nvmlDeviceGetVbiosVersion",), handle),
        "gsp_firmware": gsp.value.decode("utf-8", "replace"),
    }
    return tuple((name, value) for name, value in facts.items() if value)


def instances(library: nvml.Library, parent: Identity, handle: nvml.Handle) -> tuple[Instance, ...]:
    """Return the MIG instances of a GPU, none while MIG is off."""
    found = []
    most = min(library.number(("nvmlDeviceGetMaxMigDeviceCount",), handle) or 0, _MOST_INSTANCES)
    for at in range(most):
        own = nvml.Handle()
        try:
            library.call(
                ("nvmlDeviceGetMigDeviceHandleByIndex",), handle, ctypes.c_uint(at), ctypes.byref(own)
            )
        except nvml.NvmlFailed:
            continue
        uuid = library.text(("nvmlDeviceGetUUID",), own)
        if uuid:
            found.append(Instance(_of_instance(library, parent, at, own, uuid), own))
    return tuple(found)


def _of_instance(
    library: nvml.Library, parent: Identity, at: int, handle: nvml.Handle, uuid: str
) -> Identity:
    model = library.text(("nvmlDeviceGetName",), handle)
    _, _, profile = model.rpartition(" ")
    # No PCI address: that of the parent stands for the whole GPU, in the kernel log too.
    return Identity(
        id=uuid,
        name=f"{parent.name}/mig{at} {profile}",
        pci_address="",
        model=model,
        facts=(("parent", parent.id),),
    )
