"""What came first, who only waits, and what is no fault at all."""

from __future__ import annotations

import io

from ringwatch.diagnose import app
from ringwatch_collector.diagnosis.conclusion import Answer


def _answer(text: str) -> Answer:
    return app.of_evidence([], io.BytesIO(text.encode())).answer


def test_hang_after_a_program_fault_is_its_effect() -> None:
    """Xid 109 five seconds after Xid 13 on one GPU is no second fault."""
    answer = _answer(
        "[10.0] NVRM: Xid (PCI:0000:0a:00): 13, pid=1, name=a, Graphics SM Warp Exception: Illegal Instruction\n"  # noqa: E501
        "[15.0] NVRM: Xid (PCI:0000:0a:00): 109, pid=1, name=a, Ch 8, errorString CTX SWITCH TIMEOUT, Info 0x5\n"  # noqa: E501
    )
    assert [(each.fault_class, each.role) for each in answer.conclusions] == [
        ("application.gpu_exception", "root"),
        ("gpu.engine_hang", "effect"),
    ]


def test_memory_errors_that_return_are_told_from_a_single_one() -> None:
    """Three separate uncorrectable errors in a day mean that the memory degrades."""
    line = "Jan  1 %02d:00:00 n1 kernel: NVRM: Xid (PCI:0000:0a:00): 48, pid=1, name=a, DBE at 0x1\n"
    assert _answer(line % 1).conclusions[0].fault_class == "gpu_memory.uncorrectable_contained"
    again = _answer("".join(line % hour for hour in (1, 5, 9)))
    assert again.conclusions[0].fault_class == "gpu_memory.repeated_errors"


def test_waiting_ranks_follow_the_lost_gpu() -> None:
    """A time-out beside a lost GPU is explained by it."""
    answer = _answer(
        "[1.0] NVRM: Xid (PCI:0000:0a:00): 79, pid=1, name=a, GPU has fallen off the bus.\n"
        "[Rank 1] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=5, OpType=ALLREDUCE) ran for 1\n"  # noqa: E501
    )
    assert answer.conclusions[0].fault_class == "gpu.off_bus"
    assert any("Watchdog" in each.text for each in answer.conclusions[0].explains)


def test_port_that_comes_up_at_boot_is_no_fault() -> None:
    """INIT is a stage on the way to ACTIVE."""
    answer = _answer(
        "Feb 1 00:00:01 n1 kernel: mlx5_core 0000:ab:00.0 mlx5_5: Port: 1 Link INIT\n"
        "Feb 1 00:00:01 n1 kernel: mlx5_core 0000:ab:00.0 mlx5_5: Port: 1 Link ACTIVE\n"
    )
    assert answer.verdict == "benign"


def test_lower_power_limit_alone_is_no_fault() -> None:
    """Somebody set it; it is told among the look-alikes."""
    answer = _answer(
        "    GPU Power Readings\n        Current Power Limit : 200 W\n        Default Power Limit : 350 W\n"
    )
    assert not answer.conclusions


def test_numbers_of_unnamed_groups_are_not_compared() -> None:
    """Sequence numbers count for each process group: without its name no rank is called late."""
    line = "[Rank %d] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=%d, OpType=ALLREDUCE) ran for 1\n"  # noqa: E501
    assert (
        _answer(line % (0, 96117) + line % (7, 64088)).conclusions[0].fault_class
        == "collective.timeout_victim"
    )


def test_unknown_text_is_not_called_healthy() -> None:
    """Where nothing of a known kind is, the answer is that it cannot be told."""
    assert _answer("the training is slow today\n").verdict == "cannot_tell"
