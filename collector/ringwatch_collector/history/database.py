"""Questions to the history database, as PromQL over a range. It blocks: called on a thread."""

from __future__ import annotations

import json
from typing import Any, Final

import httpx
import numpy as np

from ringwatch_collector.history.ask import MOST_LINES, Ask
from ringwatch_collector.history.grid import Grid
from ringwatch_collector.history.memory import Lines
from ringwatch_proto.errors import UnreachableError

_MOST_BYTES: Final = 64 << 20


def query_of(ask: Ask, step_s: float) -> str:
    """Return the PromQL of a request: the mean over each step."""
    wanted = {"node": ask.node, "device": ask.device, "job": ask.job}
    matchers = ",".join(f'{name}="{_escaped(value)}"' for name, value in wanted.items() if value)
    return f"avg_over_time({ask.metric}{{{matchers}}}[{round(step_s * 1000)}ms])"


class Database:
    """One VictoriaMetrics, or what speaks PromQL."""

    def __init__(self, http: httpx.Client, url: str) -> None:
        self._http = http
        self._url = url

    def lines(self, ask: Ask, grid: Grid) -> Lines:
        """Return the means of each series; raise UnreachableError when the database does not answer."""
        form = {
            "query": query_of(ask, grid.step_s),
            "start": f"{grid.first_s:.3f}",
            "end": f"{grid.last_s:.3f}",
            "step": f"{round(grid.step_s * 1000)}ms",
            # VictoriaMetrics would move start and end to what its cache holds.
            "nocache": "1",
        }
        try:
            answer = self._http.post(self._url, data=form)
        except httpx.HTTPError as error:
            raise UnreachableError(f"history database: {type(error).__name__}") from error
        if not answer.is_success or len(answer.content) > _MOST_BYTES:
            raise UnreachableError(f"history database: HTTP {answer.status_code}")
        try:
            return _lines(json.loads(answer.content)["data"]["result"], grid)
        except (ValueError, KeyError, TypeError) as error:
            raise UnreachableError("history database: the answer is not PromQL's") from error

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


def _lines(result: list[dict[str, Any]], grid: Grid) -> Lines:
    found: Lines = {}
    for each in result[:MOST_LINES]:
        labels = each["metric"]
        key = (labels.get("node", ""), labels.get("device", ""), labels.get("job", ""))
        values = found.setdefault(key, np.full(grid.points, np.nan, np.float32))
        for at_s, text in each["values"]:
            point = round((float(at_s) - grid.first_s) / grid.step_s)
            if 0 <= point < grid.points:
                values[point] = float(text)
    return found


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
