"""What an agent does not load."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "never"),
    [
        ("ringwatch_agent.app", ("numpy", "sqlalchemy", "textual", "torch", "pynvml")),
        ("ringwatch_agent.sources.nvml_reader", ("grpc", "google.protobuf", "asyncio", "psutil", "numpy")),
    ],
)
def test_the_agent_stays_light(module: str, never: tuple[str, ...]) -> None:
    """No node gets numpy or torch; NVML is loaded by its reader, and gRPC is not."""
    program = f"import sys, {module}\nprint(sorted(set(sys.modules) & set({never!r})))"
    out = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "[]"
