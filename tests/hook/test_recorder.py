"""The accounts of one rank, on a real ring read by the real reader."""

from __future__ import annotations

import math
import os
import threading
import time

import pytest

from ringwatch_agent.hook.recorder import Communicator, Recorder
from ringwatch_agent.hook.ring_writer import RingWriter
from ringwatch_agent.sources.ring_reader import RingReader
from ringwatch_proto.layout import Collective, Phase, StepFlag
from ringwatch_proto.ring import RING_RECORDS, RecordType, amounts_of, pack_amounts

NAN = float("nan")
KIND = int(Collective.ALL_REDUCE)


@pytest.fixture
def ring() -> RingWriter:
    return RingWriter()


@pytest.fixture
def reader(ring: RingWriter) -> RingReader:
    return RingReader(os.dup(ring.fd))


def test_waiting_in_a_collective_is_not_own_work(ring: RingWriter, reader: RingReader) -> None:
    """The time in flight is in the collective's record and in none of the step's accounts."""
    recorder = Recorder(ring, 0)
    recorder.forward()
    token = recorder.begin(Communicator(0), KIND, 64)
    time.sleep(0.03)
    recorder.end(token)
    recorder.step_end(NAN)
    collective, step = reader.records()
    assert collective[1] == RecordType.COLLECTIVE
    assert collective[9] == pytest.approx((collective[6] - collective[5]) * 1e-9)
    assert collective[9] >= 0.03
    assert step[1] == RecordType.STEP
    elapsed = (step[6] - step[5]) * 1e-9
    assert step[10] == pytest.approx(elapsed - collective[9], abs=1e-4)
    assert sum(step[9:12]) < elapsed - 0.03 + 1e-4


def test_what_follows_a_step_is_a_pause_only_when_the_next_begins_visibly(
    ring: RingWriter, reader: RingReader
) -> None:
    """A forward pass makes it a pause; when nothing marks the begin, it is compute."""
    recorder = Recorder(ring, 0)
    recorder.forward()
    recorder.step_end(NAN)
    time.sleep(0.02)
    recorder.forward()
    recorder.step_end(NAN)
    time.sleep(0.02)
    recorder.step_end(NAN)
    _, paused, unmarked = reader.records()
    assert paused[11] >= 0.02 > paused[10]
    assert unmarked[10] >= 0.02
    assert unmarked[11] == 0.0


def test_the_accounts_of_a_step_add_up_to_it(ring: RingWriter, reader: RingReader) -> None:
    """Data, pause, flight and compute overlap in no moment and leave none out."""
    recorder = Recorder(ring, 0)
    recorder.forward()
    recorder.step_end(NAN)
    recorder.data_begin()
    token = recorder.begin(Communicator(0), KIND, 0)
    time.sleep(0.01)
    recorder.data_end()
    recorder.pause_begin(int(StepFlag.TAGGED_PAUSE))
    time.sleep(0.01)
    recorder.pause_end()
    recorder.end(token)
    recorder.step_end(1.5)
    *_, collective, step = reader.records()
    elapsed = (step[6] - step[5]) * 1e-9
    assert step[2] == StepFlag.TAGGED_PAUSE
    assert step[12] == 1.5
    assert step[9] >= 0.01
    assert step[11] >= 0.01
    assert sum(step[9:12]) <= elapsed + 1e-6
    assert sum(step[9:12]) + collective[9] >= elapsed - 1e-6


def test_slots_count_within_the_step_and_the_communicator(ring: RingWriter, reader: RingReader) -> None:
    """The how-many-th of a group is what makes collectives of several ranks the same one."""
    recorder = Recorder(ring, 7)
    one, two = Communicator(0), Communicator(1)
    for communicator in (one, two, one):
        recorder.end(recorder.begin(communicator, KIND, 8))
    recorder.step_end(NAN)
    recorder.end(recorder.begin(one, KIND, 8))
    found = [record[3:5] + record[7:8] for record in reader.records() if record[1] == RecordType.COLLECTIVE]
    assert found == [(0, 0, 7), (1, 0, 7), (0, 1, 7), (0, 0, 8)]


def test_the_oldest_collective_in_flight_is_the_one_that_is_shown(
    ring: RingWriter, reader: RingReader
) -> None:
    """Ends may come in any order; a failed one is over and leaves no record."""
    recorder = Recorder(ring, 0)
    group = Communicator(3)
    tokens = [recorder.begin(group, KIND, 8) for _ in range(3)]
    recorder.end(tokens[1])
    state = reader.state()
    assert (state.launched, state.completed) == (3, 1)
    assert (state.inflight_communicator, state.inflight_slot, state.phase) == (3, 0, Phase.COLLECTIVE)
    recorder.abandon(tokens[0])
    assert reader.state().inflight_slot == 2
    recorder.end(tokens[2])
    recorder.end(tokens[2])
    state = reader.state()
    assert (state.launched, state.completed, state.phase) == (3, 3, Phase.COMPUTE)
    assert len(reader.records()) == 2


def test_ends_from_other_threads_lose_nothing(ring: RingWriter, reader: RingReader) -> None:
    """Gloo's threads end what the training thread begins; each is recorded once and in whole."""
    recorder = Recorder(ring, 0)
    group = Communicator(0)
    tokens = [recorder.begin(group, KIND, index) for index in range(400)]

    def end_all(part: list[int]) -> None:
        for token in part:
            recorder.end(token)

    threads = [threading.Thread(target=end_all, args=(tokens[at::4],)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(record[8] for record in reader.records()) == list(range(400))
    assert reader.state().completed == 400
    assert reader.lost == 0


def test_a_reader_that_comes_late_counts_what_it_missed(ring: RingWriter, reader: RingReader) -> None:
    """Old records are overwritten; the newest are whole and the others are counted."""
    recorder = Recorder(ring, 0)
    for _ in range(RING_RECORDS + 100):
        recorder.step_end(NAN)
    found = reader.records()
    assert found[-1][7] == RING_RECORDS + 99
    assert len(found) + reader.lost == RING_RECORDS + 100
    assert reader.records() == []


def test_what_a_step_had_to_do_is_told_with_it(ring: RingWriter, reader: RingReader) -> None:
    """Tokens and work of one step are not those of the next."""
    recorder = Recorder(ring, 0)
    recorder.step_end(NAN, pack_amounts(4096.0, 1e9))
    recorder.step_end(NAN)
    told, silent = (amounts_of(record[8]) for record in reader.records())
    assert told == pytest.approx((4096.0, 1e9))
    assert all(math.isnan(value) for value in silent)


def test_a_loss_that_is_no_number_is_a_flag_of_its_step(ring: RingWriter, reader: RingReader) -> None:
    """NaN alone would say that no loss was told."""
    recorder = Recorder(ring, 0)
    recorder.step_end(NAN, 0, int(StepFlag.LOSS_NOT_FINITE))
    recorder.step_end(1.5)
    assert [record[2] for record in reader.records()] == [StepFlag.LOSS_NOT_FINITE, 0]
