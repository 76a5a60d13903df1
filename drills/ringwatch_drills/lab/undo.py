"""The undo record: what the lab is about to change, on disk before it changes, undone last first.

Names and paths are checked before they are touched, so that a damaged record can do no harm.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

from ringwatch_drills.lab.errors import LabError

RUN_DIR: Final = Path("/run/ringwatch-lab")
NAMESPACE_PREFIX: Final = "rwlab-"
CGROUP_PREFIX: Final = "ringwatch-lab-"

_NAMESPACE: Final = re.compile(NAMESPACE_PREFIX + r"[a-z0-9]{1,12}")
_CGROUP: Final = re.compile(CGROUP_PREFIX + r"[a-z0-9-]{1,40}")


class UndoRecord:
    """Lines of (kind, argument); each is written and synced before the thing that it undoes."""

    def __init__(self, folder: Path = RUN_DIR) -> None:
        self._path = folder / "undo.jsonl"

    def note(self, kind: str, argument: str) -> None:
        """Remember what is about to be made or changed."""
        if kind not in _UNDO:
            raise LabError(f"nothing undoes {kind!r}")
        with self._path.open("a") as file:
            file.write(json.dumps({"kind": kind, "argument": argument}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def entries(self) -> list[tuple[str, str]]:
        """Return what is noted; a line that was cut short by a crash is skipped: nothing followed it."""
        entries = []
        with contextlib.suppress(FileNotFoundError):
            for line in self._path.read_text().splitlines():
                with contextlib.suppress(json.JSONDecodeError, KeyError):
                    entry = json.loads(line)
                    entries.append((str(entry["kind"]), str(entry["argument"])))
        return entries

    def undo(self, keep: int = 0) -> list[str]:
        """Undo everything after the first ``keep`` entries, last first; return what could not be undone."""
        entries = self.entries()
        troubles = []
        for kind, argument in reversed(entries[keep:]):
            try:
                _UNDO[kind](argument)
            except (KeyError, OSError, LabError, subprocess.SubprocessError) as error:
                troubles.append(f"{kind} {argument}: {error}")
        self._rewrite(entries[:keep])
        return troubles

    def __len__(self) -> int:
        """Return how many entries there are."""
        return len(self.entries())

    def _rewrite(self, entries: list[tuple[str, str]]) -> None:
        lines = [json.dumps({"kind": kind, "argument": argument}) + "\n" for kind, argument in entries]
        whole = self._path.with_suffix(".new")
        whole.write_text("".join(lines))
        whole.replace(self._path)


@contextlib.contextmanager
def only_lab(folder: Path = RUN_DIR, *, wait_s: float = 0.0) -> Iterator[UndoRecord]:
    """Hold the lab's lock; raise LabError when another lab still runs after ``wait_s``.

    A dead lab's lock is free: the kernel lets go of it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        deadline = time.monotonic() + wait_s
        while not _try_lock(lock):
            if time.monotonic() >= deadline:
                raise LabError("another lab runs on this machine: two would disturb each other")
            time.sleep(0.5)
        yield UndoRecord(folder)


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def process_mark(pid: int) -> str:
    """Return ``pid:start``, which no later process with the same pid has."""
    return f"{pid}:{_started(pid)}"


def _started(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def kill_marked(mark: str) -> None:
    """Kill the process of a mark and its group leader's children by group; another one is left alone."""
    pid_text, _, started = mark.partition(":")
    pid = int(pid_text)
    if started and _started(pid) == started:
        _kill(pid)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        # A group of its own: the lab starts its processes as sessions.
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)


def kill_all_in(namespace: str) -> None:
    """Kill every process of a namespace of the lab: torchrun's workers have sessions of their own."""
    command = ["ip", "netns", "pids", namespace]
    for pid in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def _delete_namespace(name: str) -> None:
    if _NAMESPACE.fullmatch(name) is None:
        raise LabError("not a namespace of the lab")
    if not Path("/run/netns", name).exists():
        return
    # A process keeps its namespace alive, and with it the other end of every veth.
    kill_all_in(name)
    subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=True)


def _delete_cgroup(path_text: str) -> None:
    path = Path(path_text)
    if _CGROUP.fullmatch(path.name) is None or path.parts[:4] != ("/", "sys", "fs", "cgroup"):
        raise LabError("not a cgroup of the lab")
    if not path.exists():
        return
    for pid in (path / "cgroup.procs").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    _retry_while_busy(path.rmdir)


def _lift_quota(path_text: str) -> None:
    path = Path(path_text)
    if _CGROUP.fullmatch(path.parent.name) is None:
        raise LabError("not a cgroup of the lab")
    if path.exists():
        path.write_text("-1" if path.name == "cpu.cfs_quota_us" else "max")


def _delete_folder(path_text: str) -> None:
    path = Path(path_text)
    if not path.name.startswith("ringwatch-lab-"):
        raise LabError("not a folder of the lab")
    shutil.rmtree(path, ignore_errors=True)


def _delete_qdisc(argument: str) -> None:
    namespace, _, device = argument.partition(" ")
    if Path("/run/netns", namespace).exists():
        command = ["ip", "netns", "exec", namespace, "tc", "qdisc", "del", "dev", device, "root"]
        subprocess.run(command, capture_output=True, check=False)  # absent when it was never made


def _continue(mark: str) -> None:
    pid_text, _, started = mark.partition(":")
    if started and _started(int(pid_text)) == started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid_text), signal.SIGCONT)


def _remove_file(path_text: str) -> None:
    path = Path(path_text)
    if RUN_DIR not in path.parents and not path.parent.name.startswith("ringwatch-lab-"):
        raise LabError("not a file of the lab")
    path.unlink(missing_ok=True)


def _retry_while_busy(remove: Callable[[], None]) -> None:
    for _ in range(50):
        try:
            remove()
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            time.sleep(0.1)  # killed processes leave a cgroup a moment later
        else:
            return
    raise LabError("its processes do not end")


_UNDO: Final[dict[str, Callable[[str], None]]] = {
    "namespace": _delete_namespace,
    "cgroup": _delete_cgroup,
    "quota": _lift_quota,
    "process": kill_marked,
    "stopped": _continue,
    "folder": _delete_folder,
    "qdisc": _delete_qdisc,
    "file": _remove_file,
}
