"""What the services use of a gRPC call: the part of grpc.aio's context that they are typed against."""

from __future__ import annotations

from typing import NoReturn, Protocol

import grpc


class Context(Protocol):
    """One call; see ``grpc.aio.ServicerContext``."""

    async def read(self) -> object:
        """Return the next message, ``grpc.aio.EOF`` after the last."""
        ...

    async def write(self, message: object) -> None:
        """Send a message; waits while the other end does not read."""
        ...

    async def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """End the call with an error; always raises."""
        ...
