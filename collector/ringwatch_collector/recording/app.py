"""Composes the recording: tape, recorder and service; only the service where no pictures are kept."""

from __future__ import annotations

from pathlib import Path

from ringwatch_collector.clock import Clock
from ringwatch_collector.recording.camera import Camera
from ringwatch_collector.recording.recorder import Recorder, RecordingService
from ringwatch_collector.recording.settings import RecordingConfig
from ringwatch_collector.recording.tape import Tape


class Recording:
    """The recording of one collector. ``run`` is a task, ``close`` comes after it ended."""

    def __init__(self, tape: Tape | None, recorder: Recorder | None) -> None:
        self._tape = tape
        self._recorder = recorder
        self.service = RecordingService(tape)

    @property
    def troubles(self) -> list[str]:
        """Return what keeps it from recording."""
        return [self._recorder.trouble] if self._recorder is not None and self._recorder.trouble else []

    async def run(self) -> None:
        """Record until cancelled; return at once where no pictures are kept."""
        if self._recorder is not None:
            await self._recorder.run()

    def close(self) -> None:
        """Let go of the tape."""
        if self._tape is not None:
            self._tape.close()


def build_recording(settings: RecordingConfig, camera: Camera, folder: Path, clock: Clock) -> Recording:
    """Return the recording that the settings ask for."""
    if settings.max_mib == 0:
        return Recording(None, None)
    tape = Tape(folder / "recording", settings.max_mib << 20, settings.max_hours * 3600.0)
    return Recording(tape, Recorder(settings, tape, camera.picture, clock))
