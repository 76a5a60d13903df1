"""When batches are acknowledged, and how far each spool was taken."""

from __future__ import annotations

from ringwatch_collector.streams import Acknowledgements, Ledger, Stream


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


def _settled(acknowledgements: Acknowledgements, stream: Stream, sequence: int) -> int:
    stream.settled = sequence
    acknowledgements.later(stream)
    return stream.acknowledged


def test_few_streams_are_answered_at_once() -> None:
    """On a small cluster an agent forgets a batch as soon as it was taken."""
    acknowledgements = Acknowledgements(Clock(), lambda: 2000)
    stream = Stream()
    assert [_settled(acknowledgements, stream, sequence) for sequence in (1, 2, 3)] == [1, 2, 3]


def test_many_streams_are_answered_some_seconds_later_and_several_batches_at_once() -> None:
    """The answer covers what came until then; agents wait 15 s for one."""
    clock = Clock()
    acknowledgements = Acknowledgements(clock, lambda: 12_500)
    stream = Stream()
    for sequence in range(1, 6):
        clock.now_s = float(sequence)
        acknowledgements.answer()
        assert _settled(acknowledgements, stream, sequence) == 0
    clock.now_s = 6.0
    acknowledgements.answer()
    assert stream.acknowledged == 5


def test_an_agent_that_catches_up_does_not_wait_for_the_clock() -> None:
    """It stops after 64 batches without an answer."""
    acknowledgements = Acknowledgements(Clock(), lambda: 12_500)
    stream = Stream()
    answers = [_settled(acknowledgements, stream, sequence) for sequence in range(1, 41)]
    assert sorted(set(answers)) == [0, 16, 32]


def test_a_stream_stands_in_line_once() -> None:
    """However many batches it sends meanwhile, it is answered once."""
    clock = Clock()
    acknowledgements = Acknowledgements(clock, lambda: 12_500)
    stream = Stream()
    for sequence in range(1, 6):
        _settled(acknowledgements, stream, sequence)
    clock.now_s = 60.0
    acknowledgements.answer()
    assert (stream.acknowledged, stream.in_line) == (5, False)


def test_a_mark_is_handed_on_once_for_each_time_it_moved() -> None:
    """What the disk knows already is not written again."""
    ledger = Ledger()
    ledger.restore("n1", "s", 7)
    mark = ledger.mark("n1", "s")
    assert mark.applied == 7
    assert list(ledger.moved()) == []
    mark.applied = 9
    assert [(each.node, each.spool, each.applied) for each in ledger.moved()] == [("n1", "s", 9)]
    assert list(ledger.moved()) == []


def test_the_oldest_spools_of_a_node_are_forgotten() -> None:
    """A node has one at a time."""
    ledger = Ledger()
    ledger.mark("n1", "s0").applied = 5
    for number in range(1, 5):
        ledger.mark("n1", f"s{number}")
    assert ledger.mark("n1", "s0").applied == 0
