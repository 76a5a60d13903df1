"""What deploy/ says about Ringwatch is true: rules hold, and every metric of the dashboard exists."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import urllib.request
from pathlib import Path

from tests.collector.rig import running
from tests.collector.servers import program

from ringwatch_collector.history.ask import JOB_SERIES
from ringwatch_proto.signals import SIGNALS

DEPLOY = Path(__file__).parents[3] / "deploy"
METRIC = re.compile(r"\bringwatch_[a-z0-9_]+")


def _named_by_the_dashboard() -> set[str]:
    dashboard = json.loads((DEPLOY / "grafana" / "ringwatch.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    queries += [each["definition"] for each in dashboard["templating"]["list"] if "definition" in each]
    return {name for query in queries for name in METRIC.findall(query)}


def _named_by_the_rules() -> set[str]:
    lines = (DEPLOY / "prometheus" / "ringwatch.rules.yml").read_text().splitlines()
    return {
        name for line in lines if not line.strip().startswith("description") for name in METRIC.findall(line)
    }


async def _on_the_page(tmp_path: Path) -> set[str]:
    async with running(tmp_path, metrics_listen="127.0.0.1:0") as rig:
        url = f"http://127.0.0.1:{rig.collector.metrics_port}/metrics"
        text = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
    return set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))


def test_the_rules_are_sound_and_do_what_their_tests_say() -> None:
    """As promtool sees it."""
    promtool = program("promtool")
    folder = DEPLOY / "prometheus"
    for arguments in (["check", "rules", "ringwatch.rules.yml"], ["test", "rules", "ringwatch.test.yml"]):
        done = subprocess.run([promtool, *arguments], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


async def test_every_metric_that_a_rule_names_is_on_the_page(tmp_path: Path) -> None:
    """A rule over a name with a typing error never fires."""
    assert _named_by_the_rules() <= await _on_the_page(tmp_path)


async def test_every_metric_of_the_dashboard_is_on_the_page_or_in_the_history(tmp_path: Path) -> None:
    """No panel stays empty for a wrong name."""
    written = {signal.metric for signal in SIGNALS} | {metric for metric, _ in JOB_SERIES.values()}
    assert _named_by_the_dashboard() <= await _on_the_page(tmp_path) | written
