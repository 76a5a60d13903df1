"""The lab's network: one namespace a node, a veth each, a bridge in a namespace of its own.

Nothing is attached to the machine's own network: what the nodes send stays among them.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import Final

from ringwatch_drills.lab.errors import LabError
from ringwatch_drills.lab.undo import NAMESPACE_PREFIX, UndoRecord

SWITCH: Final = NAMESPACE_PREFIX + "switch"
DEVICE: Final = "eth0"
_SUBNET: Final = "10.231.87"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabNode:
    """One node: its number, name, namespace, address, and the GPU address that it pretends to own."""

    number: int

    @property
    def name(self) -> str:
        """Return the node's name, which is its label on every screen."""
        return f"lab{self.number}"

    @property
    def namespace(self) -> str:
        """Return the network namespace."""
        return f"{NAMESPACE_PREFIX}n{self.number}"

    @property
    def address(self) -> str:
        """Return the address on the lab's bridge."""
        return f"{_SUBNET}.{self.number + 10}"

    @property
    def pci_address(self) -> str:
        """Return the PCI address of the node's GPU, for kernel lines."""
        return f"0000:{0xA0 + self.number:02x}:00.0"


def build_network(count: int, undo: UndoRecord) -> tuple[LabNode, ...]:
    """Make bridge and nodes; raise LabError with what ``ip`` said when it cannot."""
    if not 2 <= count <= 16:
        raise LabError("a lab has 2 to 16 nodes")
    _make_namespace(SWITCH, undo)
    run("ip", "-n", SWITCH, "link", "add", "bridge0", "type", "bridge")
    run("ip", "-n", SWITCH, "link", "set", "bridge0", "up")
    nodes = tuple(LabNode(number=number) for number in range(count))
    for node in nodes:
        _plug_in(node, undo)
    return nodes


def _make_namespace(name: str, undo: UndoRecord) -> None:
    undo.note("namespace", name)
    run("ip", "netns", "add", name)
    run("ip", "-n", name, "link", "set", "lo", "up")


def _plug_in(node: LabNode, undo: UndoRecord) -> None:
    _make_namespace(node.namespace, undo)
    port = f"port{node.number}"
    add = ("ip", "-n", SWITCH, "link", "add", port, "type", "veth")
    run(*add, "peer", "name", DEVICE, "netns", node.namespace)
    run("ip", "-n", SWITCH, "link", "set", port, "master", "bridge0", "up")
    run("ip", "-n", node.namespace, "address", "add", f"{node.address}/24", "dev", DEVICE)
    run("ip", "-n", node.namespace, "link", "set", DEVICE, "up")


def run(*command: str) -> str:
    """Run a command of a closed list and return its output; raise LabError with its complaint."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except FileNotFoundError:
        raise LabError(f"{command[0]} is not installed: install the package iproute2") from None
    if done.returncode:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout
