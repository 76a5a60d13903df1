"""Frames between agent and reader."""

from __future__ import annotations

import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringwatch_agent.sources.pipe_frames import Frame, read_frame, write_frame


def test_a_frame_comes_back_as_it_was() -> None:
    """Two frames in a row, words and numbers, then the end."""
    pipe = io.BytesIO()
    write_frame(pipe, {"id": 1, "text": "ü", "none": None}, b"\0\0\xc0\x7f")
    write_frame(pipe, {"id": 2})
    pipe.seek(0)
    assert read_frame(pipe) == Frame({"id": 1, "text": "ü", "none": None}, b"\0\0\xc0\x7f")
    assert read_frame(pipe) == Frame({"id": 2})
    assert read_frame(pipe) is None


def test_nan_is_no_frame() -> None:
    """Absent is left out or null: JSON has no NaN."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_frame(io.BytesIO(), {"value": math.nan})


@given(st.binary(max_size=64))
def test_arbitrary_bytes_are_an_end_or_a_value_error(data: bytes) -> None:
    """A reader that goes mad cannot hurt the agent."""
    try:
        assert read_frame(io.BytesIO(data)) is None or data
    except ValueError:
        return
