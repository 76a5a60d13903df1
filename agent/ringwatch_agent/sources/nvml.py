"""Reads the GPUs through the NVML reader process and says which of them do not answer."""

from __future__ import annotations

import importlib.util
import math
import time
from array import array
from collections.abc import Mapping
from typing import Any, Final

from ringwatch_agent.sources.base import Device, EventRecord, Reading, TableReading
from ringwatch_agent.sources.nvml_process import NvmlProcess
from ringwatch_agent.sources.pipe_frames import Frame
from ringwatch_agent.sources.rates import Rates
from ringwatch_knowledge.xid import lookup
from ringwatch_proto import events
from ringwatch_proto.errors import SourceError, SourceUnsupported, VerbError
from ringwatch_proto.records import Severity
from ringwatch_proto.signals import GpuState, Table, columns_of

_COLUMNS: Final = columns_of(Table.GPU)
_START_S: Final = 4.0
_READ_S: Final = 3.0
_VERB_S: Final = 10.0
# Readers that cannot be ended hold driver locks; more of them would help nobody.
_MAX_STUCK: Final = 2
_EVENT_OF: Final = {
    GpuState.LOST: events.GPU_LOST,
    GpuState.NEEDS_RESET: events.GPU_LOST,
    GpuState.NOT_ANSWERING: events.GPU_NOT_ANSWERING,
    GpuState.FAILING: events.GPU_NOT_ANSWERING,
}


class NvmlSource:
    """One row a GPU. A GPU that was seen once keeps its row: one that is gone is lost, not absent."""

    name = "nvml"

    def __init__(self, *, environment: Mapping[str, str] | None = None) -> None:
        self._environment = environment
        self._process: NvmlProcess | None = None
        self._stuck: list[NvmlProcess] = []
        self._rates = Rates()
        self._devices: dict[str, Device] = {}
        self._states: dict[str, GpuState] = {}

    def open(self) -> None:
        """Start a reader process and wait a moment for NVML to come up."""
        if importlib.util.find_spec("pynvml") is None:
            raise SourceUnsupported("the package nvidia-ml-py is not installed")
        self.close()
        self._stuck = [each for each in self._stuck if not each.is_gone()]
        if len(self._stuck) >= _MAX_STUCK:
            raise SourceError(f"{len(self._stuck)} NVML readers are stuck in the driver; starting no more")
        self._process = NvmlProcess(self._environment)
        self._raise_trouble(self._ask("start", _START_S + 1.0, wait_s=_START_S))

    def close(self) -> None:
        """End the reader process; one that cannot be ended is remembered."""
        process, self._process = self._process, None
        if process is not None and not process.stop():
            self._stuck.append(process)

    def read(self) -> Reading:
        """Return every GPU now."""
        if self._process is None:  # given up on at the last read
            self.open()
        frame = self._ask("read", _READ_S)
        self._raise_trouble(frame)
        if "starting_s" in frame:
            raise SourceError(f"nvmlInit has not come back for {frame['starting_s']:.0f} s")
        return self._reading(frame)

    def reset_clocks(self, gpu: str) -> None:
        """Take back locked SM clocks; raise VerbError when that was not done."""
        if self._process is None:
            raise VerbError("NVML is not there")
        try:
            answer = self._process.ask("reset_clocks", _VERB_S, gpu=gpu)
        except SourceError as error:
            raise VerbError(str(error)) from error
        if "done" not in answer:
            raise VerbError(str(answer.get("error", "NVML did not do it")))

    def _ask(self, operation: str, within_s: float, **arguments: float) -> Frame:
        assert self._process is not None
        try:
            return self._process.ask(operation, within_s, **arguments)
        except SourceError:
            self.close()
            raise

    def _raise_trouble(self, frame: Frame) -> None:
        if "error" not in frame:
            return
        raise (SourceUnsupported if frame.get("unsupported") else SourceError)(str(frame["error"]))

    def _reading(self, frame: Frame) -> Reading:
        listed = {each["id"]: gpu for each, gpu in zip(frame["devices"], frame["gpus"], strict=True)}
        self._devices |= {each["id"]: Device(**each) for each in frame["devices"]}
        if listed and all(gpu["reinitialise"] for gpu in listed.values()):
            self.close()
            raise SourceError("the driver under NVML was unloaded or replaced")
        rows = {id: listed.get(id, _UNLISTED) for id in self._devices}
        values = array("f", [value for id, gpu in rows.items() for value in self._row(id, gpu)])
        table = TableReading(
            table=Table.GPU,
            devices=tuple(self._devices.values()),
            signals=tuple(signal.id for signal in _COLUMNS),
            values=values,
        )
        told = [event for id, gpu in rows.items() if (event := self._turn(id, gpu))]
        told += [self._xid(xid) for xid in frame["xids"]]
        lost = frame["xids_lost"]
        return Reading(tables=(table,), events=tuple(told), dropped={"nvml.xid_events": lost} if lost else {})

    def _row(self, id: str, gpu: Mapping[str, Any]) -> list[float]:
        if not gpu["known"]:
            return [math.nan] * len(_COLUMNS)
        values: dict[str, float] = {**gpu["gauges"], "state": float(gpu["state"])}
        values["reading_age_s"] = math.nan if gpu["age_s"] is None else gpu["age_s"]
        for name, count in gpu["counters"].items():
            values[name] = self._rates.per_s((id, name), count, gpu["at_s"])
        return [values.get(signal.name.removeprefix("gpu."), math.nan) for signal in _COLUMNS]

    def _turn(self, id: str, gpu: Mapping[str, Any]) -> EventRecord | None:
        state = GpuState(gpu["state"])
        before = self._states.get(id, GpuState.OK)
        if not gpu["known"] or state == before:
            return None
        self._states[id] = state
        device = self._devices[id]
        recovered = state is GpuState.OK
        return EventRecord(
            wall_ns=time.time_ns(),
            kind=events.GPU_RECOVERED if recovered else _EVENT_OF[state],
            severity=Severity.INFO if recovered else Severity.CRITICAL,
            source=self.name,
            device=id,
            text=f"{device.name} ({device.pci_address}): " + (gpu["why"] or "answers again"),
            fields={"state": state.name.lower()},
        )

    def _xid(self, xid: Mapping[str, Any]) -> EventRecord:
        device = self._devices.get(xid["gpu"])
        where = f"{device.name} ({device.pci_address})" if device else "a GPU"
        return EventRecord(
            wall_ns=xid["wall_ns"],
            kind=events.GPU_XID,
            severity=lookup(xid["code"]).severity,
            source=self.name,
            device=xid["gpu"],
            code=xid["code"],
            text=f"{where}: NVML reports Xid {xid['code']}",
        )


_UNLISTED: Final[Mapping[str, Any]] = {
    "state": int(GpuState.LOST),
    "why": "NVML no longer lists it",
    "known": True,
    "age_s": None,
    "gauges": {},
    "counters": {},
}
