"""What importing a part loads, proved in a process of its own: the static contracts cannot see deferral."""

import json
import subprocess
import sys

import pytest

FORBIDDEN = {
    "ringwatch": {"google", "grpc", "numpy", "psutil", "textual", "torch", "yaml"},
    "ringwatch_agent.hook": {"google", "grpc", "numpy", "psutil", "textual", "yaml"},
    "ringwatch_agent.app": {"numpy", "sqlalchemy", "textual", "torch", "yaml"},
    "ringwatch_collector.app": {"psutil", "pynvml", "textual", "torch"},
    "ringwatch_tui.app": {"numpy", "psutil", "pynvml", "sqlalchemy", "torch"},
    "ringwatch_knowledge.kernel_log": {"google", "grpc", "numpy", "yaml"},
}


@pytest.mark.parametrize("module", FORBIDDEN)
def test_a_part_loads_only_what_it_needs(module: str) -> None:
    """No node gets a database, no console numpy, no training job anything."""
    program = f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))"

    loaded = json.loads(
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout
    )

    assert FORBIDDEN[module] & {name.partition(".")[0] for name in loaded} == set()
