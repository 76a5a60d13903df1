"""Network ports out of a sysfs tree, and the queues of the real kernel."""

from __future__ import annotations

import math
import shutil
import socket
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from ringwatch_agent.sources.base import Reading
from ringwatch_agent.sources.port_rows import MAX_PORTS
from ringwatch_agent.sources.ports import PortsSource
from ringwatch_agent.sources.qdisc import EgressQueue, egress_queues, parse_queue
from ringwatch_proto import events
from ringwatch_proto.signals import BY_NAME


def net(sysfs: Path, name: str, *, hardware: bool = True, tx_bytes: int = 0, **files: int | str) -> Path:
    """Write an interface as /sys/class/net shows it."""
    folder = sysfs / "class/net" / name
    (folder / "statistics").mkdir(parents=True, exist_ok=True)
    if hardware and not (folder / "device").exists():
        device = sysfs / "devices/pci0000:00/0000:00:03.0" / name
        device.mkdir(parents=True)
        (folder / "device").symlink_to(device)
    defaults = {"carrier": 1, "speed": 100000, "ifindex": 7, "carrier_changes": 2}
    counters = {f"statistics/{each}": 0 for each in ("rx_bytes", "rx_errors", "tx_dropped")}
    counters["statistics/tx_bytes"] = tx_bytes
    for file, value in {**defaults, **counters, **files}.items():
        (folder / file).write_text(f"{value}\n")
    return folder


def rdma(sysfs: Path, **files: int | str) -> None:
    """Write a port of an RDMA device as /sys/class/infiniband shows it."""
    port = sysfs / "class/infiniband/mlx5_0/ports/1"
    defaults: dict[str, int | str] = {
        "state": "4: ACTIVE",
        "rate": "400 Gb/sec (4X NDR)",
        "counters/port_rcv_data": 0,
        "counters/symbol_error": 0,
        "counters/link_downed": 255,
        "hw_counters/out_of_sequence": 0,
    }
    for file, value in {**defaults, **files}.items():
        (port / file).parent.mkdir(parents=True, exist_ok=True)
        (port / file).write_text(f"{value}\n")


def source(sysfs: Path, addresses: Mapping[str, tuple[str, ...]] | None = None) -> PortsSource:
    """Return a source over the tree, with no queues."""
    return PortsSource(sysfs=sysfs, addresses=lambda: addresses or {}, queues=dict)


def value(reading: Reading, name: str, device: str) -> float:
    """Return one cell, NaN where the table has no such column."""
    (table,) = reading.tables
    row = [each.id for each in table.devices].index(device)
    signal = BY_NAME[f"port.{name}"].id
    if signal not in table.signals:
        return math.nan
    return table.values[row * len(table.signals) + table.signals.index(signal)]


def devices(reading: Reading) -> list[str]:
    """Return the ids of the rows."""
    return [device.id for device in reading.tables[0].devices]


def test_an_interface_gives_state_speed_and_rates(tmp_path: Path) -> None:
    """Counters come as rates from the second read on."""
    net(tmp_path, "eth0")
    ports = source(tmp_path)
    first = ports.read()
    assert (value(first, "up", "eth0"), value(first, "speed_gbit_per_s", "eth0")) == (1, 100)
    assert math.isnan(value(first, "tx_bytes_per_s", "eth0"))
    assert first.tables[0].devices[0].pci_address == "0000:00:03.0"
    net(tmp_path, "eth0", tx_bytes=10**9)
    second = ports.read()
    assert value(second, "tx_bytes_per_s", "eth0") > 0
    assert value(second, "rx_errors_per_s", "eth0") == 0


def test_a_counter_that_is_reset_gives_no_rate(tmp_path: Path) -> None:
    """A reloaded driver begins at zero: that is no negative traffic."""
    net(tmp_path, "eth0", tx_bytes=10**9)
    ports = source(tmp_path)
    ports.read()
    net(tmp_path, "eth0", tx_bytes=5)
    assert math.isnan(value(ports.read(), "tx_bytes_per_s", "eth0"))


def test_a_link_that_goes_and_comes_is_two_events(tmp_path: Path) -> None:
    """Only changes are events, not the state at start."""
    net(tmp_path, "eth0")
    ports = source(tmp_path)
    assert ports.read().events == ()
    net(tmp_path, "eth0", carrier=0)
    down = ports.read()
    net(tmp_path, "eth0", carrier=1)
    told = [*down.events, *ports.read().events]
    assert [(event.kind, event.device) for event in told] == [
        (events.PORT_DOWN, "eth0"),
        (events.PORT_UP, "eth0"),
    ]
    assert value(down, "up", "eth0") == 0


