"""Kubernetes by the official client: cordon, eviction within budgets, taint, label. Knows no runbook."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from ringwatch_collector.repair.base import done, failed, refused, yes_no
from ringwatch_collector.repair.kubernetes_node import ANNOTATION, NodeState, state_of
from ringwatch_proto.errors import ConfigError
from ringwatch_runbooks.base import RepairCall, VerbOutcome

TAINT: Final = "ringwatch.io/fault"
LABEL: Final = "ringwatch.io/incident"
_MIRROR: Final = "kubernetes.io/config.mirror"
_REQUEST_S: Final = 15.0
_TRY_AGAIN_S: Final = 1.0
_CONFLICTS: Final = 5
_ALL: Final = "All"


def api_of(kubeconfig: str) -> client.CoreV1Api:
    """Return the API of a cluster; raise ConfigError when the configuration cannot be read."""
    settings = client.Configuration()
    try:
        if kubeconfig:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=kubeconfig, client_configuration=settings
            )
        else:
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        raise ConfigError(f"repair.kubeconfig: {error}") from error
    settings.retries = False
    return client.CoreV1Api(client.ApiClient(settings))


class Kubernetes:
    """One cluster."""

    def __init__(self, api: client.CoreV1Api) -> None:
        self._api: Any = api  # what it returns is typed as None in half of its fields

    @property
    def calls(self) -> tuple[str, ...]:
        """Names of what it can do."""
        return (
            "scheduler.state", "scheduler.drain", "scheduler.resume", "scheduler.move",
            "kubernetes.taint", "kubernetes.untaint", "kubernetes.label", "kubernetes.unlabel",
        )  # fmt: skip

    async def plan(self, call: RepairCall) -> VerbOutcome:
        """Ask the API server to try it (dryRun=All), and say what it said."""
        return await self._asked(call, _ALL)

    async def do(self, call: RepairCall) -> VerbOutcome:
        """Do it, and say what was before and after."""
        return await self._asked(call, "")

    async def _asked(self, call: RepairCall, dry_run: str) -> VerbOutcome:
        acts: dict[str, Callable[[RepairCall, str], VerbOutcome]] = {
            "scheduler.state": self._state,
            "scheduler.drain": self._cordon,
            "scheduler.resume": self._uncordon,
            "scheduler.move": self._evict,
            "kubernetes.taint": lambda call, dry: self._taint(call, dry, present=True),
            "kubernetes.untaint": lambda call, dry: self._taint(call, dry, present=False),
            "kubernetes.label": lambda call, dry: self._label(call, dry, present=True),
            "kubernetes.unlabel": lambda call, dry: self._label(call, dry, present=False),
        }
        try:
            return await asyncio.to_thread(acts[call.name], call, dry_run)
        except ApiException as error:
            return failed(f"the API server said {error.status} {error.reason}: {_message(error)}")
        except (HTTPError, OSError) as error:
            return failed(f"the API server cannot be asked: {error}"[:300])

    def node(self, name: str) -> NodeState:
        """Return a node as it is now."""
        return state_of(self._api.read_node(name, _request_timeout=_REQUEST_S))

    def _state(self, call: RepairCall, _dry_run: str) -> VerbOutcome:
        node = self.node(call.arguments["node"])
        work = self._pods(node.name)
        return done(
            f"{node.name} is {node}; {len(work)} pods",
            state=str(node),
            out=yes_no(node.unschedulable or not node.ready),
            ours=yes_no(bool(node.incident)),
            work=str(len(work)),
        )

    def _cordon(self, call: RepairCall, dry_run: str) -> VerbOutcome:
        before = self.node(call.arguments["node"])
        if before.unschedulable:
            return done(f"{before.name}: it was out already, and is left as it is: {before}")
        body = {
            "spec": {"unschedulable": True},
            "metadata": {"annotations": {ANNOTATION: call.incident}},
        }
        after = self._patched(before.name, body, dry_run)
        return _changed(before, after, dry_run, after.unschedulable or bool(dry_run))

    def _uncordon(self, call: RepairCall, dry_run: str) -> VerbOutcome:
        before = self.node(call.arguments["node"])
        if not before.unschedulable:
            return refused(f"{before.name}: it is in service")
        if before.incident != call.incident:
            held = f"for {before.incident}" if before.incident else "not from here"
            return refused(f"{before.name}: it was taken out {held}: ask who did")
        body = {"spec": {"unschedulable": False}, "metadata": {"annotations": {ANNOTATION: None}}}
        after = self._patched(before.name, body, dry_run)
        return _changed(before, after, dry_run, not after.unschedulable or bool(dry_run))

    def _label(self, call: RepairCall, dry_run: str, *, present: bool) -> VerbOutcome:
        before = self.node(call.arguments["node"])
        value = call.incident if present else None
        after = self._patched(before.name, {"metadata": {"labels": {LABEL: value}}}, dry_run)
        return _changed(before, after, dry_run, True, f"label {LABEL}={value or 'taken off'}")

    def _taint(self, call: RepairCall, dry_run: str, *, present: bool) -> VerbOutcome:
        """Change the list of taints as one, and only if nobody changed it meanwhile."""
        name = call.arguments["node"]
        for attempt in range(_CONFLICTS):
            found = self._api.read_node(name, _request_timeout=_REQUEST_S)
            kept = [taint for taint in found.spec.taints or () if taint.key != TAINT]
            mine = [client.V1Taint(key=TAINT, value=call.incident, effect="NoSchedule")] if present else []
            body = {
                "metadata": {"resourceVersion": found.metadata.resource_version},
                "spec": {"taints": [*kept, *mine]},
            }
            try:
                return _changed(state_of(found), self._patched(name, body, dry_run), dry_run, True)
            except ApiException as error:
                if error.status != 409 or attempt == _CONFLICTS - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _patched(self, name: str, body: dict[str, Any], dry_run: str) -> NodeState:
        more = {"dry_run": dry_run} if dry_run else {}
        return state_of(self._api.patch_node(name, body, _request_timeout=_REQUEST_S, **more))

    def _evict(self, call: RepairCall, dry_run: str) -> VerbOutcome:
        """Evict every pod that may be; a budget that says no is asked again until the time is over."""
        node = self.node(call.arguments["node"])
        if not node.unschedulable and not dry_run:
            return refused(f"{node.name} is {node}: pods would come back to it; cordon it first")
        pods = self._pods(node.name)
        alone = [_name(pod) for pod in pods if not pod.metadata.owner_references]
        if alone:
            return refused(f"{node.name}: {', '.join(alone[:5])} has no controller and would not come back")
        until_s = time.monotonic() + max(1.0, call.timeout_s - 5.0)
        waiting = {_name(pod): pod for pod in pods}
        why: dict[str, str] = {}
        while waiting:
            for name, pod in list(waiting.items()):
                why[name] = self._evicted(pod, dry_run)
                if not why[name]:
                    del waiting[name]
            if dry_run or not waiting or time.monotonic() >= until_s:
                break
            time.sleep(_TRY_AGAIN_S)
        return self._emptied(node.name, pods, {name: why[name] for name in waiting}, until_s, dry_run)

    def _evicted(self, pod: Any, dry_run: str) -> str:  # noqa: ANN401  (the client has no types)
        """Ask for one eviction; return why it is not done, empty when it is."""
        body = client.V1Eviction(
            metadata=client.V1ObjectMeta(name=pod.metadata.name, namespace=pod.metadata.namespace),
            delete_options=client.V1DeleteOptions(dry_run=[dry_run]) if dry_run else None,
        )
        try:
            self._api.create_namespaced_pod_eviction(
                pod.metadata.name, pod.metadata.namespace, body, _request_timeout=_REQUEST_S
            )
        except ApiException as error:
            if error.status == 404:
                return ""
            if error.status == 429:
                return f"its disruption budget does not allow it: {_message(error)}"
            raise
        return ""

    def _emptied(
        self, node: str, pods: list[Any], blocked: dict[str, str], until_s: float, dry_run: str
    ) -> VerbOutcome:
        names = ", ".join(sorted(map(_name, pods))[:8])
        if dry_run:
            held = "; ".join(f"{name}: {why}" for name, why in blocked.items())
            return done(f"{node}: would evict {len(pods)} pods ({names or 'none'}); {held}".rstrip("; "))
        if blocked:
            held = "; ".join(f"{name}: {why}" for name, why in list(blocked.items())[:4])
            return failed(f"{node}: {len(pods) - len(blocked)} of {len(pods)} pods were evicted; {held}")
        left = self._pods(node)
        while left and time.monotonic() < until_s:
            time.sleep(_TRY_AGAIN_S)
            left = self._pods(node)
        if left:
            return failed(f"{node}: {len(left)} pods are still there: {', '.join(map(_name, left[:5]))}")
        return done(f"{node}: before {len(pods)} pods, after 0 ({names or 'none'})")

    def _pods(self, node: str) -> list[Any]:
        """Return the pods that an eviction is for: no daemons, no mirrors of files, none that has ended."""
        found = self._api.list_pod_for_all_namespaces(
            field_selector=f"spec.nodeName={node}", _request_timeout=_REQUEST_S
        )
        return [pod for pod in found.items if _counts(pod)]


def _counts(pod: Any) -> bool:  # noqa: ANN401  (the client has no types)
    owners = {owner.kind for owner in pod.metadata.owner_references or ()}
    mirror = _MIRROR in (pod.metadata.annotations or {})
    return not mirror and "DaemonSet" not in owners and pod.status.phase not in ("Succeeded", "Failed")


def _name(pod: Any) -> str:  # noqa: ANN401  (the client has no types)
    return f"{pod.metadata.namespace}/{pod.metadata.name}"


def _changed(before: NodeState, after: NodeState, dry_run: str, well: bool, more: str = "") -> VerbOutcome:
    text = f"{before.name}: before {before}, {'would be' if dry_run else 'after'} {after}"
    text += f"; {more}" if more else ""
    return done(text, before=str(before), after=str(after)) if well else failed(text)


def _message(error: ApiException) -> str:
    body = str(error.body or "")
    return body[:300].replace("\n", " ")
