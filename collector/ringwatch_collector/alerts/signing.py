"""How a webhook's body is signed, and how its receiver proves it. It sends nothing and keeps nothing."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

TIMESTAMP: Final = "Ringwatch-Timestamp"
SIGNATURE: Final = "Ringwatch-Signature"
# A receiver refuses what is older or younger: a copy of a request is of no use after that.
WINDOW_S: Final = 300.0


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return ``v1=`` and the hexadecimal HMAC-SHA256 of timestamp, a dot, and the body."""
    signed = timestamp.encode() + b"." + body
    return "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def signatures(secrets: Sequence[str], timestamp: str, body: bytes) -> str:
    """Return one signature a secret, with commas between: two while a secret is being changed."""
    return ",".join(signature(each, timestamp, body) for each in secrets)


def verify(
    secret: str, timestamp: str, body: bytes, given: str, now_s: float, *, window_s: float = WINDOW_S
) -> bool:
    """Tell whether a request is genuine and fresh. The body is what came over the wire, byte for byte."""
    if not timestamp.isdecimal() or abs(now_s - int(timestamp)) > window_s:
        return False
    wanted = signature(secret, timestamp, body).encode()
    return any(hmac.compare_digest(wanted, each.strip().encode()) for each in given.split(","))
