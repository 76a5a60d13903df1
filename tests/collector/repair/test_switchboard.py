"""Tests of the switchboard: a closed list of calls, typed arguments, time-outs, and adapters that break."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringwatch_collector.repair.app import build_switchboard
from ringwatch_collector.repair.base import done
from ringwatch_collector.repair.config import RepairConfig, RunbooksConfig
from ringwatch_collector.repair.switchboard import Switchboard
from ringwatch_proto.errors import ConfigError
from ringwatch_runbooks.base import RepairCall, VerbCall, VerbOutcome

CALL = RepairCall(
    name="scheduler.drain", arguments={"node": "n1"}, timeout_s=5.0, requested_by="ana", approved_by="ana",
    incident="I-1", run="R-1",
)  # fmt: skip


class Recorder:
    """An adapter that remembers what reached it."""

    def __init__(self, *calls: str) -> None:
        self.calls = calls or ("scheduler.state", "scheduler.drain")
        self.seen: list[tuple[str, RepairCall]] = []

    async def plan(self, call: RepairCall) -> VerbOutcome:
        self.seen.append(("plan", call))
        return done("would")

    async def do(self, call: RepairCall) -> VerbOutcome:
        self.seen.append(("do", call))
        if call.incident == "I-raise":
            raise ZeroDivisionError("a bug of the site")
        if call.incident == "I-hang":
            await asyncio.sleep(60)
        return done("did")


class Verbs:
    """Node verbs that nobody asks for here."""

    async def call(self, call: VerbCall) -> VerbOutcome:
        raise AssertionError(call)


async def test_a_dry_run_takes_the_other_way_through_the_adapter() -> None:
    """It cannot act by a forgotten flag."""
    adapter = Recorder()
    board = Switchboard([adapter])

    await board.call(replace(CALL, dry_run=True, approved_by=""))
    await board.call(CALL)

    assert [way for way, _ in adapter.seen] == ["plan", "do"]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (replace(CALL, name="scheduler.explode"), "not set up"),
        (replace(CALL, approved_by=""), "nobody approved it"),
        (replace(CALL, requested_by=""), "nobody asks for it"),
        (replace(CALL, timeout_s=0.0), "time-out"),
        (replace(CALL, timeout_s=float("nan")), "time-out"),
        (replace(CALL, arguments={}), "takes node"),
        (replace(CALL, arguments={"node": "n1", "more": "x"}), "takes node"),
        (replace(CALL, arguments={"node": "--help"}), "is no node"),
    ],
)
async def test_what_does_not_fit_is_refused_before_an_adapter(call: RepairCall, words: str) -> None:
    """The adapter hears nothing of it."""
    adapter = Recorder()

    outcome = await Switchboard([adapter]).call(call)

    assert outcome.status == "refused"
    assert words in outcome.text
    assert adapter.seen == []


async def test_reading_needs_no_approval() -> None:
    """Anybody may look."""
    outcome = await Switchboard([Recorder()]).call(replace(CALL, name="scheduler.state", approved_by=""))

    assert outcome.status == "done"


async def test_an_adapter_that_breaks_or_hangs_is_an_outcome() -> None:
    """A site's own code takes no run with it."""
    board = Switchboard([Recorder()])

    broke = await board.call(replace(CALL, incident="I-raise"))
    hung = await board.call(replace(CALL, incident="I-hang", timeout_s=0.05))

    assert (broke.status, broke.text) == ("failed", "ZeroDivisionError: a bug of the site")
    assert hung.status == "timed_out"


