"""An API server as the official client sees one: real HTTP, nodes, pods, budgets, dry runs, conflicts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

MERGES = ("application/merge-patch+json", "application/strategic-merge-patch+json")


class Cluster:
    """What the server holds. ``requests`` are method, path and query of everything that was asked."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, dict[str, Any]] = {}
        # pod name -> how often its budget still says no; -1 is for ever
        self.budgets: dict[str, int] = {}
        self.conflicts = 0
        self.requests: list[tuple[str, str, dict[str, list[str]]]] = []
        self.url = ""

    def add_node(self, name: str) -> None:
        self.nodes[name] = {
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "resourceVersion": "1", "labels": {}, "annotations": {}},
            "spec": {},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }  # fmt: skip

    def add_pod(self, name: str, node: str, owner: str = "ReplicaSet", phase: str = "Running") -> None:
        owners = (
            [{"apiVersion": "apps/v1", "kind": owner, "name": "o", "uid": "u", "controller": True}]
            if owner
            else []
        )
        self.pods[name] = {
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "train", "ownerReferences": owners},
            "spec": {"nodeName": node, "containers": []},
            "status": {"phase": phase},
        }  # fmt: skip

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        self.requests.append((method, path, query))
        parts = path.strip("/").split("/")
        if method == "GET" and parts == ["api", "v1", "pods"]:
            node = query["fieldSelector"][0].removeprefix("spec.nodeName=")
            found = [pod for pod in self.pods.values() if pod["spec"]["nodeName"] == node]
            return 200, {"apiVersion": "v1", "kind": "PodList", "items": found}
        if parts[:3] == ["api", "v1", "nodes"]:
            return self._node(method, parts[3], query, body)
        if parts[:3] == ["api", "v1", "namespaces"] and parts[-1] == "eviction":
            return self._eviction(parts[5], body)
        return 404, {"kind": "Status", "message": f"no {path}"}

    def _node(self, method: str, name: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        if name not in self.nodes:
            return 404, {"kind": "Status", "message": f"nodes {name!r} not found"}
        if method == "GET":
            return 200, self.nodes[name]
        wanted = body.get("metadata", {}).get("resourceVersion")
        if self.conflicts and wanted:
            self.conflicts -= 1
            self.nodes[name]["metadata"]["resourceVersion"] += "1"
        if wanted and wanted != self.nodes[name]["metadata"]["resourceVersion"]:
            return 409, {"kind": "Status", "message": "the object has been modified"}
        changed = merged(self.nodes[name], body)
        if query.get("dryRun") != ["All"]:
            changed["metadata"]["resourceVersion"] += "0"
            self.nodes[name] = changed
        return 200, changed

    def _eviction(self, pod: str, body: Any) -> tuple[int, Any]:
        if pod not in self.pods:
            return 404, {"kind": "Status", "message": "not found"}
        left = self.budgets.get(pod, 0)
        if left:
            self.budgets[pod] = max(-1, left - 1) if left > 0 else left
            return 429, {
                "kind": "Status",
                "message": "Cannot evict pod as it would violate the pod's disruption budget.",
            }
        if (body.get("deleteOptions") or {}).get("dryRun") != ["All"]:
            del self.pods[pod]
        return 201, {"kind": "Status", "status": "Success"}


def merged(old: Any, patch: Any) -> Any:
    """Return a JSON merge patch applied."""
    if not isinstance(patch, dict) or not isinstance(old, dict):
        return deepcopy(patch)
    out = deepcopy(old)
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merged(out.get(key), value)
    return out


def _handler(cluster: Cluster) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else {}
            if self.command == "PATCH":
                assert self.headers["Content-Type"] in MERGES, self.headers["Content-Type"]
            address = urlparse(self.path)
            status, answer = cluster.answer(self.command, address.path, parse_qs(address.query), body)
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PATCH = do_POST = _serve  # noqa: N815  (http.server names them)

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    return Handler


@contextmanager
def running_kube() -> Iterator[Cluster]:
    """Serve a cluster on a free port until the block ends."""
    cluster = Cluster()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(cluster)) as server:
        server.daemon_threads = True
        cluster.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield cluster
        finally:
            server.shutdown()
            thread.join()
