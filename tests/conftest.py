"""What every test shares: where root and torch tests are left out, and which tests share a worker."""

import importlib.util
import os
from pathlib import Path
from typing import Final

import pytest

_TESTS: Final = Path(__file__).parent
# One of these at a time: they share the kernel log, network namespaces, cgroups, or a job's two cores.
_MACHINE: Final = ("e2e", "drills/lab", "hook", "collector/walks/test_slurm_walk.py", "collector/repair")
# A folder whose tests share a real server that is started once.
_SERVERS: Final = ("collector/bus", "collector/history", "collector/store", "collector/alerts")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip root and torch tests with a reason, except in CI, where they must run; name each test's group."""
    root = os.geteuid() == 0
    torch = importlib.util.find_spec("torch") is not None
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
        if os.environ.get("CI"):
            continue
        if item.get_closest_marker("root") and not root:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        if item.get_closest_marker("torch") and not torch:
            item.add_marker(pytest.mark.skip(reason="needs torch"))


def _group(item: pytest.Item) -> str:
    """Return the tests that run one after the other in one worker: a file, unless more is shared."""
    path = item.path.relative_to(_TESTS).as_posix()
    if item.get_closest_marker("root") or item.get_closest_marker("torch") or path.startswith(_MACHINE):
        return "machine"
    return next((folder for folder in _SERVERS if path.startswith(folder)), path)
