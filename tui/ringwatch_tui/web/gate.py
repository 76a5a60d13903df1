"""Lets a browser in that knows the token, and no page of another origin. Serves nothing."""

from __future__ import annotations

import hmac
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

_COOKIE: Final = "ringwatch"


def gate(token: str) -> Middleware:
    """Return the middleware: a token in the address is exchanged for a cookie, all else needs the cookie."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _of_this_host(request):
            raise web.HTTPForbidden(text="this page belongs to another site")
        if _equal(request.query.get("token", ""), token):
            return _exchanged(token)
        if not _equal(request.cookies.get(_COOKIE, ""), token):
            raise web.HTTPUnauthorized(text="open the address that ringwatch web printed: it holds the token")
        response = await handler(request)
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    return guarded


_HEADERS: Final = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def _exchanged(token: str) -> web.Response:
    """Return the answer that takes the token out of the address, where histories would keep it."""
    answer = web.HTTPFound("/", headers=_HEADERS)
    answer.set_cookie(_COOKIE, token, httponly=True, samesite="Strict", path="/")
    return answer


def _equal(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _of_this_host(request: web.Request) -> bool:
    """Say whether a socket was opened by a page of this server: browsers always send where from."""
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host
