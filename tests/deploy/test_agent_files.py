"""The files that put an agent on a node, checked as far as a machine without a cluster can."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client as kubernetes

from ringwatch_agent.config import load
from ringwatch_agent.policy import READ_ONLY, load_policy

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "ringwatch-agent.service"
CONTAINERFILE = DEPLOY / "container" / "agent.Containerfile"
MANIFESTS = DEPLOY / "kubernetes" / "agent.yaml"


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a program that exists: systemd refuses to look at any other."""
    assert shutil.which("systemd-analyze"), "systemd-analyze is missing: install the package systemd"
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/ringwatch/bin/ringwatch", sys.executable))
    return copy


def test_systemd_takes_the_unit_without_a_word(unit: Path) -> None:
    """Every directive is one that it knows."""
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_is_exposed_little(unit: Path) -> None:
    """What it keeps beyond that is what it watches: kernel log, processes, network of the node."""
    command = ["systemd-analyze", "security", "--offline=true", "--json=short", "--threshold=30", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    open_fields = {row["json_field"] for row in json.loads(done.stdout) if row["set"] is False}
    assert "CapabilityBoundingSet_CAP_SYS_ADMIN" not in open_fields
    assert "NoNewPrivileges" not in open_fields


def test_the_sample_settings_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key is unknown, and off loopback it is mutual TLS."""
    monkeypatch.delenv("RINGWATCH_COLLECTOR", raising=False)
    config = load({}, {}, DEPLOY / "agent" / "agent.toml")
    assert config.tls_key is not None
    assert not config.insecure_plaintext
    assert config.metrics.startswith("127.0.0.1:")


def test_the_sample_policy_only_lets_look() -> None:
    """What changes something is there to be read, and commented out."""
    assert load_policy(DEPLOY / "agent" / "policy.toml") == READ_ONLY


def _instructions() -> Iterator[tuple[str, str]]:
    text = CONTAINERFILE.read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            yield word, rest.strip()


def test_the_container_is_built_without_a_shell_and_runs_without_root() -> None:
    """Every command is a list; the last USER is nobody in particular."""
    found = list(_instructions())
    for word, rest in found:
        if word in ("RUN", "ENTRYPOINT", "CMD"):
            assert isinstance(json.loads(rest), list)
    assert [rest for word, rest in found if word == "USER"][-1].split(":")[0] != "0"
    assert not [word for word, _ in found if word == "ADD"]


def test_the_container_copies_what_is_there() -> None:
    """Each source of a COPY from the tree exists, and the packages of the build are all among them."""
    copied = {
        source
        for word, rest in _instructions()
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert all((ROOT / source).exists() for source in copied)
    packages = set(
        re.findall(r'^  "(\w+)/ringwatch\w*",$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    )
    assert packages <= copied


def _manifests() -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(MANIFESTS.read_text()) if each]


def _agent() -> dict[str, Any]:
    (daemon_set,) = [each for each in _manifests() if each["kind"] == "DaemonSet"]
    spec: dict[str, Any] = daemon_set["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("number", range(3))
def test_kubernetes_knows_every_field(number: int) -> None:
    """Through the models of the official client and back, nothing is lost."""
    manifest = _manifests()[number]
    api: Any = kubernetes.ApiClient()
    model = api.deserialize(json.dumps(manifest), f"V1{manifest['kind']}", "application/json")
    assert api.sanitize_for_serialization(model) == manifest


def test_every_mount_has_its_volume_and_the_host_is_read_only() -> None:
    """The agent writes to its spool and its socket folder, and to nothing else."""
    spec = _agent()
    volumes = {volume["name"] for volume in spec["volumes"]}
    (container,) = spec["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"/var/lib/ringwatch/agent", "/run/ringwatch"}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]


def test_the_settings_inside_the_manifest_load(tmp_path: Path) -> None:
    """They are checked as the files are; paths that they name are mounted."""
    (config_map,) = [each for each in _manifests() if each["kind"] == "ConfigMap"]
    for name, text in config_map["data"].items():
        (tmp_path / name).write_text(text)
    config = load({}, {}, tmp_path / "agent.toml")
    assert load_policy(tmp_path / "policy.toml") == READ_ONLY
    mounts = [Path(mount["mountPath"]) for mount in _agent()["containers"][0]["volumeMounts"]]
    named = [config.tls_ca, config.tls_key, config.policy, config.state_dir, config.hook_socket, config.kmsg]
    for path in named:
        assert path is not None
        assert any(mount in (path, *path.parents) for mount in mounts), path
