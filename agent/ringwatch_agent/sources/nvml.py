"""Reads the GPUs through the NVML reader process and says which of them do not answer."""

from __future__ import annotations

from collections.abc import Mapping
from queue import SimpleQueue
from typing import Final

from ringwatch_agent.sources import nvml_turns
from ringwatch_agent.sources.base import Reading
from ringwatch_agent.sources.nvml_process import NvmlProcess
from ringwatch_agent.sources.nvml_renewal import Renewal
from ringwatch_agent.sources.nvml_roster import COLUMNS, Roster
from ringwatch_agent.sources.pipe_frames import Frame, Json
from ringwatch_proto.errors import SourceError, SourceUnsupported, VerbError

_START_S: Final = 4.0
_READ_S: Final = 3.0
_VERB_S: Final = 10.0
# Readers that cannot be ended hold driver locks; more of them would help nobody.
_MAX_STUCK: Final = 2
_MISMATCH: Final = 18
_MISMATCH_WORDS: Final = (
    "the driver was upgraded and the old kernel module is still loaded: new jobs fail to start until "
    "the driver is reloaded or the node is rebooted"
)


class NvmlSource:
    """One row a GPU. A GPU that was seen once keeps its row: one that is gone is lost, not absent."""

    name = "nvml"

    def __init__(self, *, environment: Mapping[str, str] | None = None) -> None:
        self._environment = environment
        self._process: NvmlProcess | None = None
        self._stuck: list[NvmlProcess] = []
        self._roster = Roster()
        self._turns = nvml_turns.Turns()
        self._renewal = Renewal(self._start, self._end)
        self._to_spare: SimpleQueue[str] = SimpleQueue()

    def open(self) -> None:
        """Start a reader process and wait a moment for NVML to come up."""
        self.close()
        if not self._may_start():
            raise SourceError(f"{len(self._stuck)} NVML readers are stuck in the driver; starting no more")
        self._adopt(self._start())
        self._raise_trouble(self._ask("start", _START_S + 1.0, wait_s=_START_S).words)

    def close(self) -> None:
        """End the reader process; one that cannot be ended is remembered."""
        self._renewal.stop()
        process, self._process = self._process, None
        if process is not None:
            self._end(process)

    def read(self) -> Reading:
        """Return every GPU now."""
        if self._process is None:  # given up on at the last read
            self.open()
        spare = [self._to_spare.get_nowait() for _ in range(self._to_spare.qsize())]
        frame = self._ask("read", _READ_S, epoch=self._roster.epoch, spare=spare)
        self._raise_trouble(frame.words)
        if "starting_s" in frame.words:
            raise SourceError(f"nvmlInit has not come back for {frame.words['starting_s']:.0f} s")
        if frame.words.get("reinitialise"):
            self.close()
            raise SourceError("the driver under NVML was unloaded or replaced")
        reading = self._reading(frame)
        better = self._renewal.look(frame, len(self._roster.devices), may_start=self._may_start())
        if better is not None:
            self._replace(better)
        return reading

    def spare(self, gpu: str) -> None:
        """Ask a GPU less from now on: its firmware has stopped answering. Safe from any thread."""
        self._to_spare.put(gpu)

    def facts(self, gpu: str) -> Mapping[str, str]:
        """Return driver, serial number, firmware and architecture of a GPU, as far as it told."""
        return self._roster.facts.get(gpu, {})

    def missing(self) -> dict[str, dict[str, str]]:
        """Return for each GPU the signals that it does not give, with the driver's reason."""
        told = self._ask("missing", _READ_S).words.get("missing", {})
        return {str(gpu): dict(signals) for gpu, signals in told.items()}

    def reset_clocks(self, gpu: str) -> None:
        """Take back locked SM clocks; raise VerbError when that was not done."""
        if self._process is None:
            raise VerbError("NVML is not there")
        try:
            answer = self._process.ask("reset_clocks", _VERB_S, gpu=gpu).words
        except SourceError as error:
            raise VerbError(str(error)) from error
        if "done" not in answer:
            raise VerbError(str(answer.get("error", "NVML did not do it")))

    def _may_start(self) -> bool:
        self._stuck = [each for each in self._stuck if not each.is_gone()]
        return len(self._stuck) < _MAX_STUCK

    def _start(self) -> NvmlProcess:
        return NvmlProcess(COLUMNS, self._environment)

    def _end(self, process: NvmlProcess) -> None:
        if not process.stop():
            self._stuck.append(process)

    def _adopt(self, process: NvmlProcess) -> None:
        self._process, self._roster.epoch = process, -1

    def _replace(self, better: NvmlProcess) -> None:
        old = self._process
        self._adopt(better)
        if old is not None:
            self._end(old)

    def _ask(self, operation: str, within_s: float, **arguments: float | list[str]) -> Frame:
        if self._process is None:
            raise SourceError("no NVML reader runs")
        try:
            return self._process.ask(operation, within_s, **arguments)
        except SourceError:
            self.close()
            raise

    def _raise_trouble(self, words: Json) -> None:
        if "error" not in words:
            return
        text = str(words["error"])
        if words.get("code") == _MISMATCH:
            text += f"; {_MISMATCH_WORDS}"
        raise (SourceUnsupported if words.get("unsupported") else SourceError)(text)

    def _reading(self, frame: Frame) -> Reading:
        words = frame.words
        self._roster.learn(words)
        table = self._roster.table(frame.numbers)
        if table is None:  # the list grew while the rows were packed: the next answer brings it
            self._roster.epoch = -1
            return Reading()
        told = self._turns.take(table, words["why"], words["links_down"])
        told += [nvml_turns.xid(self._roster.devices.get(xid["gpu"]), xid) for xid in words["xids"]]
        lost = words["xids_lost"]
        return Reading(tables=(table,), events=tuple(told), dropped={"nvml.xid_events": lost} if lost else {})
