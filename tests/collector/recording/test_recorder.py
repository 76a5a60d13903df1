"""Tests of the recorder: what it keeps, over a real collector; and that a full disk is said and survived."""

import asyncio
from pathlib import Path

from tests.collector.rig import batch, running

from ringwatch_collector.clock import Clock
from ringwatch_collector.recording.recorder import Recorder
from ringwatch_collector.recording.settings import RecordingConfig
from ringwatch_collector.recording.tape import Tape
from ringwatch_proto.errors import RecordingError
from ringwatch_proto.v1 import recording_pb2, recording_pb2_grpc


async def test_a_collector_gives_back_what_was_on_the_screens(tmp_path: Path) -> None:
    """Pictures of a node that reported come back in order."""
    async with running(tmp_path, recording={"interval_s": 0.05}) as it:
        client = await it.agent()
        await client.send(batch(1))
        await client.until_acknowledged(1)
        frames = await _until_node(it.channel)

    times = [frame.wall_ns for frame in frames]
    assert times == sorted(times)
    assert frames[-1].fleet.nodes[0].node == "n1"


async def _until_node(channel: object) -> list[recording_pb2.Frame]:
    stub = recording_pb2_grpc.RecordingStub(channel)
    while True:
        frames = [frame async for frame in stub.Frames(recording_pb2.FramesRequest())]
        if frames and frames[-1].fleet.nodes:
            return frames
        await asyncio.sleep(0.05)


class _FullTape(Tape):
    """A tape whose disk is full until it is not."""

    full = True

    def write(self, wall_ns: int, frame: bytes) -> None:
        if self.full:
            raise RecordingError("no space left on device")
        super().write(wall_ns, frame)


async def test_a_full_disk_is_said_until_it_is_over(tmp_path: Path) -> None:
    """The trouble stands on every screen, and recording goes on by itself."""
    tape = _FullTape(tmp_path, 1 << 20, 1e6)
    settings = RecordingConfig(interval_s=0.01)
    recorder = Recorder(settings, tape, lambda: recording_pb2.Frame(wall_ns=1), Clock())
    task = asyncio.create_task(recorder.run())
    while not recorder.trouble:
        await asyncio.sleep(0.01)
    assert "no space left on device" in recorder.trouble
    tape.full = False
    while recorder.trouble:
        await asyncio.sleep(0.01)
    task.cancel()
    tape.close()

    assert list(tape.window(0, 10))
