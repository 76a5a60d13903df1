"""The sender seam: notices in, what became of them out. Retrying and giving up are the courier's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ringwatch_collector.alerts.notice import Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one delivery. ``reason`` is for people and holds no secret."""

    sent: bool = False
    # Trying again is of no use: the other end understood and refused.
    refused: bool = False
    reason: str = ""
    # How long the other end asks us to wait.
    retry_after_s: float = 0.0


SENT = Outcome(sent=True)


class Sender(Protocol):
    """One way out. Called on a thread of its own; it may block up to its time-out."""

    @property
    def name(self) -> str:
        """Stable name of the channel, as it stands in the outbox; it holds no secret."""
        ...

    def parcels(self, notices: Sequence[Notice]) -> Iterable[Sequence[Notice]]:
        """Split notices that are due, oldest first, into what goes out together."""
        ...

    def send(self, parcel: Sequence[Notice]) -> Outcome:
        """Deliver one parcel; never raise for what the other end or the network does."""
        ...

    def idle(self) -> None:
        """Do what has to be done between deliveries; called every second or so."""
        ...

    def close(self) -> None:
        """Let go of connections; called once, after the last of the others."""
        ...
