"""Fixtures: a real Slurm on this machine, and an API server as the Kubernetes client sees one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import Cluster, running_cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run munged, slurmctld and three slurmd in a folder of their own."""
    folder: Path = tmp_path_factory.mktemp("slurm")
    with running_cluster(folder) as made:
        yield made
