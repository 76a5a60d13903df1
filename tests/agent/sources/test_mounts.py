"""File systems that answer, and ones that do not."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ringwatch_agent.sources.mount_table import data_mounts
from ringwatch_agent.sources.mounts import MAX_MOUNTS, MountsSource
from ringwatch_proto import events
from ringwatch_proto.records import Severity

ROOT = "30 1 254:0 / / rw,relatime - ext4 /dev/root rw"
NFS = "31 30 0:50 / /data\\040set rw,relatime shared:1 - nfs4 filer:/data rw,vers=4.2"


def table(proc: Path, *lines: str) -> Path:
    """Write a mount table and return the procfs."""
    (proc / "self").mkdir(exist_ok=True)
    (proc / "self/mountinfo").write_text("\n".join(lines) + "\n")
    return proc


def space(**changed: int) -> os.statvfs_result:
    """Return what a healthy file system says: 60 of 100 blocks free, 40 for users."""
    plain = {"bfree": 60, "bavail": 40, "files": 1000, "ffree": 900, "favail": 900}
    at = plain | changed
    return os.statvfs_result(
        (4096, 4096, 100, at["bfree"], at["bavail"], at["files"], at["ffree"], at["favail"], 0, 255)
    )


def values(mounts: MountsSource) -> dict[str, float]:
    """Return what was published."""
    assert mounts.latest is not None
    return dict(mounts.latest.values)


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds; pytest's time-out is the end."""
    while not holds():
        time.sleep(0.01)


def source(proc: Path, ask: Callable[[str], os.statvfs_result]) -> MountsSource:
    """Return a source that waits for a moment only and calls any silence one."""
    return MountsSource(proc=proc, ask=ask, wait_s=0.05, silent_s=0.02)


def test_a_mount_that_hangs_is_told_while_the_others_are_live(tmp_path: Path) -> None:
    """Not answering since t; no second thread is spent on it; its return is told."""
    release, asked = threading.Event(), []

    def ask(path: str) -> os.statvfs_result:
        asked.append(path)
        if path == "/data set":
            release.wait()
        return space()

    mounts = source(table(tmp_path, ROOT, NFS), ask)
    began_s = time.time()
    (told,) = mounts.read().events
    assert (told.kind, told.device) == (events.HOST_FAULT, "/data set")
    assert told.fields["condition"] == "mount_not_answering"
    assert abs(float(told.fields["since"]) - began_s) < 60
    assert values(mounts)["mounts_not_answering"] == 1
    assert values(mounts)["file_system_used_percent"] == 50
    threads = threading.active_count()
    mounts.read()
    mounts.close()
    mounts.read()
    assert threading.active_count() == threads
    assert asked.count("/data set") == 1
    release.set()
    until(lambda: threading.active_count() < threads)
    (over,) = mounts.read().events
    assert over.kind == events.HOST_CLEARED
    assert values(mounts)["mounts_not_answering"] == 0


