"""What every test shares: root and torch tests say why they do not run where they cannot."""

import importlib.util
import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip root and torch tests with a reason, except in CI, where they must run."""
    if os.environ.get("CI"):
        return
    root = os.geteuid() == 0
    torch = importlib.util.find_spec("torch") is not None
    for item in items:
        if item.get_closest_marker("root") and not root:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        if item.get_closest_marker("torch") and not torch:
            item.add_marker(pytest.mark.skip(reason="needs torch"))
