"""The Prometheus page: counts and health as a scraper sees them."""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from tests.collector.rig import batch, running


def _page(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    return {
        sample.name + "".join(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_the_page_shows_what_was_taken_and_refused(tmp_path: Path) -> None:
    """Under names that say subsystem, thing and unit."""
    async with running(tmp_path, metrics_listen="127.0.0.1:0") as rig:
        agent = await rig.agent()
        await agent.send(batch(1))
        await agent.until_acknowledged(1)
        bad = rig.client()
        await bad.send_bytes(b"\xff\xff")
        await bad.until_end()
        page = await asyncio.to_thread(_page, rig.collector.metrics_port)
    assert page["ringwatch_collector_batches_taken_total"] == 1
    assert page["ringwatch_collector_messages_refused_totalundecodable"] == 1
    assert page["ringwatch_collector_streams"] == 1
    assert page["ringwatch_collector_input_completeness_ratio"] == 1.0
