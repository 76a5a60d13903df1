"""CPU cgroups of lab nodes: one a node, version 1 or 2, whichever the machine has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ringwatch_drills.lab.errors import LabError
from ringwatch_drills.lab.undo import CGROUP_PREFIX, UndoRecord

_ROOT: Final = Path("/sys/fs/cgroup")
_PERIOD_US: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuGroup:
    """A cgroup whose processes share a CPU quota."""

    path: Path
    version: int

    @property
    def procs(self) -> Path:
        """Return the file that takes a process in."""
        return self.path / "cgroup.procs"

    def hold_to(self, cores: float, undo: UndoRecord) -> None:
        """Give the group so many cores and no more."""
        quota_us = round(cores * _PERIOD_US)
        name, text = (
            ("cpu.cfs_quota_us", f"{quota_us}")
            if self.version == 1
            else ("cpu.max", f"{quota_us} {_PERIOD_US}")
        )
        undo.note("quota", str(self.path / name))
        (self.path / name).write_text(text)


def make_cpu_group(name: str, undo: UndoRecord) -> CpuGroup:
    """Make the cgroup of a node; raise LabError when this machine gives none."""
    version1 = _ROOT / "cpu"
    if (version1 / "cpu.cfs_quota_us").exists() or (version1 / "tasks").exists():
        group = CpuGroup(path=version1 / f"{CGROUP_PREFIX}{name}", version=1)
    elif "cpu" in _read(_ROOT / "cgroup.subtree_control").split():
        group = CpuGroup(path=_ROOT / f"{CGROUP_PREFIX}{name}", version=2)
    else:
        raise LabError("no cgroup CPU controller: the root cgroup must pass `cpu` on to its children")
    undo.note("cgroup", str(group.path))
    group.path.mkdir(exist_ok=True)
    return group


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
