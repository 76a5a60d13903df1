"""``ringwatch exec`` as a command: exit codes, environment, and what the bootstrap leaves alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ringwatch_agent.hook.cli import environment

EXEC = (sys.executable, "-m", "ringwatch.main", "exec")


def run(*command: str, **changed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*EXEC, *command],
        env={**os.environ, **changed},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_exit_code_is_the_commands() -> None:
    """Whatever it is, since the command takes this process's place."""
    assert run("--", "sh", "-c", "exit 7").returncode == 7
    assert run("sh", "-c", "kill -9 $$").returncode == -9


def test_a_command_that_is_not_there_is_127_and_none_at_all_is_2() -> None:
    """As a shell would say."""
    missing = run("--", "no-such-command-anywhere")
    assert missing.returncode == 127
    assert "no-such-command-anywhere" in missing.stderr
    assert run().returncode == 2
    assert run("--help").returncode == 0


def test_what_the_job_had_in_its_path_stays_behind_ours() -> None:
    """And nothing is added twice when one exec starts another."""
    once = environment({"PYTHONPATH": "/job/lib"}, "name", None)
    twice = environment(once, None, "/run/other.sock")
    assert twice["PYTHONPATH"] == once["PYTHONPATH"]
    assert once["PYTHONPATH"].split(os.pathsep)[1:] == ["/job/lib"]
    assert twice["RINGWATCH_JOB"] == "name"
    assert twice["RINGWATCH_SOCKET"] == "/run/other.sock"


def test_only_our_packages_come_into_reach_of_another_python() -> None:
    """An interpreter without site-packages finds the hook, and none of this environment's packages."""
    code = (
        "import sys, ringwatch_agent.hook.ring_writer\n"
        "import importlib.util as u\n"
        "print(u.find_spec('ringwatch_collector'), u.find_spec('numpy'), u.find_spec('torch'))\n"
        "print([entry for entry in sys.path if 'ringwatch' in entry or 'bootstrap' in entry])\n"
    )
    done = run("--", sys._base_executable, "-S", "-c", f"import sitecustomize\n{code}")  # type: ignore[attr-defined]
    assert done.stdout.splitlines() == ["None None None", "[]"], done.stderr


def test_a_hook_that_cannot_attach_says_so_and_lets_the_job_run(tmp_path: Path) -> None:
    """A torch that is not one: one line on stderr, and the script goes on."""
    package = tmp_path / "torch" / "distributed"
    package.mkdir(parents=True)
    (tmp_path / "torch" / "__init__.py").write_text("import torch.distributed\n")
    (package / "__init__.py").write_text("")
    done = run("--", sys.executable, "-c", "import torch; print(torch.__loader__)", PYTHONPATH=str(tmp_path))
    assert done.returncode == 0
    assert "SourceFileLoader" in done.stdout
    assert done.stderr.count("ringwatch: this process is not watched") == 1
