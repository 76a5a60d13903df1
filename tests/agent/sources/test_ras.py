"""NCCL's RAS socket: a server that speaks as NCCL does."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.agent.sources.detected import Collector

from ringwatch_agent.sources.outsiders import FIRST_ROW, Roster
from ringwatch_agent.sources.ras import ask, parse
from ringwatch_agent.sources.ras_states import RasSource
from ringwatch_collector.detectors.hang import Hang
from ringwatch_proto.errors import SourceError, SourceUnsupported
from ringwatch_proto.layout import RANK_STATE, Phase


def report(launched: list[int], *, missing: tuple[int, ...] = (), host: str = "10.0.0.1") -> dict[str, Any]:
    """Return a report of one group, with the fields of NCCL 2.28."""
    ranks = [
        {
            "rank": rank, "host": host, "pid": 100 + rank, "cuda_dev": rank, "nvml_dev": rank,
            "status": {"init_state": 0, "async_error": 0, "finalize_called": False, "destroy_flag": False,
                       "abort_flag": False},
            "collective_counts": {"Broadcast": 1, "AllReduce": count - 1},
        }
        for rank, count in enumerate(launched) if rank not in missing
    ]  # fmt: skip
    gone = [{"rank": rank, "host": host, "pid": 100 + rank, "unresponsive": True} for rank in missing]
    group = {
        "hash": "0x3b2fe521bf43bc04", "size": len(launched), "ranks_count": len(ranks),
        "missing_ranks_count": len(gone), "ranks": ranks, "missing_ranks": gone,
    }  # fmt: skip
    return {"nccl_version": "2.28.9", "communicators_count": 1, "communicators": [group]}


class Ras:
    """A server with the commands of NCCL's client socket."""

    def __init__(self) -> None:
        self.answer: bytes = b""
        self.knows_json = True
        self.asked = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def say(self, *launched: int, **changed: Any) -> None:
        """Answer with a report from now on."""
        self.answer = json.dumps(report(list(launched), **changed)).encode()

    def stop(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):  # a test has stopped it
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5.0)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines:
                for line in lines:
                    if self._command(connection, line.strip().lower()):
                        break

    def _command(self, connection: socket.socket, command: bytes) -> bool:
        if command.startswith(b"client protocol"):
            connection.sendall(b"SERVER PROTOCOL 2\n")
        elif command == b"set format json":
            connection.sendall(b"OK\n" if self.knows_json else b"ERROR: Unknown command set format json\n")
        elif command.startswith(b"timeout"):
            connection.sendall(b"OK\n")
        elif command == b"status":
            self.asked += 1
            connection.sendall(self.answer)
            return True
        return False


@pytest.fixture
def ras() -> Iterator[Ras]:
    """A server that listens."""
    server = Ras()
    yield server
    server.stop()


def source(ras: Ras, *, every_s: float = 0.0) -> RasSource:
    """Return the source of this node's ranks, asking at each read."""
    return RasSource(
        f"127.0.0.1:{ras.port}", "llm", Roster(), hosts=lambda: frozenset({"10.0.0.1"}),
        moving_every_s=every_s, still_every_s=every_s,
    )  # fmt: skip


def states(packed: bytes) -> dict[int, tuple[int, int, int]]:
    """Return (phase, launched, completed) by row."""
    return {
        row: (phase, launched, completed)
        for row, phase, _, _, _, _, _, _, launched, completed, *_ in RANK_STATE.iter_unpack(packed)
    }


def test_ranks_that_move_are_at_work(ras: Ras) -> None:
    """Launched counts as done: RAS tells no more."""
    reader = source(ras)
    ras.say(50, 50, 49)
    reader.read()
    ras.say(60, 60, 60)
    reading = reader.read()
    assert states(reading.rank_states) == {FIRST_ROW + rank: (Phase.COMPUTE, 60, 60) for rank in range(3)}
    assert reading.outsiders is not None
    assert [(each.rank, each.pid, each.world_size) for each in reading.outsiders.ranks] == [
        (0, 100, 3), (1, 101, 3), (2, 102, 3),
    ]  # fmt: skip


def test_when_nothing_moves_those_ahead_are_inside_what_the_other_has_not_begun(ras: Ras) -> None:
    """And that goes through to the collector's own detector, with the rank by name once it lasts."""
    reader, collector = source(ras), Collector()
    ras.say(60, 60, 59, 60)
    reader.read()
    reading = reader.read()
    assert states(reading.rank_states) == {
        FIRST_ROW: (Phase.COLLECTIVE, 60, 59),
        FIRST_ROW + 1: (Phase.COLLECTIVE, 60, 59),
        FIRST_ROW + 2: (Phase.COMPUTE, 59, 59),
        FIRST_ROW + 3: (Phase.COLLECTIVE, 60, 59),
    }
    collector.take(reading)
    assert collector.findings(Hang()) == []
    reader._seen = {
        rank: type(seen)(launched=seen.launched, moved_s=seen.moved_s - 300)
        for rank, seen in reader._seen.items()
    }
    collector.take(reader.read())
    (finding,) = collector.findings(Hang())
    assert (finding.culprit.job, finding.culprit.rank) == ("llm", 2)


def test_ranks_of_other_nodes_are_theirs_to_tell(ras: Ras) -> None:
    """Each agent tells its own."""
    ras.say(5, 5, host="10.0.0.9")
    assert source(ras).read().rank_states == b""


def test_a_job_is_asked_seldom(ras: Ras) -> None:
    """Each question is work for every process of the job; in between, the last answer is told."""
    ras.say(5, 5)
    reader = source(ras, every_s=3600.0)
    assert states(reader.read().rank_states) == states(reader.read().rank_states) != {}
    assert ras.asked == 1


def test_nccl_without_json_is_said(ras: Ras) -> None:
    """Before 2.28."""
    ras.knows_json = False
    with pytest.raises(SourceUnsupported, match=r"2\.28"):
        source(ras).read()


def test_nobody_there_is_no_fault(ras: Ras) -> None:
    """A node between two jobs; what the last one said is not told any more."""
    reader = source(ras)
    ras.say(5, 5)
    assert reader.read().rank_states
    ras.stop()
    assert ask("127.0.0.1", ras.port, 1.0) == []
    assert reader.read().rank_states == b""


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"OK\n",
        b'{"communicators": [{"size": 2, "hash"',
        b'{"communicators": 5}',
        b'{"communicators": [{"size": -1, "hash": "x"}]}',
        b'{"communicators": [{"size": 1, "hash": "x", "ranks": [{"rank": 7}]}]}',
        b"{" + b"[" * 100_000,
    ],
)
def test_a_torn_or_odd_answer_is_a_failed_read(ras: Ras, answer: bytes) -> None:
    """And the states before it are not told as live."""
    reader = source(ras)
    ras.say(5, 5)
    reader.read()
    ras.answer = answer
    with pytest.raises(SourceError, match="RAS"):
        reader.read()


def test_a_rank_that_did_not_answer_is_known_as_missing() -> None:
    """By its number in the group."""
    (group,) = parse(json.dumps(report([5, 5, 5], missing=(1,))).encode())
    assert (group.missing, [rank.rank for rank in group.ranks]) == ((1,), [0, 2])


def test_no_address_is_no_source() -> None:
    """It is off until it is told whom to ask."""
    with pytest.raises(SourceUnsupported, match="set ras"):
        RasSource("", "llm", Roster(), hosts=frozenset).open()
