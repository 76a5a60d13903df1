"""``ringwatch web``: reads argv, prints the address with its token, serves until it is stopped."""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import sys
from collections.abc import Sequence
from typing import Final

from ringwatch_proto.dialling import is_loopback

_DEFAULT_ADDRESS: Final = "127.0.0.1:7701"
_TOKEN: Final = "RINGWATCH_WEB_TOKEN"  # noqa: S105  (the name of the variable)
_SHORTEST_TOKEN: Final = 16


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ringwatch web",
        description="The console in a browser, read-only. Open the address that is printed.",
        epilog=f"The token is made anew at each start unless {_TOKEN} holds one. To reach it from elsewhere, "
        "put a proxy with TLS or an ssh tunnel before it: it listens on loopback only.",
    )
    address = os.environ.get("RINGWATCH_COLLECTOR", _DEFAULT_ADDRESS)
    parser.add_argument("--collector", default=address, metavar="HOST:PORT", help="(default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (default: %(default)s)")
    parser.add_argument("--port", type=int, default=7703, help="(default: %(default)s)")
    return parser


def main(argv: Sequence[str]) -> int:
    """Serve until interrupted; return 0, or 2 for settings that cannot work."""
    options = _parser().parse_args(list(argv))
    token = os.environ.pop(_TOKEN, "") or secrets.token_urlsafe(24)
    if not is_loopback(f"{options.host}:{options.port}"):
        print(f"ringwatch web: --host {options.host} is not on loopback", file=sys.stderr)
        return 2
    if len(token) < _SHORTEST_TOKEN:
        print(f"ringwatch web: {_TOKEN} must have {_SHORTEST_TOKEN} letters or more", file=sys.stderr)
        return 2
    from ringwatch_tui.web.server import ConsoleServer

    # The log of requests would hold the token.
    logging.getLogger("aiohttp.access").disabled = True
    server = ConsoleServer(options.collector, token=token, host=options.host, port=options.port)
    print(f"http://{options.host}:{options.port}/?token={token}", flush=True)
    server.serve()
    return 0
