"""The Helm chart, rendered by substitution: it holds no logic, so that this is all that Helm would do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from kubernetes import client as kubernetes

from ringwatch_agent.config import load
from ringwatch_agent.policy import READ_ONLY, load_policy

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
CHART: Final = DEPLOY / "helm" / "ringwatch-agent"
_ACTION: Final = re.compile(r"\{\{ \.Values\.([A-Za-z.]+)( \| quote)? \}\}")


def _values() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    return values


def _at(values: Mapping[str, Any], path: str) -> str | int:
    found: Any = values
    for name in path.split("."):
        found = found[name]
    assert isinstance(found, str | int), path
    return found


def _render(template: str, values: Mapping[str, Any]) -> Any:
    """Return a rendered template; quote is that of Helm, which for ASCII is that of JSON."""

    def put(action: re.Match[str]) -> str:
        value = _at(values, action[1])
        return json.dumps(str(value)) if action[2] else str(value)

    text = _ACTION.sub(put, (CHART / "templates" / template).read_text())
    assert "{{" not in text, "a template may hold plain values only: nothing else was ever rendered"
    return yaml.safe_load(text)


def _chart(values: Mapping[str, Any]) -> dict[str, Any]:
    made = [_render(path.name, values) for path in sorted((CHART / "templates").iterdir())]
    return {each["kind"]: each for each in made}


def _manifests() -> dict[str, Any]:
    """Return the plain manifests without their namespace, which Helm takes from its command line."""
    found = {}
    for each in yaml.safe_load_all((DEPLOY / "kubernetes" / "agent.yaml").read_text()):
        each["metadata"].pop("namespace", None)
        found[each["kind"]] = each
    del found["Namespace"]
    return found


def test_with_its_own_values_the_chart_is_the_manifest() -> None:
    """Field by field; the settings are compared as what they say."""
    chart, manifests = _chart(_values()), _manifests()
    assert chart["DaemonSet"] == manifests["DaemonSet"]
    assert chart.keys() == manifests.keys()


def test_the_settings_that_it_makes_load(tmp_path: Path) -> None:
    """As the agent itself reads them."""
    for name, text in _chart(_values())["ConfigMap"]["data"].items():
        (tmp_path / name).write_text(text)
    config = load({}, {}, tmp_path / "agent.toml")
    assert (config.collector, config.metrics) == (_values()["collector"], _values()["metrics"])
    assert load_policy(tmp_path / "policy.toml") == READ_ONLY


@pytest.mark.parametrize("kind", ["ConfigMap", "DaemonSet"])
def test_other_values_reach_their_fields(kind: str) -> None:
    """A site's own names, no runtime class, and a number where a number may stand."""
    own = _values() | {"name": "watcher", "runtimeClass": "", "maxUnavailable": 3, "image": "r.example/a:1"}
    own["gpuNodes"] = {"label": "example.org/gpus", "value": "8"}
    made = _chart(own)[kind]
    assert made["metadata"]["name"] == "watcher"
    api: Any = kubernetes.ApiClient()
    model = api.deserialize(json.dumps(made), f"V1{kind}", "application/json")
    if kind == "DaemonSet":
        pod = made["spec"]["template"]["spec"]
        assert pod.pop("runtimeClassName") is None
        assert pod["nodeSelector"] == {"example.org/gpus": "8"}
        assert made["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] == 3
        assert (
            made["spec"]["selector"]["matchLabels"].items()
            <= made["spec"]["template"]["metadata"]["labels"].items()
        )
    assert api.sanitize_for_serialization(model) == made


def _leaves(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield from _leaves(value, f"{above}{name}.") if isinstance(value, dict) else [f"{above}{name}"]


def test_every_value_is_used_and_explained() -> None:
    """None is left over, and above each stands what it does."""
    templates = "".join(path.read_text() for path in (CHART / "templates").iterdir())
    assert {name for name, _ in _ACTION.findall(templates)} == set(_leaves(_values()))
    blocks = (CHART / "values.yaml").read_text().split("\n\n")
    assert all(block.startswith("# ") for block in blocks)


def test_the_chart_says_which_it_is() -> None:
    """What Helm asks of Chart.yaml, with the version of the image that it names."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["apiVersion"], chart["name"], chart["type"]) == ("v2", CHART.name, "application")
    assert re.fullmatch(r"\d+\.\d+\.\d+", chart["version"])
    assert _values()["image"].endswith(f":{chart['appVersion']}")
