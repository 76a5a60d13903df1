"""A real agent's source and real training processes for the tests of the hook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.hook.rig import Agent, Job


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    one = Agent(tmp_path / "hook.sock")
    yield one
    one.source.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Job]]:
    """Return a function that starts a job which joins the agent of this test."""
    jobs: list[Job] = []

    def start_job(*arguments: str, ranks: int = 2, **environment: str) -> Job:
        jobs.append(Job(arguments, ranks, {"RINGWATCH_SOCKET": str(tmp_path / "hook.sock"), **environment}))
        return jobs[-1]

    yield start_job
    for job in jobs:
        job.end()
