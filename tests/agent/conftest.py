"""Fixtures of the agent's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.agent.fake_collector import FakeCollector


@pytest.fixture
async def collector() -> AsyncIterator[FakeCollector]:
    """A fake collector that is not yet listening."""
    fake = FakeCollector()
    yield fake
    await fake.stop()
