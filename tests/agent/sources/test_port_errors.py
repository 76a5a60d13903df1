"""Error and congestion counters of ports, out of a sysfs tree and from real drivers."""

from __future__ import annotations

import math
import shutil
import subprocess
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from ringwatch_agent.sources.ethtool import Ethtool
from ringwatch_agent.sources.port_counters import (
    NET_SLOW,
    RDMA_DEVICE,
    RDMA_FAST,
    RDMA_SLOW,
    ethtool_counts,
    ethtool_signal,
)
from ringwatch_agent.sources.port_errors import PortErrorsSource
from ringwatch_proto.signals import BY_NAME


def rdma(sysfs: Path, files: Mapping[str, int | str]) -> None:
    """Write files of a port of an RDMA device."""
    port = sysfs / "class/infiniband/mlx5_0/ports/1"
    for file, value in files.items():
        (port / file).parent.mkdir(parents=True, exist_ok=True)
        (port / file).write_text(f"{value}\n")


def read(source: PortErrorsSource, port: str) -> Mapping[str, float]:
    """Read once and return what is known of a port."""
    source.read()
    return source.values(port, time.monotonic())


def test_every_counter_of_an_rdma_port_becomes_its_rate(tmp_path: Path) -> None:
    """All files of the table, each under its signal."""
    rdma(tmp_path, dict.fromkeys(RDMA_SLOW.values(), 10) | {"phys_state": "5: LinkUp"})
    source = PortErrorsSource(sysfs=tmp_path)
    first = read(source, "mlx5_0/1")
    assert all(math.isnan(first[name]) for name in RDMA_SLOW)
    rdma(tmp_path, dict.fromkeys(RDMA_SLOW.values(), 30))
    values = read(source, "mlx5_0/1")
    assert all(values[name] > 0 for name in RDMA_SLOW)
    assert values["physical_state"] == 5
    assert values["counters_saturated"] == 0


def test_a_counter_at_the_top_of_its_width_says_nothing(tmp_path: Path) -> None:
    """65535 that does not move is no rate of zero: the counter is full."""
    rdma(tmp_path, {"counters/symbol_error": 65535, "counters/link_error_recovery": 255})
    source = PortErrorsSource(sysfs=tmp_path)
    read(source, "mlx5_0/1")
    values = read(source, "mlx5_0/1")
    assert math.isnan(values["symbol_errors_per_s"])
    assert values["counters_saturated"] == 2


def test_a_counter_that_a_driver_does_not_have_is_absent(tmp_path: Path) -> None:
    """Text instead of a number is the same."""
    rdma(tmp_path, {"counters/symbol_error": "N/A (no PMA)", "hw_counters/np_cnp_sent": 0})
    values = read(PortErrorsSource(sysfs=tmp_path), "mlx5_0/1")
    assert "symbol_errors_per_s" not in values
    assert "congestion_notices_per_s" in values


def test_a_counter_that_wraps_or_resets_gives_no_rate(tmp_path: Path) -> None:
    """The device keeps 32 bits; a reload begins at zero."""
    rdma(tmp_path, {"hw_counters/out_of_sequence": 2**32 - 2})
    source = PortErrorsSource(sysfs=tmp_path)
    read(source, "mlx5_0/1")
    rdma(tmp_path, {"hw_counters/out_of_sequence": 3})
    assert math.isnan(read(source, "mlx5_0/1")["out_of_sequence_per_s"])


def test_the_count_of_an_efa_device_belongs_to_its_port(tmp_path: Path) -> None:
    """The driver counts commands that were never completed for the device."""
    rdma(tmp_path, {"state": "4: ACTIVE"})
    file = tmp_path / "class/infiniband/mlx5_0" / RDMA_DEVICE["efa_no_completions_per_s"]
    file.parent.mkdir()
    file.write_text("0\n")
    source = PortErrorsSource(sysfs=tmp_path)
    read(source, "mlx5_0/1")
    file.write_text("1\n")
    assert read(source, "mlx5_0/1")["efa_no_completions_per_s"] > 0


def interface(sysfs: Path, **files: int | str) -> None:
    """Write an Ethernet interface."""
    folder = sysfs / "class/net/eth0"
    (folder / "statistics").mkdir(parents=True, exist_ok=True)
    (folder / "device").mkdir(exist_ok=True)
    for file, value in {**dict.fromkeys(NET_SLOW.values(), 0), "operstate": "up", **files}.items():
        (folder / file).write_text(f"{value}\n")


