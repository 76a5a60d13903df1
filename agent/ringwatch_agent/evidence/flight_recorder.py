"""Reads dumps of PyTorch's flight recorder: pickles, opened without the power to run code."""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from ringwatch_knowledge.observation import Observation
from ringwatch_proto.errors import EvidenceError

# A dump keeps a few thousand entries (TORCH_NCCL_TRACE_BUFFER_SIZE); more is not one.
_MOST_ENTRIES: Final = 200_000
_RANK_IN_NAME: Final = re.compile(r"(?<!\d)(\d{1,7})(?:\.\w{1,16})?$")


class _Plain(pickle.Unpickler):
    """An unpickler that knows no class and no function, so that nothing in the pickle can run."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise EvidenceError(f"the pickle asks for {module}.{name}: refused, a dump holds plain data only")

    def persistent_load(self, pid: object) -> NoReturn:
        raise EvidenceError(f"the pickle asks for outside object {pid!r}: refused")


# The opcodes that plain data needs. None of them names, calls or builds an object.
_ALLOWED: Final = frozenset({
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT",
    "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8", "EMPTY_LIST", "APPEND", "APPENDS", "LIST", "EMPTY_TUPLE", "TUPLE",
    "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "PUT", "BINPUT", "LONG_BINPUT",
    "MEMOIZE", "GET", "BINGET", "LONG_BINGET",
})  # fmt: skip
_PUTS: Final = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})


def _check_opcodes(data: bytes) -> None:
    """Raise EvidenceError for a pickle that does more than hold data.

    A memo slot is a number in the pickle, and the unpickler makes room for it: slots beyond the count of
    opcodes are what no pickler writes, and a few bytes that ask for gigabytes.
    """
    for count, (opcode, argument, _) in enumerate(pickletools.genops(data), 1):
        if opcode.name not in _ALLOWED:
            raise EvidenceError(f"the pickle uses {opcode.name}: refused, a dump holds plain data only")
        if opcode.name in _PUTS and not (isinstance(argument, int) and 0 <= argument <= count):
            raise EvidenceError(f"the pickle asks for memo slot {argument}: refused")


def _unpickled(data: bytes) -> object:
    _check_opcodes(data)
    return _Plain(io.BytesIO(data)).load()


def load(file: str, data: bytes) -> dict[str, Any]:
    """Return the dump in ``data``; raise EvidenceError for anything but a map of plain data."""
    try:
        dump = json.loads(data) if data[:1] == b"{" else _unpickled(data)
    except EvidenceError as error:
        raise EvidenceError(f"{file}: {error}") from error
    # A torn or hostile pickle can fail in any of these ways.
    except (
        pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError,
        OverflowError, MemoryError, UnicodeDecodeError, RecursionError,
    ) as error:  # fmt: skip
        raise EvidenceError(f"{file}: a torn or foreign pickle: {error}") from error
    if not isinstance(dump, dict) or not isinstance(dump.get("entries", []), list):
        raise EvidenceError(f"{file}: a pickle, but no flight-recorder dump")
    if len(dump.get("entries", [])) > _MOST_ENTRIES:
        raise EvidenceError(f"{file}: more entries than a flight recorder keeps")
    return dump


class FlightRecorderReader:
    """Reads one rank's dump. The rank stands at the end of the file's name, as PyTorch writes it."""

    kind = "flight recorder"

    def recognises(self, head: bytes) -> bool:
        """Say whether this may be a pickle, or the JSON form of a dump."""
        return head[:1] == b"\x80" or (head[:1] == b"{" and b'"pg_config"' in head)

    def read(self, file: str, data: bytes) -> Iterator[Observation]:
        """Yield where the rank stands, and each collective that it has not completed."""
        dump = load(file, data)
        found = _RANK_IN_NAME.search(file)
        rank = _own_rank(dump, int(found[1]) if found else -1)
        entries = [entry for entry in dump.get("entries", []) if isinstance(entry, dict)]
        pending = [entry for entry in entries if entry.get("state") != "completed"]
        yield Observation(
            kind="flight",
            name="rank",
            text=f"rank {rank}: {len(pending)} collectives not completed",
            file=file,
            line=0,
            value=float(len(pending)),
            rank=rank,
        )
        for entry in pending:
            yield _pending(file, rank, entry, dump)


def _own_rank(dump: dict[str, Any], from_name: int) -> int:
    rank = dump.get("rank")
    return rank if isinstance(rank, int) else from_name


def _pending(file: str, rank: int, entry: dict[str, Any], dump: dict[str, Any]) -> Observation:
    group = entry.get("process_group") or ("", "")
    sequence = entry.get("p2p_seq_id" if entry.get("is_p2p") else "collective_seq_id", -1)
    status = dump.get("pg_status") or {}
    of_group = status.get(str(entry.get("pg_id")), {}) if isinstance(status, dict) else {}
    return Observation(
        kind="flight",
        name="pending",
        text=f"rank {rank}: {entry.get('profiling_name')} seq {sequence} of {group} is {entry.get('state')}",
        file=file,
        line=0,
        value=float(sequence) if isinstance(sequence, int) else float("nan"),
        word=str(entry.get("profiling_name", "")),
        rank=rank,
        at_s=entry["time_created_ns"] / 1e9 if isinstance(entry.get("time_created_ns"), int) else None,
        fields={
            "group": " ".join(map(str, group)) if isinstance(group, tuple | list) else str(group),
            "p2p": "yes" if entry.get("is_p2p") else "",
            "state": str(entry.get("state")),
            "sizes": str(entry.get("input_sizes")),
            "enqueued": str(of_group.get("last_enqueued_collective", ""))
            if isinstance(of_group, dict)
            else "",
            "completed": str(of_group.get("last_completed_collective", ""))
            if isinstance(of_group, dict)
            else "",
        },
    )
