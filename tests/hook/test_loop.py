"""What counts as a step, with real optimizers and a real data loader in this process."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

from ringwatch_agent.hook.loop import Loop
from ringwatch_agent.hook.patches import Patches, Watch
from ringwatch_agent.hook.recorder import Recorder
from ringwatch_agent.hook.ring_writer import RingWriter

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


class Rig:
    """The loop's patches over this process's torch, for as long as a test lasts."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.watch = Watch()
        self.loop = Loop(self.watch, lambda: None, self.steps.append)
        self.patches = Patches()
        self.loop.install(self.patches)
        self.parameter = torch.nn.Parameter(torch.ones(2))

    def optimizer(self) -> object:
        return torch.optim.SGD([self.parameter], lr=0.1)


@pytest.fixture
def rig() -> Iterator[Rig]:
    one = Rig()
    yield one
    one.patches.undo()


def test_the_first_optimizer_that_steps_marks_the_steps(rig: Rig) -> None:
    """The other one of a GAN does not, however often it steps in between."""
    first, second = rig.optimizer(), rig.optimizer()
    for _ in range(3):
        first.step()  # type: ignore[attr-defined]
        for _ in range(5):
            second.step()  # type: ignore[attr-defined]
    assert len(rig.steps) == 3


def test_an_optimizer_that_is_gone_or_stands_still_loses_the_mark(rig: Rig) -> None:
    """After a count that is the same on all ranks, so that they agree on the step."""
    first, second = rig.optimizer(), rig.optimizer()
    first.step()  # type: ignore[attr-defined]
    for _ in range(66):
        second.step()  # type: ignore[attr-defined]
    assert len(rig.steps) == 3
    del second
    gc.collect()
    first.step()  # type: ignore[attr-defined]
    assert len(rig.steps) == 4


def test_steps_that_the_job_marks_itself_are_the_only_ones(rig: Rig) -> None:
    """A job that says ``hook.step()`` is believed."""
    rig.loop.marked_by_job = True
    rig.optimizer().step()  # type: ignore[attr-defined]
    assert rig.steps == []


def test_a_loader_in_another_thread_is_not_the_ranks_wait(rig: Rig) -> None:
    """A prefetching thread waits so that the rank need not."""
    rig.watch.recorder = recorder = Recorder(RingWriter(), 0)
    seen: list[int] = []

    class Looking:
        """A dataset that looks at the account while it is asked for an item."""

        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> int:
            seen.append(recorder._data)
            return index

    thread = threading.Thread(target=lambda: list(torch.utils.data.DataLoader(Looking())))
    thread.start()
    thread.join()
    list(torch.utils.data.DataLoader(Looking()))
    assert seen == [0, 1]
    assert recorder._data == 0


def test_torch_is_as_it_was_once_the_patches_are_undone() -> None:
    """The same objects in the same places, and no hook left on the optimizers."""
    before = (torch.save, torch.utils.data.dataloader._BaseDataLoaderIter.__next__)
    rig = Rig()
    assert torch.save is not before[0]
    rig.patches.undo()
    assert (torch.save, torch.utils.data.dataloader._BaseDataLoaderIter.__next__) == before
    rig.optimizer().step()  # type: ignore[attr-defined]
    assert rig.steps == []