def test_statistics_of_the_driver_become_signals_by_priority(tmp_path: Path) -> None:
    """PFC pauses a priority, discards summed, FEC and symbol errors of the PHY."""
    interface(tmp_path)
    counts = dict.fromkeys(
        ("rx_prio3_pause", "tx_prio3_pause", "rx_prio3_discards", "rx_prio4_discards", "rx_symbol_err_phy"), 0
    )
    source = PortErrorsSource(sysfs=tmp_path, statistics=lambda _: counts.items())
    read(source, "eth0")
    counts |= dict.fromkeys(counts, 7)
    values = read(source, "eth0")
    assert values["operational"] == 1
    assert values["pause_rx_priority3_per_s"] == values["pause_tx_priority3_per_s"] > 0
    assert values["priority_discards_per_s"] == pytest.approx(2 * values["pause_rx_priority3_per_s"])
    assert values["phy_symbol_errors_per_s"] > 0


def test_a_driver_without_statistics_costs_only_them(tmp_path: Path) -> None:
    """The files of sysfs are read all the same."""

    def refuse(_: str) -> list[tuple[str, int]]:
        raise OSError(95, "Operation not supported")

    interface(tmp_path, operstate="down")
    values = read(PortErrorsSource(sysfs=tmp_path, statistics=refuse), "eth0")
    assert values["operational"] == 0
    assert math.isnan(values["rx_crc_errors_per_s"])


def test_what_was_read_long_ago_is_not_shown_as_live(tmp_path: Path) -> None:
    """Only its age is left."""
    interface(tmp_path)
    source = PortErrorsSource(sysfs=tmp_path, period_s=10.0)
    read(source, "eth0")
    assert set(source.values("eth0", time.monotonic() + 31.0)) == {"errors_age_s"}
    source.close()
    assert source.values("eth0", time.monotonic()) == {}


@pytest.mark.parametrize(
    ("statistic", "signal"),
    [
        ("rx_prio0_pause", "pause_rx_priority0_per_s"),
        ("rx_pfc_ena_frames_pri5", "pause_rx_priority5_per_s"),
        ("tx_priority_3_xoff.nic", "pause_tx_priority3_per_s"),
        ("rx_pause_ctrl_phy", "pause_rx_per_s"),
        ("tx_pause_storm_error_events", "pause_storms_per_s"),
        ("rx_corrected_bits_phy", "fec_corrected_bits_per_s"),
        ("fec_uncorrectable_blocks", "fec_uncorrected_blocks_per_s"),
        ("link_down_events_phy", "phy_link_downs_per_s"),
        ("rx_prio8_pause", ""),
        ("rx_prio3_pause_duration", ""),
        ("rx_packets", ""),
    ],
)
def test_names_of_several_drivers_are_known(statistic: str, signal: str) -> None:
    """mlx5, bnxt and ice; a time is no count of frames."""
    assert ethtool_signal(statistic) == signal


def test_names_of_one_signal_add_up() -> None:
    """Two kinds of symbol error are one number."""
    assert ethtool_counts([("rx_symbol_err_phy", 2), ("rx_pcs_symbol_err_phy", 3), ("x", 9)]) == {
        "phy_symbol_errors_per_s": 5
    }


def test_every_name_of_the_tables_is_a_signal() -> None:
    """A typing error would be a column that nobody has."""
    names = {**RDMA_FAST, **RDMA_SLOW, **RDMA_DEVICE, **NET_SLOW}
    assert all(f"port.{name}" in BY_NAME for name in names)


@pytest.mark.root
def test_the_ioctl_says_what_ethtool_says() -> None:
    """Names and number of the statistics of a real interface, against the program."""
    name = f"rw{uuid.uuid4().hex[:8]}"
    if shutil.which("ethtool") is None:
        pytest.fail("this test needs the program ethtool: apt-get install ethtool")
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p"], check=True)
    ethtool = Ethtool()
    try:
        told = ethtool.statistics(name)
        said = subprocess.run(["ethtool", "-S", name], check=True, capture_output=True, text=True).stdout
        assert [statistic for statistic, _ in told] == [
            line.split(":")[0].strip() for line in said.splitlines()[1:] if ":" in line
        ]
        assert "peer_ifindex" in dict(told)
        assert ethtool.statistics(name) == told
    finally:
        ethtool.close()
        subprocess.run(["ip", "link", "del", name], check=True)


def test_an_interface_that_is_not_there_is_an_error() -> None:
    """And loopback has no statistics."""
    ethtool = Ethtool()
    with pytest.raises(OSError, match="No such device"):
        ethtool.statistics("rw-none")
    ethtool.close()