def test_a_real_file_that_blocks_is_noticed(tmp_path: Path) -> None:
    """Opening a FIFO without a writer blocks in the kernel, as a dead server does."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def ask(_: str) -> os.statvfs_result:
        if fifo.exists():
            fifo.read_bytes()
        return space()

    mounts = source(table(tmp_path, ROOT), ask)
    assert [event.device for event in mounts.read().events] == ["/"]
    with fifo.open("wb"):
        fifo.unlink()
    until(lambda: not any(each.name == "mount-/" for each in threading.enumerate()))
    assert [event.kind for event in mounts.read().events] == [events.HOST_CLEARED]


def test_a_mount_that_hangs_and_is_unmounted_is_not_forgotten_while_it_hangs(tmp_path: Path) -> None:
    """Mounted again under the same name it must not get a second thread."""
    release, asked = threading.Event(), []

    def ask(path: str) -> os.statvfs_result:
        asked.append(path)
        release.wait()
        return space()

    proc = table(tmp_path, NFS)
    mounts = source(proc, ask)
    mounts.read()
    table(proc)
    assert [event.kind for event in mounts.read().events] == [events.HOST_CLEARED]
    table(proc, NFS)
    mounts.read()
    assert len(asked) == 1
    release.set()


@pytest.mark.parametrize("changed", [{"bavail": 0}, {"favail": 0}])
def test_a_full_file_system_is_told(tmp_path: Path, changed: dict[str, int]) -> None:
    """Blocks and inodes alike; what root has left does not count."""
    mounts = source(table(tmp_path, ROOT), lambda _: space(**changed))
    (told,) = mounts.read().events
    assert told.fields["condition"] == "file_system_full"
    assert values(mounts)["file_systems_full"] == 1


def test_a_file_system_that_the_kernel_made_read_only_is_told(tmp_path: Path) -> None:
    """The file system is read-only and its mount is not; what a person mounted so is left alone."""
    broken = "32 30 259:1 / /scratch rw,relatime - ext4 /dev/nvme0n1 ro,errors=remount-ro"
    by_hand = "33 30 259:2 / /boot ro,relatime - ext4 /dev/sda1 ro"
    mounts = source(table(tmp_path, ROOT, broken, by_hand), lambda _: space())
    (told,) = mounts.read().events
    assert (told.fields["condition"], told.device) == ("file_system_read_only", "/scratch")
    assert told.severity == Severity.CRITICAL
    assert values(mounts)["file_systems_read_only"] == 1


@pytest.mark.parametrize(
    ("number", "told"),
    [(errno.ESTALE, 1), (errno.ENOTCONN, 1), (errno.EIO, 1), (errno.EACCES, 0), (errno.ENOENT, 0)],
)
def test_an_error_of_the_file_system_is_told_and_one_of_the_path_is_not(
    tmp_path: Path, number: int, told: int
) -> None:
    """A stale handle is a fault, a folder that root may not enter is none."""

    def fail(_: str) -> os.statvfs_result:
        raise OSError(number, os.strerror(number))

    mounts = source(table(tmp_path, NFS), fail)
    assert [event.fields["condition"] for event in mounts.read().events] == ["file_system_failed"] * told


def test_many_mounts_are_bounded_and_counted(tmp_path: Path) -> None:
    """Threads are not made without end."""
    lines = [f"{at} 30 0:{at} / /m{at} rw - nfs4 f:/{at} rw" for at in range(100, 100 + MAX_MOUNTS + 3)]
    mounts = source(table(tmp_path, *lines), lambda _: space())
    assert mounts.read().dropped == {"mounts.not_asked": 3}


def test_each_file_system_is_asked_once_and_only_those_with_data() -> None:
    """Bind mounts of containers are the same file system; cgroups and autofs hold nothing."""
    text = "\n".join(
        (
            ROOT,
            "40 30 254:0 /var/lib/x /var/lib/kubelet/pods/x rw - ext4 /dev/root rw",
            "41 30 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup rw",
            "42 30 0:31 / /home rw - autofs systemd-1 rw",
            "43 30 0:60 / /lus rw,master:2 - lustre mgs@o2ib:/lus rw",
            NFS,
            "short line",
            "1 2 3:4 / /x rw -",
        )
    )
    assert [(mount.path, mount.network) for mount in data_mounts(text)] == [
        ("/", False),
        ("/data set", True),
        ("/lus", True),
    ]


def test_a_path_of_control_characters_never_reaches_a_terminal() -> None:
    """The kernel escapes them, we show a question mark."""
    (mount,) = data_mounts("1 2 3:4 / /a\\033[2J rw - nfs4 f:/ rw")
    assert mount.path == "/a?[2J"


def test_this_machine_answers() -> None:
    """The real root file system."""
    mounts = MountsSource()
    mounts.read()
    assert values(mounts)["mounts_watched"] >= 1
    assert values(mounts)["mounts_not_answering"] == 0