def test_a_link_that_flaps_between_two_looks_is_seen_by_its_counter(tmp_path: Path) -> None:
    """The state is up both times; at most three flaps a look are told one by one."""
    net(tmp_path, "eth0", carrier_changes=2)
    rdma(tmp_path, **{"counters/link_downed": 4})
    ports = source(tmp_path)
    assert ports.read().events == ()
    net(tmp_path, "eth0", carrier_changes=4)
    rdma(tmp_path, **{"counters/link_downed": 54})
    told = [(event.device, event.kind) for event in ports.read().events]
    assert told == [
        ("eth0", events.PORT_DOWN),
        ("eth0", events.PORT_UP),
        *[("mlx5_0/1", events.PORT_DOWN), ("mlx5_0/1", events.PORT_UP)] * 3,
    ]
    net(tmp_path, "eth0", carrier_changes=0)
    rdma(tmp_path, **{"counters/link_downed": 0})
    assert ports.read().events == ()


def test_rdma_ports_are_read_in_bytes(tmp_path: Path) -> None:
    """Data counters count 32-bit words; what waits for credits counts as it is."""
    rdma(tmp_path, **{"counters/port_xmit_wait": 0})
    ports = source(tmp_path)
    ports.read()
    rdma(tmp_path, **{"counters/port_rcv_data": 1000, "counters/port_xmit_wait": 3})
    reading = ports.read()
    assert value(reading, "speed_gbit_per_s", "mlx5_0/1") == 400
    assert value(reading, "link_downed_per_s", "mlx5_0/1") == 0
    ticks = value(reading, "transmit_wait_per_s", "mlx5_0/1") / 3
    assert value(reading, "rx_bytes_per_s", "mlx5_0/1") == pytest.approx(4000 * ticks, rel=1e-4)
    assert math.isnan(value(reading, "rx_errors_per_s", "mlx5_0/1"))


def test_ports_that_are_turned_off_are_not_read(tmp_path: Path) -> None:
    """Reading fabric-internal functions floods the driver's log on some machines."""
    rdma(tmp_path)
    net(tmp_path, "eth0")
    off = PortsSource(sysfs=tmp_path, addresses=dict, queues=dict, off=frozenset({"mlx5_*"}))
    assert devices(off.read()) == ["eth0"]


def test_virtual_functions_of_the_host_are_left_out(tmp_path: Path) -> None:
    """Their counters are wrong or zero; an interface with an address counts all the same."""
    folder = net(tmp_path, "eth0v1")
    (folder / "device/physfn").mkdir()
    assert devices(source(tmp_path).read()) == []
    assert devices(source(tmp_path, {"eth0v1": ("10.0.0.1",)}).read()) == ["eth0v1"]


def test_a_new_port_is_seen_at_once(tmp_path: Path) -> None:
    """Names are compared at each read, the rest of the look is seldom."""
    net(tmp_path, "eth0")
    ports = source(tmp_path)
    ports.read()
    net(tmp_path, "eth1")
    assert devices(ports.read()) == ["eth0", "eth1"]


def test_only_the_columns_of_this_node_are_sent(tmp_path: Path) -> None:
    """A node without RDMA sends none of its columns, and no column goes again."""
    net(tmp_path, "eth0")
    signals = source(tmp_path).read().tables[0].signals
    assert BY_NAME["port.transmit_wait_per_s"].id not in signals
    assert len(signals) < 16


def test_errors_read_elsewhere_stand_in_the_row(tmp_path: Path) -> None:
    """With their own age."""
    net(tmp_path, "eth0")
    ports = PortsSource(
        sysfs=tmp_path,
        addresses=dict,
        queues=dict,
        errors=lambda port, _: {"rx_crc_errors_per_s": 3.0, "errors_age_s": 7.0} if port == "eth0" else {},
    )
    reading = ports.read()
    assert (value(reading, "rx_crc_errors_per_s", "eth0"), value(reading, "errors_age_s", "eth0")) == (3, 7)


def test_a_port_that_is_not_active_is_down(tmp_path: Path) -> None:
    """INIT means that no subnet manager has seen it: no traffic goes through."""
    rdma(tmp_path, state="2: INIT")
    assert value(source(tmp_path).read(), "up", "mlx5_0/1") == 0


