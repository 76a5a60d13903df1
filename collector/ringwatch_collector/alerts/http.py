"""HTTP as alerts use it: one client, no redirects, outcomes instead of exceptions. It logs no address."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx

from ringwatch_collector.alerts.base import SENT, Outcome
from ringwatch_proto.errors import ConfigError

# httpx logs each request with its whole address, and some addresses are secrets.
logging.getLogger("httpx").setLevel(logging.WARNING)

# Statuses that may pass: time-outs, too early, too many requests. Any other 4xx stays what it is.
_PASSING: Final = frozenset({408, 425, 429})
_LONGEST_RETRY_AFTER_S: Final = 3600.0


def client(timeout_s: float, ca_file: str = "", token_file: str = "") -> httpx.Client:
    """Return a client; raise ConfigError without its files."""
    context: ssl.SSLContext | bool = True
    if ca_file:
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"alerts.ca_file: {error}") from error
    headers = {"User-Agent": "ringwatch"}
    if token_file:
        headers["Authorization"] = f"Bearer {secret_lines(token_file)[0]}"
    return httpx.Client(timeout=timeout_s, verify=context, headers=headers, follow_redirects=False)


def secret_lines(file: str) -> list[str]:
    """Return the lines of a file of secrets without comments; raise ConfigError when there are none."""
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {getattr(error, 'strerror', None) or 'not a text file'}") from error
    lines = [line.strip() for line in text.splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise ConfigError(f"{file} holds nothing")
    return found


def post(http: httpx.Client, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
    """Post a body and return what became of it."""
    try:
        answer = http.post(url, content=body, headers=headers)
    except httpx.HTTPError as error:
        return Outcome(reason=f"{type(error).__name__}: {_without(str(error), url)}")
    return outcome_of(answer)


def outcome_of(answer: httpx.Response) -> Outcome:
    """Return what a status says."""
    if answer.is_success:
        return SENT
    reason = f"HTTP {answer.status_code}"
    retry_after = answer.headers.get("Retry-After", "")
    wait_s = min(float(retry_after), _LONGEST_RETRY_AFTER_S) if retry_after.isdecimal() else 0.0
    refused = 300 <= answer.status_code < 500 and answer.status_code not in _PASSING
    return Outcome(refused=refused, reason=reason, retry_after_s=wait_s)


def _without(text: str, url: str) -> str:
    return text.replace(url, "its address")[:200]
