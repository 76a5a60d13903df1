"""The evidence of an incident as one archive."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from tests.tui import world
from tests.tui.test_replay import FRAMES

from ringwatch_proto.recording import kept_in
from ringwatch_tui.client.base import RequestRefused
from ringwatch_tui.recordings import bundle


async def _archive(tmp_path: Path) -> dict[str, bytes]:
    fake = world.client()
    fake.tape = FRAMES
    said, tone = await bundle.exported(fake, "I-142", tmp_path)
    assert tone == "info", said
    (path,) = tmp_path.iterdir()
    assert path.name in said
    assert str(tmp_path) in said
    with tarfile.open(path) as archive:
        return {
            member.name.partition("/")[2]: archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive
        }


async def test_it_holds_what_whoever_takes_over_needs(tmp_path: Path) -> None:
    """Texts to read, JSON to work with, and the pictures."""
    files = await _archive(tmp_path)

    assert {"README.txt", "incident.txt", "incident.json", "job.txt", "job.json", "status.json"} <= set(files)
    assert json.loads(files["incident.json"])["id"] == "I-142"
    assert b"What we think" in files["incident.txt"]
    (tmp_path / "r.rwrec").write_bytes(files["recording.rwrec"])
    assert len(list(kept_in(tmp_path / "r.rwrec"))) == len(FRAMES)
    assert b"incident.txt" in files["README.txt"]


async def test_what_is_not_to_be_had_is_named() -> None:
    """A gap in the evidence is part of the evidence."""
    fake = world.client()
    fake.jobs.clear()
    found, members = await bundle.gather(fake, "I-142")

    assert found.id == "I-142"
    assert b"not to be had: no job llm-70b" in members[0].data


async def test_an_archive_is_never_written_over(tmp_path: Path) -> None:
    """The first export may be the only one with the pictures."""
    fake = world.client()
    assert (await bundle.exported(fake, "I-142", tmp_path))[1] == "info"
    said, tone = await bundle.exported(fake, "I-142", tmp_path)

    assert tone == "fault"
    assert "exists" in said.lower()


async def test_no_such_incident_is_refused() -> None:
    """Nothing is written."""
    with pytest.raises(RequestRefused):
        await bundle.gather(world.client(), "I-9999")


@pytest.mark.parametrize("id", ["../../etc/passwd", "I-1\n", "x" * 500, "I-\x1b[2J1"])
def test_a_hostile_id_gives_a_plain_file_name(id: str) -> None:
    """Ids come over the wire."""
    name = bundle.file_name(id, world.NOW_S)

    assert "/" not in name
    assert name.isprintable()
    assert len(name) < 100
    assert io.StringIO(name).readline() == name