def test_container_interfaces_are_left_out_and_addressed_ones_are_not(tmp_path: Path) -> None:
    """Hardware counts, and what has an address; a bridge of containers only does not."""
    net(tmp_path, "eth0")
    net(tmp_path, "lo", hardware=False)
    net(tmp_path, "cali1", hardware=False)
    net(tmp_path, "veth0", hardware=False)
    (net(tmp_path, "docker0", hardware=False) / "bridge").mkdir()
    (net(tmp_path, "br0", hardware=False) / "bridge").mkdir()
    (tmp_path / "class/net/br0/brif").mkdir()
    (tmp_path / "class/net/br0/brif/eth0").touch()
    addresses = {
        "veth0": ("10.0.0.1",),
        "docker0": ("172.17.0.1",),
        "br0": ("10.1.0.1",),
        "lo": ("127.0.0.1",),
    }
    reading = source(tmp_path, addresses).read()
    assert devices(reading) == ["br0", "eth0", "veth0"]
    assert reading.addresses == ("10.1.0.1", "10.0.0.1")


def test_a_port_that_disappears_loses_its_row_only(tmp_path: Path) -> None:
    """Hot-unplugged hardware does not stop the others."""
    folder = net(tmp_path, "eth0")
    net(tmp_path, "eth1")
    ports = source(tmp_path)
    ports.read()
    shutil.rmtree(folder)
    assert devices(ports.read()) == ["eth1"]


def test_thousands_of_interfaces_are_bounded_and_counted(tmp_path: Path) -> None:
    """A node with too many ports sends some and says how many it left out."""
    for number in range(MAX_PORTS + 5):
        net(tmp_path, f"eth{number}")
    reading = source(tmp_path).read()
    assert len(devices(reading)) == MAX_PORTS
    assert reading.dropped == {"ports.rows": 5}


def test_a_machine_without_ports_has_an_empty_table(tmp_path: Path) -> None:
    """Nothing to read is not an error."""
    assert devices(source(tmp_path).read()) == []


def test_queue_readings_belong_to_their_interface(tmp_path: Path) -> None:
    """Backlog is a gauge, overlimits a rate, and a queue's drops are the port's."""
    net(tmp_path, "eth0", ifindex=7)
    counts = [EgressQueue(backlog_bytes=0, drops=0, overlimits=0)]
    ports = PortsSource(sysfs=tmp_path, addresses=dict, queues=lambda: {7: counts[0]})
    ports.read()
    counts[0] = EgressQueue(backlog_bytes=64_000, drops=4, overlimits=900)
    reading = ports.read()
    assert value(reading, "queue_backlog_bytes", "eth0") == 64_000
    assert value(reading, "queue_overlimits_per_s", "eth0") > 0
    assert value(reading, "tx_drops_per_s", "eth0") > 0


def test_a_kernel_without_rtnetlink_leaves_queues_absent(tmp_path: Path) -> None:
    """A sandbox that refuses the socket costs two columns."""

    def refuse() -> Mapping[int, EgressQueue]:
        raise PermissionError(1, "no")

    net(tmp_path, "eth0")
    reading = PortsSource(sysfs=tmp_path, addresses=dict, queues=refuse).read()
    assert math.isnan(value(reading, "queue_backlog_bytes", "eth0"))
    assert value(reading, "up", "eth0") == 1


@pytest.mark.parametrize("payload", [b"", b"\0" * 19, b"\0" * 20 + b"\3\0\1\0", b"\xff" * 64])
def test_a_short_or_odd_answer_of_the_kernel_is_no_queue(payload: bytes) -> None:
    """Parsing never reads beyond what came."""
    assert list(parse_queue(payload)) == []


@pytest.mark.root
def test_a_shaped_interface_shows_what_its_queue_holds_back() -> None:
    """tc tbf on a real interface: overlimits rise and bytes wait."""
    if shutil.which("tc") is None:
        pytest.skip("shaping needs iproute2")
    name = f"rw{uuid.uuid4().hex[:8]}"

    def ip(*words: str) -> None:
        subprocess.run(words, check=True, capture_output=True)

    ip("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p")
    try:
        ip("ip", "link", "set", name, "up")
        ip("ip", "link", "set", f"{name}p", "up")
        ip(
            "tc",
            "qdisc",
            "add",
            "dev",
            name,
            "root",
            "tbf",
            "rate",
            "8kbit",
            "burst",
            "1600",
            "limit",
            "60000",
        )
        ip("ip", "addr", "add", "198.18.7.1/24", "dev", name)
        ip("ip", "neigh", "add", "198.18.7.2", "lladdr", "02:00:00:00:00:02", "dev", name)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(20):
                sender.sendto(b"x" * 1200, socket.MSG_DONTWAIT, ("198.18.7.2", 9))
        queue = egress_queues()[int(Path(f"/sys/class/net/{name}/ifindex").read_text())]
        assert queue.overlimits > 0
        assert queue.backlog_bytes > 0
    finally:
        ip("ip", "link", "del", name)
