"""The table of every kind of evidence that is read. A new reader is one more row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ringwatch_agent.evidence.base import DocumentReader, LineReader
from ringwatch_agent.evidence.ethernet import EthernetReader, IpJsonReader
from ringwatch_agent.evidence.familiar import FamiliarReader
from ringwatch_agent.evidence.flight_recorder import FlightRecorderReader
from ringwatch_agent.evidence.infiniband import PortReader, SysfsJsonReader
from ringwatch_agent.evidence.job_text import (
    JobstatsReader,
    KubernetesReader,
    NcclTestsReader,
    RasReader,
    StepTimeReader,
)
from ringwatch_agent.evidence.lspci import LspciReader
from ringwatch_agent.evidence.prometheus import PrometheusReader
from ringwatch_agent.evidence.signs import ANCHORS, SignReader
from ringwatch_agent.evidence.smi_text import (
    NvlinkReader,
    NvtopReader,
    SmiQueryReader,
    SmiTableReader,
    TopologyReader,
)
from ringwatch_agent.evidence.smi_xml import SmiXmlReader
from ringwatch_agent.evidence.traces import HorovodTimelineReader, ProfilerReader, RasJsonReader

# Made new for each file: they remember the lines before.
LINE_READERS: Final[tuple[Callable[[], LineReader], ...]] = (
    SignReader,
    PrometheusReader,
    SmiQueryReader,
    SmiTableReader,
    NvlinkReader,
    NvtopReader,
    TopologyReader,
    LspciReader,
    PortReader,
    EthernetReader,
    StepTimeReader,
    NcclTestsReader,
    KubernetesReader,
    JobstatsReader,
    RasReader,
    FamiliarReader,
)

# What is read of a log too long to be a tool's output, and what a line must hold for any of them.
STREAM_READERS: Final[tuple[Callable[[], LineReader], ...]] = (SignReader, StepTimeReader)
STREAM_ANCHORS: Final = ANCHORS | {"Data ", "data_time", "Data_"}

DOCUMENT_READERS: Final[tuple[DocumentReader, ...]] = (
    FlightRecorderReader(),
    SmiXmlReader(),
    SysfsJsonReader(),
    IpJsonReader(),
    RasJsonReader(),
    HorovodTimelineReader(),
    ProfilerReader(),
)
