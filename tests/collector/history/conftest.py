"""One VictoriaMetrics for all tests of history."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.collector.servers import victoria_metrics


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a real VictoriaMetrics and return its address."""
    with victoria_metrics(tmp_path_factory.mktemp("victoria-metrics")) as url:
        yield url
