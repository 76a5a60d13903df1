"""Input made to hurt is refused in words, or read within bounds."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import tarfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringwatch.diagnose import app

XID = b"[1.0] NVRM: Xid (PCI:0000:01:00): 79, pid=1, name=a, GPU has fallen off the bus.\n"


def _diagnose(data: bytes) -> app.Diagnosis:
    return app.of_evidence([], io.BytesIO(data))


class _Runs:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def test_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    """Nothing in a pickle can run."""
    marker = tmp_path / "ran"
    diagnosis = _diagnose(pickle.dumps({"entries": [_Runs(marker)]}))
    assert not marker.exists()
    assert "refused" in diagnosis.reading.refused[0]


def test_pickle_that_asks_for_a_huge_memo_is_refused() -> None:
    """A few bytes must not make the unpickler reserve gigabytes."""
    forged = b"\x80\x02}r\xff\xff\xff\x7f."
    assert "memo" in _diagnose(forged).reading.refused[0]


def test_gzip_bomb_is_refused_before_it_fills_memory() -> None:
    """The ratio gives a bomb away."""
    engine = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(engine.compress(bytes(1 << 20)) for _ in range(200)) + engine.flush()
    assert "bomb" in _diagnose(bomb).reading.refused[0]


def test_archives_nested_too_deep_are_refused() -> None:
    """Depth has a limit."""
    data = XID
    for _ in range(8):
        data = gzip.compress(data)
    assert "nested" in _diagnose(data).reading.refused[0]


def test_binary_noise_is_refused() -> None:
    """Bytes of no known kind are no evidence."""
    diagnosis = _diagnose(bytes(range(256)) * 64)
    assert "binary" in diagnosis.reading.refused[0]
    assert diagnosis.answer.verdict == "cannot_tell"


def test_line_of_many_megabytes_hides_nothing_after_it() -> None:
    """What follows an endless line is read all the same."""
    diagnosis = _diagnose(b"x" * (9 << 20) + b"\n" + XID)
    assert diagnosis.answer.conclusions[0].fault_class == "gpu.off_bus"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_encodings_are_read(encoding: str) -> None:
    """Windows tools write UTF-16."""
    diagnosis = _diagnose((XID.decode() * 3).encode(encoding))
    assert diagnosis.answer.conclusions[0].fault_class == "gpu.off_bus"


def test_tar_gz_and_line_ends_and_colours_are_read() -> None:
    """A folder of logs is often a tar; pastes carry colours and CRLF."""
    content = b"\x1b[31m" + XID.replace(b"\n", b"\x1b[0m\r\n")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        member = tarfile.TarInfo("logs/kern.log")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    top = _diagnose(out.getvalue()).answer.conclusions[0]
    assert top.fault_class == "gpu.off_bus"
    assert top.evidence[0].file.endswith("logs/kern.log")


def test_long_log_gives_line_numbers_as_a_short_one() -> None:
    """The fast way through a long log counts lines as the slow way does."""
    filler = b"Jun 17 20:18:08 node-a kernel: [1.5] usb 1-1: new device number 4\n"
    count = (6 << 20) // len(filler)
    top = _diagnose(filler * count + XID + filler).answer.conclusions[0]
    assert top.evidence[0].line == count + 1


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes_give_an_answer(data: bytes) -> None:
    """No input raises."""
    assert _diagnose(data).answer.verdict in {"fault", "healthy", "benign", "cannot_tell"}


_HEADS = (
    b"\x80\x04", b"{", b"[", b'{"pg_config":', b'{"traceEvents":[', b'[{"name":"NEGOTIATE_X"', b"<nvidia_smi_log>",  # noqa: E501
    b'{"communicators":', b'{"x":[{"ifname":"a"', b'{"/sys/', b"\x1f\x8b\x08", b"CA 'm'\n", b"[1.0] NVRM: Xid (PCI:",  # noqa: E501
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(_HEADS), st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_torn_documents_give_an_answer(head: bytes, rest: bytes) -> None:
    """A document that begins well and goes wrong is refused in words."""
    assert _diagnose(head + rest).answer.verdict in {"fault", "healthy", "benign", "cannot_tell"}


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(
        [
            b'{"communicators":%s}',
            b'{"pg_config":{},"entries":%s}',
            b'{"traceEvents":%s}',
            b'{"x":[{"ifname":"a","mtu":%s}]}',
            b'{"/sys/a":%s}',
        ]
    ),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-5, 5)
        | st.sampled_from(["", "state", "ranks", "p2p_seq_id"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "size",
                        "ranks",
                        "missing_ranks_count",
                        "process_group",
                        "name",
                        "ts",
                        "ph",
                        "state",
                        "pg_id",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    ),
)
def test_documents_of_the_wrong_types_give_an_answer(shape: bytes, value: object) -> None:
    """Valid JSON of a known kind whose values are of other types than expected raises nothing."""
    import json

    assert _diagnose(shape % json.dumps(value).encode()).answer.verdict


@pytest.mark.parametrize(
    "text",
    [
        b'{"communicators":[{"size":999999999999,"missing_ranks_count":1,"ranks":[]}]}',
        b'DCGM_FI_DEV_XID_ERRORS{gpu="0"} 1e400\nDCGM_FI_DEV_CLOCK_THROTTLE_REASONS{gpu="0"} Inf\n',
        b'DCGM_FI_DEV_XID_ERRORS{gpu="0"} 4294967295\n',
        b"[rank"
        + b"9" * 5000
        + b"]: Watchdog caught collective operation timeout: WorkNCCL(SeqNum="
        + b"9" * 5000
        + b", OpType=ALLREDUCE)\n",
        b"Stalled ops:a [missing ranks: " + b"9" * 5000 + b"]\n",
        'DCGM_EXP_XID_ERRORS_COUNT{xid="\u00b2"} 1\n'.encode(),
    ],
)
def test_numbers_out_of_all_bounds_give_an_answer(text: bytes) -> None:
    """A number that no machine prints makes no room and raises nothing."""
    assert _diagnose(text).answer.verdict in {"fault", "healthy", "benign", "cannot_tell"}