@settings(max_examples=150, deadline=None)
@given(
    name=st.one_of(st.sampled_from(["scheduler.drain", "script.x", "verb", ""]), st.text(max_size=20)),
    node=st.one_of(
        st.sampled_from(["-rf", "--help", "n1;id", "a b", "$(x)", "n1\n", "n\u0661", "é", "n1."]), st.text()
    ),
)
async def test_no_hostile_name_or_value_reaches_an_adapter(name: str, node: str) -> None:
    """What arrives begins with a letter or digit and holds nothing that a command line reads."""
    adapter = Recorder()

    await Switchboard([adapter]).call(replace(CALL, name=name, arguments={"node": node}))

    for _, call in adapter.seen:
        assert call.name in adapter.calls
        value = call.arguments["node"]
        assert value.isascii()
        assert value[0].isalnum()
        assert all(letter.isalnum() or letter in ".-" for letter in value)


def test_two_adapters_for_one_call_stop_the_collector() -> None:
    """Nobody could say which one acts."""
    with pytest.raises(ConfigError, match=r"two adapters offer scheduler\.state"):
        Switchboard([Recorder(), Recorder()])


def test_an_adapter_with_a_noun_of_its_own_has_to_be_an_entry_point() -> None:
    """The list stays closed."""
    with pytest.raises(ConfigError, match=r"bmc\.cycle is no call"):
        Switchboard([Recorder("bmc.cycle")])


async def test_an_adapter_by_entry_point_is_loaded_when_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package of the site, found by its metadata as pip leaves it; one that is not named is not loaded."""
    (tmp_path / "site_bmc.py").write_text(
        "from ringwatch_collector.repair.base import done\n"
        "class Bmc:\n"
        "    calls = ('bmc.cycle',)\n"
        "    async def plan(self, call):\n        return done('would cycle')\n"
        "    async def do(self, call):\n        return done('cycled ' + call.arguments['node'])\n"
    )
    info = tmp_path / "site_bmc-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: site-bmc\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ringwatch.repairs]\nbmc = site_bmc:Bmc\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    from ringwatch_runbooks import calls

    calls.site_nouns.cache_clear()
    try:
        assert "bmc" in {entry.name for entry in metadata.entry_points(group=calls.ENTRY_POINTS)}
        unnamed = build_switchboard(RepairConfig(), Verbs(), None)
        board = build_switchboard(RepairConfig(adapters=("bmc",)), Verbs(), None)

        outcome = await board.call(replace(CALL, name="bmc.cycle"))

        assert not unnamed.offers("bmc.cycle")
        assert outcome.text == "cycled n1"
        assert calls.is_known("bmc.cycle")
        with pytest.raises(ConfigError, match="0 entry points 'nothing'"):
            build_switchboard(RepairConfig(adapters=("nothing",)), Verbs(), None)
    finally:
        calls.site_nouns.cache_clear()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"scheduler": "cron"}, "neither slurm nor kubernetes"),
        ({"ticket_url": "https://example.org"}, "go together"),
        ({"ticket_url": "http://example.org", "ticket_secret_file": "x"}, "https"),
    ],
)
def test_wrong_repair_settings_stop_the_collector(settings: dict[str, str], words: str) -> None:
    """Before anything is served."""
    with pytest.raises(ConfigError, match=words):
        RepairConfig(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [{"mode": "yolo"}, {"automatic_risks": ("R3",)}, {"trip_after": 0}, {"most_out_percent": 0.0}],
)
def test_wrong_runbook_settings_stop_the_collector(settings: dict[str, object]) -> None:
    """R3 is never automatic."""
    with pytest.raises(ConfigError, match="runbooks"):
        RunbooksConfig(**settings)  # type: ignore[arg-type]


def test_a_secret_that_others_can_read_stops_the_collector(tmp_path: Path) -> None:
    """It would be no secret."""
    secret = tmp_path / "secret"
    secret.write_text("long enough to be a secret")
    secret.chmod(0o644)
    config = RepairConfig(ticket_url="https://example.org", ticket_secret_file=str(secret))

    with pytest.raises(ConfigError, match="chmod 600"):
        build_switchboard(config, Verbs(), None)
    secret.chmod(0o600)
    assert build_switchboard(config, Verbs(), None).offers("ticket.open")
