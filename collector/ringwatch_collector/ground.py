"""What the collector stands on: its data folder, database URL and memory policy."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from ringwatch_collector.config import CollectorConfig
from ringwatch_collector.fleet.job import JobPolicy
from ringwatch_collector.fleet.state import FleetPolicy
from ringwatch_collector.store.engine import sqlite_url
from ringwatch_proto.errors import ConfigError


def lock_folder(config: CollectorConfig) -> IO[str]:
    """Take the data folder for this process; two collectors on one folder would write over each other."""
    folder = data_folder(config)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise ConfigError(f"data_dir={folder}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise ConfigError(f"data_dir={folder}: another collector uses it") from error
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def data_folder(config: CollectorConfig) -> Path:
    """Return the folder that everything of this collector lies in."""
    return Path(config.data_dir or "var/collector")


def database_url(config: CollectorConfig) -> str:
    """Return the URL of the database."""
    return config.database_url or sqlite_url(data_folder(config))


def fleet_policy(config: CollectorConfig) -> FleetPolicy:
    """Return the bounds of the fleet's memory."""
    return FleetPolicy(
        history_s=config.history_s,
        tables_bytes=config.memory_mib << 20,
        keep_ended_job_s=config.keep_ended_job_s,
        most_jobs=config.most_jobs,
        job=JobPolicy(
            steps=config.job_steps,
            budget_bytes=config.job_memory_mib << 20,
            most_slots=config.job_slots,
            skipped_steps=config.skipped_steps,
            reference_steps=config.reference_steps,
            relearn_s=config.relearn_s,
        ),
    )
