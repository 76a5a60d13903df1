"""The catalogues: signals, events and verbs."""

import pytest

from ringwatch_proto import events, signals, verbs
from ringwatch_proto.errors import VerbRefused
from ringwatch_proto.v1 import telemetry_pb2

GPU = "GPU-11111111-2222-3333-4444-555555555555"


def test_signal_ids_and_names_are_unique() -> None:
    """An id means one thing for ever."""
    assert len(signals.BY_ID) == len(signals.BY_NAME) == len(signals.SIGNALS)


def test_a_signal_name_ends_in_its_unit() -> None:
    """A reading cannot be taken for another unit."""
    endings = {"s": "_s", "MiB": "_mib", "W": "_watts", "C": "_celsius", "MHz": "_mhz", "ms": "_ms"}
    endings |= {"%": "_percent", "B/s": "_bytes_per_s", "1/s": "_per_s", "Gbit/s": "_gbit_per_s"}

    wrong = [
        signal.name
        for signal in signals.SIGNALS
        if signal.unit in endings and not signal.name.endswith(endings[signal.unit])
    ]

    assert wrong == []


def test_every_table_has_the_age_of_its_rows() -> None:
    """Nothing is read without saying when."""
    for table in signals.Table:
        assert [s.name for s in signals.columns_of(table) if s.kind == "age"], table


def test_tables_are_those_of_the_wire() -> None:
    """The enum and the protobuf enum agree."""
    wire = {name.removeprefix("TABLE_"): value for name, value in telemetry_pb2.Table.items()}

    assert {table.name: table.value for table in signals.Table} == {
        name: value for name, value in wire.items() if value
    }


def test_event_kinds_are_all_described() -> None:
    """A kind without a meaning is not a kind."""
    declared = {value for name, value in vars(events).items() if name.isupper() and isinstance(value, str)}

    assert declared == set(events.EVENT_KINDS)


def test_a_fitting_request_names_its_verb() -> None:
    """The verb comes back with its risk."""
    assert verbs.check_request("gpu.reset_clocks", {"gpu": GPU}).risk == "R1"


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("rm", {}, "no verb 'rm'"),
        ("gpu.inspect", {}, "argument gpu is missing"),
        ("gpu.inspect", {"gpu": GPU, "x": "1"}, "no argument 'x'"),
        ("gpu.inspect", {"gpu": GPU + "\n"}, "is not GPU UUID"),
        ("gpu.inspect", {"gpu": "-i 0"}, "is not GPU UUID"),
        ("process.continue", {"pid": "1; reboot"}, "is not process id"),
        ("process.continue", {"pid": "-1"}, "is not process id"),
        ("process.continue", {"pid": "0"}, "is not process id"),
    ],
)
def test_anything_off_the_list_is_refused_with_the_reason(
    name: str, arguments: dict[str, str], reason: str
) -> None:
    """No text from the network becomes an argument that was not meant."""
    with pytest.raises(VerbRefused, match=reason):
        verbs.check_request(name, arguments)
