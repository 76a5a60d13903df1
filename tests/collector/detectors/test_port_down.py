"""A port that lost its link is said while it is down, and when it flaps."""

from tests.collector.detectors.builders import JobSpec, Table, event, fleet, job

from ringwatch_collector.detectors.port_down import PortDown
from ringwatch_proto import events
from ringwatch_proto.records import Severity


def down(ago_s: float) -> object:
    """Return the loss of a link."""
    return event(events.PORT_DOWN, "n001", ago_s, device="mlx5_0/1")


def up(ago_s: float) -> object:
    """Return the return of a link."""
    return event(events.PORT_UP, "n001", ago_s, device="mlx5_0/1")


def port(value: float) -> Table:
    """Return the port table with the link up or down."""
    return Table(["mlx5_0/1"], [1], {"port.up": [value]})


def test_a_port_that_is_down_is_said_for_as_long_as_it_is() -> None:
    """An hour-old event counts while the port itself says so."""
    (finding,) = PortDown().look(fleet(job(JobSpec(steps=20)), events=(down(1800.0),), port=port(0.0)))
    assert (finding.culprit.node, finding.culprit.device) == ("n001", "mlx5_0/1")
    assert finding.severity is Severity.CRITICAL


def test_a_port_that_is_up_again_is_well() -> None:
    """Its own word beats the older event."""
    assert PortDown().look(fleet(count=4, events=(down(20.0),), port=port(1.0))) == []
    assert PortDown().look(fleet(count=4, events=(down(20.0), up(10.0)))) == []


def test_three_losses_in_ten_minutes_are_flapping() -> None:
    """Each alone is short; together they are a fault."""
    seen = (down(300.0), up(290.0), down(200.0), up(190.0), down(30.0), up(20.0))
    (finding,) = PortDown().look(fleet(count=4, events=seen, port=port(1.0)))
    assert finding.cause == "port_flapping"


def test_a_port_that_never_had_a_link_is_nothing() -> None:
    """Unused ports are down for good."""
    assert PortDown().look(fleet(count=4, port=port(0.0))) == []
