"""TCP flows: the worst of the sockets of a peer, over the last seconds, beside what is usual."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ringwatch_collector.fleet.flows import Flows, packed_address
from ringwatch_collector.fleet.waves import Wave
from ringwatch_proto import layout

NOW = 1_000_000.0


def _flow(
    address: str = "10.0.0.2",
    *,
    row: int = 0,
    gbit: float = 10.0,
    busy_s: float = 0.1,
    tx: float = 1e8,
    unsent: float = 0.0,
) -> bytes:
    packed = packed_address(address)
    assert packed is not None
    return layout.FLOW.pack(
        packed, row, 1, 1.0, gbit * 1e9, busy_s, 0.0, 0.0, unsent, 1e-4, 1e-4, 0.0, tx, tx
    )


def _flows(most: int = 100) -> Flows:
    flows = Flows(Counter(), most=most)
    flows.hello(0, ["10.0.0.1/24", "127.0.0.1", "nonsense"])
    flows.hello(1, ["10.0.0.2"])
    return flows


def _put(flows: Flows, packed: bytes, at_s: float) -> None:
    wave = Wave()
    wave.flows.put(wave.begin(0, at_s, 0.0, live=True), packed)
    flows.put(wave, lambda _node, row: f"job{row}")


def test_a_peer_is_named_by_the_address_that_a_node_said_it_has() -> None:
    """An address that nobody has stays unknown."""
    flows = _flows()
    _put(flows, _flow("10.0.0.2") + _flow("10.0.0.9"), NOW)
    view = flows.view(NOW)
    assert view.node_of.tolist() == [0, 0]
    assert view.peer_of.tolist() == [1, -1]
    assert list(view.job) == ["job0", "job0"]


def test_sockets_to_one_peer_are_one_flow_with_the_worst_delivery() -> None:
    """What they move is summed."""
    flows = _flows()
    _put(flows, _flow(gbit=10, busy_s=0.2) + _flow(row=1, gbit=0.2, busy_s=0.9, unsent=1000), NOW)
    view = flows.view(NOW)
    assert view.delivery_bits_per_s.tolist() == [np.float32(0.2e9)]
    assert view.busy_share.tolist() == [np.float32(0.9)]
    assert view.unsent_bytes.tolist() == [1000]
    assert view.tx_bytes_per_s.tolist() == [2e8]


def test_delivery_is_the_least_and_busy_the_mean_of_five_seconds() -> None:
    """What is older is forgotten."""
    flows = _flows()
    for second, gbit in enumerate([0.1, 10.0, 10.0, 5.0, 10.0, 10.0]):
        _put(flows, _flow(gbit=gbit, busy_s=0.1 * second), NOW + second)
    view = flows.view(NOW + 5)
    assert view.delivery_bits_per_s.tolist() == [np.float32(5e9)]
    np.testing.assert_allclose(view.busy_share, [0.3], rtol=1e-5)


def test_a_flow_without_traffic_says_nothing_about_delivery() -> None:
    """A rate measured on a few bytes is not the path's."""
    flows = _flows()
    _put(flows, _flow(gbit=0.001, tx=10.0), NOW)
    assert np.isnan(flows.view(NOW).delivery_bits_per_s).all()


def test_the_usual_delivery_is_learned_over_healthy_time_only() -> None:
    """Twenty healthy seconds after the first five readings."""
    flows = _flows()
    for second in range(60):
        _put(flows, _flow(gbit=10.0 if second < 30 else 0.1), NOW + second)
        flows.learn(NOW + second, {"job0"} if second < 4 or second >= 30 else ())
    view = flows.view(NOW + 60)
    assert view.reference_delivery_bits_per_s.tolist() == [np.float32(10e9)]


def test_flows_beyond_the_limit_are_counted() -> None:
    """Memory is bounded."""
    dropped: Counter[str] = Counter()
    flows = Flows(dropped, most=3)
    _put(flows, b"".join(_flow(f"10.0.1.{at}") for at in range(10)), NOW)
    assert len(flows) == 3
    assert dropped["flow_beyond_limit"] == 7


def test_many_flows_keep_their_values_when_room_doubles() -> None:
    """Growth moves nothing."""
    flows = _flows()
    for at in range(50):
        _put(flows, _flow(f"10.0.1.{at}", gbit=float(at + 1)), NOW)
    np.testing.assert_allclose(
        flows.view(NOW).delivery_bits_per_s, [(at + 1) * 1e9 for at in range(50)], rtol=1e-5
    )


def test_flows_that_ended_are_forgotten() -> None:
    """Those that go on keep what was learned."""
    flows = _flows()
    _put(flows, _flow("10.0.1.1") + _flow("10.0.0.2", gbit=3.0), NOW)
    _put(flows, _flow("10.0.0.2", gbit=3.0), NOW + 700)
    flows.forget(NOW + 700, 600.0)
    view = flows.view(NOW + 700)
    assert view.peer_of.tolist() == [1]
    _put(flows, _flow("10.0.0.2", gbit=4.0) + _flow("10.0.1.1"), NOW + 701)
    assert len(flows) == 2
    assert flows.view(NOW + 701).delivery_bits_per_s[0] == np.float32(3e9)


def test_addresses_are_compared_in_one_form() -> None:
    """IPv4 is mapped into IPv6; loopback belongs to every node and so to none."""
    assert packed_address("10.0.0.1") == bytes(10) + b"\xff\xff\x0a\x00\x00\x01"
    assert packed_address("fe80::1%eth0") == packed_address("fe80::1")
    assert packed_address("::1") is None
    assert packed_address("x") is None
