"""The first byte of what a collector answers another: done, and the message follows, or why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import grpc

DONE: Final = b"\0"
NOT_FOUND: Final = b"\1"
NOT_NOW: Final = b"\2"
CODES: Final[Mapping[bytes, grpc.StatusCode]] = {
    NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    NOT_NOW: grpc.StatusCode.FAILED_PRECONDITION,
}
