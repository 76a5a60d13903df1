"""Tests of a site's own scripts: real files, real processes, no shell, nobody else's hands."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringwatch_collector.repair.scripts import Scripts, unsafe
from ringwatch_collector.repair.switchboard import Switchboard
from ringwatch_proto.errors import ConfigError
from ringwatch_runbooks.base import RepairCall

# It writes each argument on a line of its own, so that a test sees words and not a command line.
ECHO = '#!/bin/sh\nfor word in "$@"; do printf "%s\\n" "$word" >> "$(dirname "$0")/said"; done\necho well\n'


def script(folder: Path, name: str, text: str = ECHO) -> Path:
    """Return a script that only its owner can write."""
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that nobody else can write."""
    tmp_path.chmod(0o755)
    return tmp_path.resolve()


def asked(name: str, timeout_s: float = 10.0, dry_run: bool = False, **arguments: str) -> RepairCall:
    """Return an approved call."""
    return RepairCall(
        name=name, arguments=arguments, timeout_s=timeout_s, requested_by="ana", approved_by="ana",
        incident="I-1", run="R-1", dry_run=dry_run,
    )  # fmt: skip


async def test_a_script_gets_its_arguments_as_words_and_says_how_it_went(folder: Path) -> None:
    """In the order that the setting names."""
    path = script(folder, "reset.sh")
    board = Switchboard([Scripts([f"reset_gpu={path} gpu node"])])

    outcome = await board.call(asked("script.reset_gpu", node="n1", gpu="GPU-0a1b2c3d"))

    assert (outcome.status, outcome.text) == ("done", "reset.sh: well")
    assert (folder / "said").read_text().splitlines() == ["GPU-0a1b2c3d", "n1"]


async def test_a_dry_run_runs_another_script_or_none(folder: Path) -> None:
    """The one that acts is not started."""
    path, look = script(folder, "act.sh"), script(folder, "look.sh", "#!/bin/sh\necho power is on\n")
    with_look = Switchboard([Scripts([f"cycle={path} node", f"cycle.dry_run={look} node"])])
    without = Switchboard([Scripts([f"cycle={path} node"])])

    seen = await with_look.call(asked("script.cycle", dry_run=True, node="n1"))
    told = await without.call(asked("script.cycle", dry_run=True, node="n1"))

    assert seen.text == "look.sh: power is on"
    assert "would run" in told.text
    assert not (folder / "said").exists()


@pytest.mark.parametrize("code", [1, 77])
async def test_a_script_that_fails_is_a_failure_with_its_words(folder: Path, code: int) -> None:
    """What it said on stderr, and its exit code."""
    path = script(folder, "bad.sh", f"#!/bin/sh\necho no such BMC >&2\nexit {code}\n")
    board = Switchboard([Scripts([f"bad={path} node"])])

    outcome = await board.call(asked("script.bad", node="n1"))

    assert outcome.status == "failed"
    assert outcome.text == f"bad.sh: no such BMC (exit code {code})"


async def test_a_script_that_hangs_is_ended_with_its_children(folder: Path) -> None:
    """Nothing of it is left behind."""
    path = script(folder, "hang.sh", f"#!/bin/sh\nsleep 300 & echo $! > {folder}/child\nwait\n")
    board = Switchboard([Scripts([f"hang={path} node"])])

    outcome = await board.call(asked("script.hang", timeout_s=3.0, node="n1"))

    assert outcome.status == "timed_out"
    child = int((folder / "child").read_text())
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and _state(child) != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return "Z"


async def test_a_script_that_others_can_write_is_not_run(folder: Path) -> None:
    """Looked at when the collector starts, and again at each use."""
    path = script(folder, "reset.sh")
    board = Switchboard([Scripts([f"reset={path} node"])])
    path.chmod(0o777)

    outcome = await board.call(asked("script.reset", node="n1"))

    assert outcome.status == "refused"
    assert "can be written by others" in outcome.text
    assert not (folder / "said").exists()
    with pytest.raises(ConfigError, match="written by others"):
        Scripts([f"reset={path} node"])


def test_a_folder_that_others_can_write_makes_the_script_unsafe(folder: Path) -> None:
    """They could put another in its place."""
    open_folder = folder / "open"
    open_folder.mkdir()
    path = script(open_folder, "reset.sh")
    open_folder.chmod(0o777)

    assert "open can be written by others" in unsafe(path)


def test_a_link_is_no_script(folder: Path) -> None:
    """Where it leads may change."""
    link = folder / "link.sh"
    link.symlink_to(script(folder, "real.sh"))

    assert "not its own real path" in unsafe(link)


@pytest.mark.root
def test_a_script_of_another_user_is_unsafe(folder: Path) -> None:
    """Its owner could change it at any time."""
    path = script(folder, "reset.sh")
    os.chown(path, 12345, 12345)

    assert "can be written by others" in unsafe(path)


@pytest.mark.parametrize(
    "line",
    [
        "reset=reset.sh node", "reset = /bin/true", "Reset=/bin/true", "reset=/bin/true host",
        "reset=/nothing/there",
        "reset=/bin", "/bin/true", "reset=/bin/true node;id", "",
    ],
)  # fmt: skip
def test_a_wrong_line_stops_the_collector(line: str) -> None:
    """A path that is relative, an argument that does not exist, no program."""
    with pytest.raises(ConfigError, match=r"repair\.scripts"):
        Scripts([line])


async def test_a_script_is_not_run_with_other_arguments_than_its_own(folder: Path) -> None:
    """A runbook that forgets the GPU does not reset whatever comes first."""
    board = Switchboard([Scripts([f"reset={script(folder, 'reset.sh')} node gpu"])])

    outcome = await board.call(asked("script.reset", node="n1"))

    assert (outcome.status, outcome.text) == ("refused", "script.reset takes node, gpu at this site")


HOSTILE = st.one_of(
    st.sampled_from(
        ["-rf", "--help", "n1; reboot", "$(reboot)", "`id`", "n1\nn2", "n1 n2", "'", '"', "", "n1\0", "../n1",
         "n1|x",
         "\u202en1", "n1\r", "*", "~", "$HOME", "n1&", "%n", "ALL;", "-", "\x1b[2J", "{node}", "n1>x"]
    ),
    st.text(max_size=60),
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(node=HOSTILE, gpu=HOSTILE)
async def test_a_hostile_value_reaches_a_script_as_one_word_or_not_at_all(
    folder: Path, node: str, gpu: str
) -> None:
    """Whatever the text is: no second word, no option, no command."""
    said = folder / "said"
    said.unlink(missing_ok=True)
    board = Switchboard([Scripts([f"reset={script(folder, 'reset.sh')} node gpu"])])

    outcome = await board.call(asked("script.reset", node=node, gpu=gpu))

    if outcome.status == "done":
        assert said.read_text().splitlines() == [node, gpu]
        assert node[0].isalnum()
        assert gpu[0].isalnum()
    else:
        assert outcome.status == "refused"
        assert not said.exists()
