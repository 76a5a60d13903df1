"""Stands before every method: who calls, may they, and who is it for the servicer. It serves nothing."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeVar

import grpc
import grpc.aio

from ringwatch_collector.access.callers import Caller, set_caller
from ringwatch_collector.access.identity import CallRefused, Identity
from ringwatch_collector.access.methods import LEAST_ROLE
from ringwatch_collector.counters import Counters

Answer = TypeVar("Answer")
# A request, or the iterator of a stream of them, and the call's context: what gRPC hands a servicer.
Serve = Callable[[Any, Any], Awaitable[Answer]]
ServeStream = Callable[[Any, Any], AsyncIterator[Answer]]

_LOG: Final = logging.getLogger("ringwatch.collector.access")


class Guard(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """Lets a call through to its servicer once its caller is known and allowed."""

    def __init__(self, identity: Identity, counters: Counters) -> None:
        self._identity = identity
        self._counters = counters

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
            return grpc.unary_unary_rpc_method_handler(self._call(handler.unary_unary, method), **codec)
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(self._stream(handler.unary_stream, method), **codec)
        if handler.stream_stream:
            # Our streams read and write by themselves: a coroutine, not a generator.
            return grpc.stream_stream_rpc_method_handler(self._call(handler.stream_stream, method), **codec)
        raise NotImplementedError(f"{method}: no method of ours is of this kind")

    def _call(self, serve: Serve[Answer], method: str) -> Serve[Answer]:
        async def guarded(request: object, context: Any) -> Answer:  # noqa: ANN401  (grpc has no types)
            set_caller(await self._let_in(context, method))
            return await serve(request, context)

        return guarded

    def _stream(self, serve: ServeStream[Answer], method: str) -> ServeStream[Answer]:
        async def guarded(request: object, context: Any) -> AsyncIterator[Answer]:  # noqa: ANN401
            set_caller(await self._let_in(context, method))
            async for answer in serve(request, context):
                yield answer

        return guarded

    async def _let_in(self, context: Any, method: str) -> Caller:  # noqa: ANN401
        try:
            return self._admitted(context, method)
        except CallRefused as refused:
            self._counters.refused[refused.reason] += 1
            await context.abort(refused.code, str(refused))
            raise

    def _admitted(self, context: Any, method: str) -> Caller:  # noqa: ANN401
        least = LEAST_ROLE.get(method)
        if least is None:
            raise CallRefused(
                grpc.StatusCode.PERMISSION_DENIED, "unlisted_method", f"{method} is open to nobody"
            )
        caller = self._identity.caller(context, least)
        if not caller.role.covers(least):
            name = f"{caller.name} is {caller.role.word}" if caller.name else caller.role.word
            raise CallRefused(
                grpc.StatusCode.PERMISSION_DENIED,
                "role",
                f"{name}: {method.rpartition('/')[2]} needs {least.word}",
            )
        return caller
