"""Stands before every method: who calls, may they, and who is it for the servicer. It serves nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeVar

import grpc
import grpc.aio

from ringwatch_collector.access.callers import STRANGER, Caller, Role, set_caller
from ringwatch_collector.access.identity import CallRefused, Identity
from ringwatch_collector.access.limits import CallRates, Failures, address_of
from ringwatch_collector.access.methods import LEAST_ROLE
from ringwatch_collector.counters import Counters

Answer = TypeVar("Answer")
# A request, or the iterator of a stream of them, and the call's context: what gRPC hands a servicer.
Serve = Callable[[Any, Any], Awaitable[Answer]]
ServeStream = Callable[[Any, Any], AsyncGenerator[Answer, None]]

# What somebody who guesses secrets gets; a console without a token is told at once what it lacks.
_GUESSES: Final = frozenset({"bad_token", "bad_join_token"})
_REVOKED: Final = "the credential of this stream is not valid any more"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardPorts:
    """What the guard asks and tells."""

    identity: Identity
    is_good: Callable[[Caller], bool]
    # Told of each call that a known caller may not make, with the method.
    on_denied: Callable[[Caller, str], None]
    rates: CallRates
    failures: Failures
    counters: Counters
    most_streams: int


class Guard(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """Lets a call through to its servicer once its caller is known and allowed."""

    def __init__(self, ports: GuardPorts) -> None:
        self._ports = ports
        self._open: dict[asyncio.Task[Any], Caller] = {}
        self._followers: Counter[str] = Counter()

    def end_revoked(self) -> int:
        """End the agents' streams whose credential is not good any more; return how many."""
        bad = [task for task, caller in self._open.items() if not self._ports.is_good(caller)]
        for task in bad:
            task.cancel(_REVOKED)
        return len(bad)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        """Return the method's handler behind this guard, None where there is no such method."""
        handler = await continuation(handler_call_details)
        return None if handler is None else self._guarded(handler, handler_call_details.method)

    def _guarded(self, handler: grpc.RpcMethodHandler, method: str) -> grpc.RpcMethodHandler:
        codec = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(self._answer(handler.unary_unary, method), **codec)
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(self._follow(handler.unary_stream, method), **codec)
        if handler.stream_stream:
            # Our streams read and write by themselves: a coroutine, not a generator.
            return grpc.stream_stream_rpc_method_handler(self._talk(handler.stream_stream, method), **codec)
        raise NotImplementedError(f"{method}: no method of ours is of this kind")

    def _answer(self, serve: Serve[Answer], method: str) -> Serve[Answer]:
        async def guarded(request: object, context: Any) -> Answer:  # noqa: ANN401  (grpc has no types)
            set_caller(await self._let_in(context, method))
            try:
                return await serve(request, context)
            except CallRefused as refused:
                await self._turn_away(context, refused)

        return guarded

    def _talk(self, serve: Serve[Answer], method: str) -> Serve[Answer]:
        async def guarded(requests: object, context: Any) -> Answer:  # noqa: ANN401
            caller = await self._let_in(context, method)
            set_caller(caller)
            task = asyncio.current_task()
            assert task is not None
            self._open[task] = caller
            try:
                return await serve(requests, context)
            except asyncio.CancelledError:
                if self._ports.is_good(caller):
                    raise
                task.uncancel()
                await self._turn_away(context, _revoked())
            finally:
                del self._open[task]

        return guarded

    def _follow(self, serve: ServeStream[Answer], method: str) -> ServeStream[Answer]:
        async def guarded(request: object, context: Any) -> AsyncGenerator[Answer, None]:  # noqa: ANN401
            caller = await self._let_in(context, method)
            set_caller(caller)
            key = _key(caller, context)
            if self._followers[key] >= self._ports.most_streams:
                sentence = f"{self._ports.most_streams} open streams are the limit of one caller"
                await self._turn_away(context, _too_much("open_streams", sentence))
            self._followers[key] += 1
            try:
                # Closed with the call: what a servicer holds does not wait for the garbage collector.
                async with aclosing(serve(request, context)) as answers:
                    async for answer in answers:
                        if not self._ports.is_good(caller):
                            await self._turn_away(context, _revoked())
                        yield answer
            finally:
                self._followers[key] -= 1
                if not self._followers[key]:
                    del self._followers[key]

        return guarded

    async def _let_in(self, context: Any, method: str) -> Caller:  # noqa: ANN401
        try:
            return self._admitted(context, method)
        except CallRefused as refused:
            await self._turn_away(context, refused)

    async def _turn_away(self, context: Any, refused: CallRefused) -> NoReturn:  # noqa: ANN401
        """Count a refusal and end the call with it; a wrong secret waits for its answer."""
        self._ports.counters.refused[refused.reason] += 1
        if refused.reason in _GUESSES:
            await self._ports.failures.hold(address_of(context.peer()))
        await context.abort(refused.code, str(refused))
        raise refused

    def _admitted(self, context: Any, method: str) -> Caller:  # noqa: ANN401
        if method not in LEAST_ROLE:
            sentence = f"{method} is open to nobody"
            raise CallRefused(grpc.StatusCode.PERMISSION_DENIED, "unlisted_method", sentence)
        least = LEAST_ROLE[method]
        caller = STRANGER if least is None else self._ports.identity.caller(context, least)
        if least is not Role.AGENT and not self._ports.rates.allows(_key(caller, context)):
            raise _too_much("call_rate", "too many calls: ask less often")
        if least is not None and not caller.role.covers(least):
            self._ports.on_denied(caller, method)
            name = f"{caller.name} is {caller.role.word}" if caller.name else caller.role.word
            sentence = f"{name}: {method.rpartition('/')[2]} needs {least.word}"
            raise CallRefused(grpc.StatusCode.PERMISSION_DENIED, "role", sentence)
        return caller


def _key(caller: Caller, context: Any) -> str:  # noqa: ANN401
    return caller.credential or address_of(context.peer())


def _revoked() -> CallRefused:
    return CallRefused(grpc.StatusCode.UNAUTHENTICATED, "revoked", _REVOKED)


def _too_much(reason: str, sentence: str) -> CallRefused:
    return CallRefused(grpc.StatusCode.RESOURCE_EXHAUSTED, reason, sentence)
