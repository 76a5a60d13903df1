"""The packed records mean the same to struct and to numpy."""

import struct

import numpy as np
import pytest

from ringwatch_proto import layout
from ringwatch_proto.errors import LayoutError

LAYOUTS = [
    (layout.STEP, layout.STEP_FIELDS),
    (layout.COLLECTIVE, layout.COLLECTIVE_FIELDS),
    (layout.RANK_STATE, layout.RANK_STATE_FIELDS),
    (layout.FLOW, layout.FLOW_FIELDS),
]


@pytest.mark.parametrize(("packer", "fields"), LAYOUTS)
def test_numpy_reads_what_struct_packs(packer: struct.Struct, fields: layout.Fields) -> None:
    """Each field comes back under its name, whatever its offset."""
    values = [bytes([at]) * 15 + b"\0" if code == "V16" else at + 1 for at, (_, code) in enumerate(fields)]

    records = np.frombuffer(packer.pack(*values) * 2, dtype=np.dtype(list(fields)))

    assert len(records) == 2
    assert list(records[1].tolist()) == values


@pytest.mark.parametrize(("packer", "fields"), LAYOUTS)
def test_numpy_and_struct_agree_on_the_size(packer: struct.Struct, fields: layout.Fields) -> None:
    """A count computed from either side is the same."""
    assert np.dtype(list(fields)).itemsize == packer.size


def test_a_cut_record_is_refused_with_its_length() -> None:
    """A torn message never yields half a record."""
    with pytest.raises(LayoutError, match="steps: 47 bytes are not a multiple of 48"):
        layout.count_of(layout.STEP, bytes(47), "steps")


def test_whole_records_are_counted() -> None:
    """The count is in records."""
    assert layout.count_of(layout.FLOW, bytes(3 * layout.FLOW.size), "flows") == 3
