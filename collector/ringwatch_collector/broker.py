"""Sends a node verb down the stream that the node opened and waits for its result. It approves nothing."""

from __future__ import annotations

import asyncio
import itertools
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from ringwatch_collector.sessions import Sessions
from ringwatch_proto.errors import UnreachableError, VerbRefused
from ringwatch_proto.v1 import telemetry_pb2 as wire
from ringwatch_proto.verbs import Verb, check_request

# An agent may answer a little after its own deadline.
_GRACE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VerbOutcome:
    """What came of a verb: ``status`` is done, refused, failed or timed_out."""

    status: str
    text: str
    facts: dict[str, str]


_STATUSES = {
    wire.VERB_STATUS_DONE: "done",
    wire.VERB_STATUS_REFUSED: "refused",
    wire.VERB_STATUS_FAILED: "failed",
    wire.VERB_STATUS_TIMED_OUT: "timed_out",
}


class ActionBroker:
    """Carries verbs to nodes. Anything that changes a node needs the name of the person who approved it."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._waiting: dict[str, tuple[str, asyncio.Future[wire.VerbResult]]] = {}
        # Ids of an earlier collector must not answer requests of this one.
        self._prefix = uuid.uuid4().hex[:12]
        self._numbers = itertools.count(1)

    async def call(
        self,
        node: str,
        verb: str,
        arguments: Mapping[str, str],
        *,
        requested_by: str,
        approved_by: str = "",
        incident: str = "",
        timeout_s: float = 10.0,
        dry_run: bool = False,
    ) -> VerbOutcome:
        """Run a verb on a node and return what came of it.

        Raises VerbRefused when the request is not on the closed list or lacks its approval, and
        UnreachableError when the node has no stream. A node that does not answer is ``timed_out``.
        """
        self._check(check_request(verb, arguments), requested_by, approved_by, timeout_s, dry_run=dry_run)
        number = f"{self._prefix}-{next(self._numbers)}"
        answer: asyncio.Future[wire.VerbResult] = asyncio.get_running_loop().create_future()
        request = wire.VerbRequest(
            id=number,
            verb=verb,
            arguments=arguments,
            timeout_s=timeout_s,
            requested_by=requested_by,
            approved_by=approved_by,
            incident=incident,
            dry_run=dry_run,
        )
        self._waiting[number] = (node, answer)
        try:
            if not self._sessions.send(node, wire.CollectorMessage(verb_request=request)):
                raise UnreachableError(f"{verb}: node {node} is not connected")
            return await self._outcome(answer, node, timeout_s)
        finally:
            del self._waiting[number]

    def _check(
        self, verb: Verb, requested_by: str, approved_by: str, timeout_s: float, *, dry_run: bool
    ) -> None:
        if not requested_by:
            raise VerbRefused(f"{verb.name}: nobody asks for it")
        if verb.risk != "R0" and not approved_by and not dry_run:
            raise VerbRefused(f"{verb.name} changes the node ({verb.risk}) and nobody approved it")
        if not (math.isfinite(timeout_s) and 0 < timeout_s <= 600):
            raise VerbRefused(f"{verb.name}: a time-out of {timeout_s} s is not within 600 s")

    async def _outcome(
        self, answer: asyncio.Future[wire.VerbResult], node: str, timeout_s: float
    ) -> VerbOutcome:
        try:
            result = await asyncio.wait_for(answer, timeout_s + _GRACE_S)
        except TimeoutError:
            return VerbOutcome(
                status="timed_out", text=f"{node} did not answer within {timeout_s:g} s", facts={}
            )
        return VerbOutcome(
            status=_STATUSES.get(result.status, "failed"), text=result.text, facts=dict(result.facts)
        )

    def take_result(self, node: str, result: wire.VerbResult) -> bool:
        """Hand over what a node answered; return False when nobody waits for it or not from that node."""
        waiting = self._waiting.get(result.id)
        if waiting is None or waiting[0] != node:
            return False
        if not waiting[1].done():
            waiting[1].set_result(result)
        return True
