"""Which file systems are asked how they are: the mounts that hold data, each file system once. Asks none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_LOCAL: Final = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "jfs"})
_NETWORK: Final = frozenset({
    "nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "cifs", "smb3", "9p", "wekafs", "virtiofs",
    "glusterfs", "gfs2", "ocfs2", "orangefs", "pvfs2", "afs", "fuse.ceph-fuse", "fuse.glusterfs",
    "fuse.juicefs", "fuse.s3fs", "fuse.gcsfuse", "fuse.mount-s3", "fuse.sshfs", "fuse.weka",
    "fuse.cvmfs", "fuse.dfuse", "fuse.vast", "fuse.rclone", "fuse.blobfuse2",
    "fuse.goofys", "fuse.alluxio-fuse", "fuse.hf3fs",
})  # fmt: skip
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One mounted file system.

    ``read_only`` means that the file system is while this mount of it is not: the kernel took the writing
    away after an error, since a person who remounts takes it from the mount as well.
    """

    path: str
    kind: str
    device: str
    network: bool
    read_only: bool


def data_mounts(mountinfo: str) -> list[Mount]:
    """Return the file systems of /proc/PID/mountinfo that hold data, by their shortest path."""
    mounts = sorted(_parsed(mountinfo), key=lambda pair: (len(pair[1].path), pair[1].path))
    found: dict[str, Mount] = {}
    for number, mount in mounts:
        found.setdefault(number, mount)
    return sorted(found.values(), key=lambda mount: mount.path)


def _parsed(mountinfo: str) -> Iterator[tuple[str, Mount]]:
    for line in mountinfo.splitlines():
        words = line.split(" ")
        # A line is: id parent major:minor root path options [tags...] - type device super-options
        if "-" not in words[6:] or len(words) < words.index("-", 6) + 4:
            continue
        kind, device, super_options = words[words.index("-", 6) + 1 :][:3]
        network = kind in _NETWORK
        if not (network or kind in _LOCAL):
            continue
        yield (
            words[2],
            Mount(
                path=_plain(words[4]),
                kind=kind,
                device=_plain(device),
                network=network,
                read_only="rw" in words[5].split(",") and "ro" in super_options.split(","),
            ),
        )


def _plain(text: str) -> str:
    """Undo the kernel's octal escapes; what is not printable must not reach a terminal."""
    text = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)
    return "".join(letter if letter.isprintable() else "?" for letter in text)
