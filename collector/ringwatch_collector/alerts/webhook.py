"""The webhook: one signed JSON body for each notice. What the receiver makes of it is its own matter."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import httpx

from ringwatch_collector.alerts.base import SENT, Outcome
from ringwatch_collector.alerts.http import post
from ringwatch_collector.alerts.notice import Notice
from ringwatch_collector.alerts.signing import SIGNATURE, TIMESTAMP, signatures


class Webhook:
    """One receiver. ``Idempotency-Key`` is the notice's key: the same at every try."""

    def __init__(self, http: httpx.Client, url: str, secrets: Sequence[str]) -> None:
        self._http = http
        self._url = url
        self._secrets = secrets

    @property
    def name(self) -> str:
        """Return the channel's name."""
        return "webhook"

    def parcels(self, notices: Sequence[Notice]) -> Iterable[Sequence[Notice]]:
        """Return each notice alone."""
        return [[notice] for notice in notices]

    def send(self, parcel: Sequence[Notice]) -> Outcome:
        """Post each notice; stop at the first that is not taken."""
        for notice in parcel:
            outcome = self._post(notice)
            if not outcome.sent:
                return outcome
        return SENT

    def idle(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _post(self, notice: Notice) -> Outcome:
        body, timestamp = notice.document().encode(), str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": notice.key,
            TIMESTAMP: timestamp,
            SIGNATURE: signatures(self._secrets, timestamp, body),
        }
        return post(self._http, self._url, body, headers)
