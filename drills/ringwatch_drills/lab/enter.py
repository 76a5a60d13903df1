"""Starts a program as a process of a lab node: its network namespace, its /sys, its CPU cgroup.

Run as ``python -m ringwatch_drills.lab.enter NAMESPACE CGROUP_PROCS -- PROGRAM ...``.
``ip netns exec`` would hide the cgroups, which the agent reads: here they stay where they are.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_CLONE_NEWNS: Final = 0x00020000
_CLONE_NEWNET: Final = 0x40000000
_MS_BIND, _MS_REC, _MS_SLAVE = 0x1000, 0x4000, 0x80000
_MNT_DETACH: Final = 2

_libc: Final = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def enter_network(namespace: str) -> None:
    """Move the calling thread into a named network namespace."""
    descriptor = os.open(f"/run/netns/{namespace}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("setns", descriptor, _CLONE_NEWNET)
    finally:
        os.close(descriptor)


def show_own_sys() -> None:
    """Give this process a /sys of its network namespace that still holds the machine's cgroups."""
    _call("unshare", _CLONE_NEWNS)
    _call("mount", b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None)
    cgroups = os.open("/sys/fs/cgroup", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    _call("mount", b"sysfs", b"/sys", b"sysfs", ctypes.c_ulong(0), None)
    source = f"/proc/self/fd/{cgroups}".encode()
    _call("mount", source, b"/sys/fs/cgroup", None, ctypes.c_ulong(_MS_BIND | _MS_REC), None)
    os.close(cgroups)


def main(argv: Sequence[str]) -> None:
    """Enter and become the program."""
    namespace, procs, _, *program = argv
    if procs:
        Path(procs).write_text(str(os.getpid()))
    enter_network(namespace)
    show_own_sys()
    os.execvp(program[0], program)  # noqa: S606 - the point is to have no shell


if __name__ == "__main__":
    main(sys.argv[1:])
