"""Tests of what is measured, on the CPU with the real torch; what is broken is broken on purpose."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from ringwatch_agent.probe import pairs as pair_tests
from ringwatch_agent.probe.copies import copies
from ringwatch_agent.probe.gemm import gemm
from ringwatch_agent.probe.memory import memory, words_wrong
from ringwatch_agent.probe.pair_worker import partner
from ringwatch_agent.probe.pairs import of_node, of_ranks
from ringwatch_agent.probe.plan import Device, Plan, Sizes, cpu_kind, devices_of, plan_of
from ringwatch_agent.probe.run import probe
from ringwatch_agent.probe.storage import storage
from ringwatch_proto.probe import Measure

pytestmark = pytest.mark.torch

SMALL = Sizes(
    seconds=0.02, matrix=64, memory_bytes=1 << 16, copy_bytes=1 << 16, message_bytes=1 << 16,
    storage_bytes=1 << 20,
)  # fmt: skip


def small(folder: Path, ranks: int = 2) -> Plan:
    """Return a plan that takes no time."""
    return plan_of("quick", (Device(name="cpu", kind="test"),), folder, ranks, SMALL)


def test_products_are_right_and_have_a_speed(tmp_path: Path) -> None:
    """On hardware that is well."""
    right, fast = gemm(torch, small(tmp_path))

    assert (right.name, right.wrong) == ("gemm.correct", "")
    assert fast.value is not None
    assert fast.value > 0


def test_one_flipped_bit_is_found(tmp_path: Path) -> None:
    """In one of the many elements, in one of the many products: not the same bit for bit."""
    calls = 0

    def flips(one: Any, other: Any) -> Any:
        nonlocal calls
        calls += 1
        out = torch.matmul(one, other)
        if calls == 5:
            out.view(torch.int32)[3, 7] ^= 1
        return out

    right, _ = gemm(torch, small(tmp_path), flips)

    assert right.wrong == "1 of 8 equal products differ"


def test_a_product_that_is_always_wrong_is_found_by_the_reference(tmp_path: Path) -> None:
    """The same wrong answer each time is still wrong."""

    def off(one: Any, other: Any) -> Any:
        out = torch.matmul(one, other)
        out[:, 1] *= 1.001
        return out

    right, _ = gemm(torch, small(tmp_path), off)

    assert right.wrong.startswith("wrong by ")


def test_memory_that_is_well_is_well(tmp_path: Path) -> None:
    """All patterns come back."""
    (found,) = memory(torch, small(tmp_path))

    assert (found.wrong, found.unit) == ("", "0 MiB")


def test_two_addresses_for_one_cell_are_found() -> None:
    """The ramp finds what equal patterns cannot."""
    cells = torch.empty(1024, dtype=torch.int32)

    assert words_wrong(torch, [cells, cells]) > 0


def test_copies_have_a_bandwidth_and_are_intact(tmp_path: Path) -> None:
    """On a CPU there is one kind of copy."""
    (found,) = copies(torch, small(tmp_path))

    assert (found.name, found.wrong) == ("copy.within", "")
    assert found.value is not None
    assert found.value > 0


def test_storage_is_written_and_read_back_and_leaves_nothing(tmp_path: Path) -> None:
    """Whatever happens, no file stays."""
    wrote, read = storage(torch, small(tmp_path))

    assert (wrote.wrong, read.wrong) == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_a_block_that_came_back_changed_is_found(tmp_path: Path) -> None:
    """One byte of one block."""

    def spoiled(descriptor: int, size: int) -> bytes:
        data = os.read(descriptor, size)
        return data[:100] + bytes([data[100] ^ 4]) + data[101:] if len(data) > 100 else data

    _, read = storage(torch, small(tmp_path), spoiled)

    assert read.wrong == "1 of 1 blocks came back changed"


@pytest.mark.parametrize("world", [2, 3, 4, 5, 8])
def test_each_round_pairs_ranks_that_agree_about_it(world: int) -> None:
    """And over both rounds everybody has measured with somebody."""
    met: dict[int, set[int]] = {rank: set() for rank in range(world)}
    for number in (0, 1):
        for rank in range(world):
            other = partner(rank, world, number)
            if other is not None:
                assert partner(other, world, number) == rank
                met[rank].add(other)
    assert all(met.values())
    if world >= 4 and world % 2 == 0:
        assert all(len(others) == 2 for others in met.values())


def test_a_bad_end_is_slow_with_both_partners_and_a_good_one_is_not() -> None:
    """Rank 2 is slow: 3 and 1 are slow with it, and fast with others."""
    rows = [
        {
            "rank": rank,
            "peer": peer,
            "round": number,
            "intact": True,
            "gb_per_s": 1.0 if 2 in (rank, peer) else 9.0,
        }
        for number in (0, 1)
        for rank in range(4)
        if (peer := partner(rank, 4, number)) is not None
    ]

    found = {each.device: each.value for each in of_ranks(rows, "pair")}

    assert found == {"rank 0": 9.0, "rank 1": 9.0, "rank 2": 1.0, "rank 3": 9.0}


def test_a_message_that_came_changed_is_wrong() -> None:
    """However fast it was."""
    rows = [{"rank": 0, "peer": 1, "round": 0, "intact": False, "gb_per_s": 9.0}]

    assert of_node(rows, "pair").wrong == "messages of rank 1 came changed"


def test_pairs_run_over_a_real_process_group(tmp_path: Path) -> None:
    """Two processes, gloo, both rounds."""
    (found,) = pair_tests.pairs(torch, small(tmp_path))

    assert found.wrong == ""
    assert found.value is not None
    assert found.value > 0


def test_a_test_that_breaks_is_a_finding_and_not_the_end(tmp_path: Path) -> None:
    """A device that fails raises anything."""

    def breaks(_torch: Any, _plan: Plan) -> list[Measure]:
        raise RuntimeError("CUDA error: uncorrectable ECC error encountered")

    result = probe(torch, small(tmp_path), "n1", (), {"gemm": breaks, "storage": storage})

    assert result.wrong == ("node gemm: RuntimeError: CUDA error: uncorrectable ECC error encountered",)
    assert len(result.measures) == 3


def test_what_cannot_be_measured_here_is_said(tmp_path: Path) -> None:
    """One rank has nobody to pair with."""
    result = probe(torch, small(tmp_path, ranks=1), "n1", ("pairs",))

    assert result.skipped == ("pairs: there is nothing here to measure it with",)


def test_the_cpu_is_probed_where_there_is_no_gpu() -> None:
    """Its kind says model and number, so that unlike machines are not compared."""
    devices = devices_of(torch, cpu_kind)

    assert devices[0].kind
    assert devices[0].is_gpu is torch.cuda.is_available()
