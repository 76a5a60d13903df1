"""``ringwatch collector init|token|revoke|certificates``: reads arguments and prints, no more."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ringwatch_collector.access.book import ANY_NUMBER, JOIN, AccessBook, Token
from ringwatch_collector.access.callers import Role
from ringwatch_collector.access.setup import Secret, Wish, make_files, make_tokens
from ringwatch_collector.audit import Chain
from ringwatch_collector.config import load_config
from ringwatch_collector.ground import database_url
from ringwatch_collector.store.database import Database
from ringwatch_proto.codec import to_ns
from ringwatch_proto.errors import ConfigError

_PEOPLE = tuple(role.word for role in Role if role is not Role.AGENT)
_ONCE = "These secrets are shown once and kept as digests only: hand them on now, each to its owner."


def add_commands(commands: Any) -> None:  # noqa: ANN401  (argparse keeps its type to itself)
    """Add these commands to the collector's parser; each sets ``work`` to what it does."""
    init = commands.add_parser("init", help="make CA, server certificate, settings and first tokens")
    init.add_argument("folder", type=Path, help="folder of the collector: its data, files and settings")
    init.add_argument("--name", action="append", default=[], help="host name or address that is dialled")
    init.add_argument("--listen", default="0.0.0.0:7701", help="address for nodes (%(default)s)")
    init.add_argument(
        "--listen-without-certificate",
        default="0.0.0.0:7702",
        help="address for consoles with a token and for nodes that join (%(default)s)",
    )
    init.add_argument("--database-url", help="SQLAlchemy URL of another database")
    init.add_argument("--force", action="store_true", help="make everything anew and revoke what there was")
    _add_join(init)
    init.set_defaults(work=_init)

    token = commands.add_parser("token", help="tokens of people and of joining nodes")
    verbs = token.add_subparsers(dest="verb", required=True)
    add = verbs.add_parser("add", help="make a token and print its secret once")
    add.add_argument("name", help="whose it is: the name in the audit log; of a join token, what it is for")
    add.add_argument("--role", required=True, choices=(*_PEOPLE, JOIN))
    add.add_argument("--days", type=float, default=0.0, help="days until it expires (never; join: 7)")
    _add_join(add)
    add.set_defaults(work=_token_add)
    listed = verbs.add_parser("list", help="every token and whether it is valid")
    listed.set_defaults(work=_token_list)
    revoke = verbs.add_parser("revoke", help="refuse a token from now on")
    revoke.add_argument("id", help="id of the token, as `token list` shows it")
    revoke.set_defaults(work=_token_revoke)

    node = commands.add_parser("revoke", help="refuse every certificate of a node; it has to join again")
    node.add_argument("node", help="name of the node")
    node.add_argument("--serial", help="also this serial number, of a certificate of another CA")
    node.set_defaults(work=_revoke)
    certificates = commands.add_parser("certificates", help="certificates that were issued to nodes")
    certificates.set_defaults(work=_certificates)
    for each in (add, listed, revoke, node, certificates):
        each.add_argument("--config", type=Path, help="TOML file of the collector's settings")
        each.add_argument("--data-dir", help="folder of the database (var/collector)")
        each.add_argument("--database-url", help="SQLAlchemy URL of another database")
    for each in (init, add, listed, certificates):
        each.add_argument("--json", action="store_true", help="one object a line")


def _add_join(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nodes", default="*", help="names that may join with the token, as a shell pattern")
    parser.add_argument("--uses", type=int, default=ANY_NUMBER, help="how many may join (-1: any number)")


@contextmanager
def _opened(url: str) -> Iterator[tuple[AccessBook, Callable[[str, str], None]]]:
    """Yield the book and a way to write down what is done to it."""
    database = Database(url)
    chain = Chain(database)

    def note(action: str, target: str) -> None:
        fields = {"actor": f"{_user()} on {socket.gethostname()}", "action": action, "target": target}
        chain.append({**fields, "result": "done"}, time.time())

    try:
        yield AccessBook(database), note
    finally:
        database.close()


def _user() -> str:
    return os.environ.get("SUDO_USER") or getpass.getuser()


def _url(arguments: argparse.Namespace) -> str:
    flags = {"data_dir": arguments.data_dir, "database_url": arguments.database_url}
    return database_url(load_config(arguments.config, os.environ, flags))


def _init(arguments: argparse.Namespace) -> int:
    wish = Wish(
        folder=arguments.folder,
        names=arguments.name or _own_names(),
        listen=arguments.listen,
        listen_without_certificate=arguments.listen_without_certificate,
        join_nodes=arguments.nodes,
        join_uses=arguments.uses,
    )
    made = make_files(wish, anew=arguments.force)
    flags = {"data_dir": str(arguments.folder), "database_url": arguments.database_url}
    with _opened(database_url(load_config(None, {}, flags))) as (book, note):
        secrets = make_tokens(wish, book, time.time(), anew=arguments.force, by=_user())
        note("access.init", f"{len(made)} files, {len(secrets)} tokens")
    for path in made:
        print(f"made {path}", file=sys.stderr)
    if not made and not secrets:
        print(f"{arguments.folder} has everything; --force makes it anew", file=sys.stderr)
    _print_secrets(secrets, as_json=arguments.json)
    return 0


def _own_names() -> Sequence[str]:
    return list(dict.fromkeys((socket.getfqdn(), socket.gethostname(), "localhost", "127.0.0.1")))


def _print_secrets(secrets: Sequence[Secret], *, as_json: bool) -> None:
    if secrets:
        print(_ONCE, file=sys.stderr)
    for each in secrets:
        if as_json:
            told = {"role": each.role, "name": each.name, "id": each.id, "secret": each.secret}
            print(json.dumps(told))
        else:
            print(f"{each.role:<9} {each.name:<20} {each.id}  {each.secret}")


def _token_add(arguments: argparse.Namespace) -> int:
    joins = arguments.role == JOIN
    name = arguments.name.strip()
    if not name or not name.isprintable() or len(name) > 64:
        raise ConfigError("a token's name has 1 to 64 printable characters")
    days = arguments.days or (7.0 if joins else 0.0)
    now_ns = to_ns(time.time())
    with _opened(_url(arguments)) as (book, note):
        token, secret = book.add_token(
            role=arguments.role,
            name=name,
            now_ns=now_ns,
            expires_ns=now_ns + int(days * 86400e9) if days else 0,
            nodes=arguments.nodes if joins else "",
            uses=arguments.uses if joins else ANY_NUMBER,
        )
        note("access.token_add", f"{token.id} {token.role} {token.name}")
    _print_secrets([Secret(role=token.role, name=name, id=token.id, secret=secret)], as_json=arguments.json)
    return 0


def _token_list(arguments: argparse.Namespace) -> int:
    with _opened(_url(arguments)) as (book, _):
        tokens, denied = book.tokens(), book.page().denied
    now_ns = to_ns(time.time())
    for token in tokens:
        state = "revoked" if token.id in denied else "valid" if token.is_valid(now_ns) else "expired"
        if arguments.json:
            print(json.dumps(_told(token, state)))
        else:
            bound = f"  nodes {token.nodes}" if token.role == JOIN else ""
            print(f"{token.id}  {state:<8} {token.role:<9} {token.name}{bound}{_until(token.expires_ns)}")
    return 0


def _told(token: Token, state: str) -> dict[str, object]:
    told: dict[str, object] = {"id": token.id, "role": token.role, "name": token.name, "state": state}
    if token.role == JOIN:
        told |= {"nodes": token.nodes, "uses_left": None if token.uses_left < 0 else token.uses_left}
    return told | {"expires": _written(token.expires_ns) if token.expires_ns else None}


def _written(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat(timespec="seconds")


def _until(expires_ns: int) -> str:
    return f"  until {_written(expires_ns)}" if expires_ns else ""


def _token_revoke(arguments: argparse.Namespace) -> int:
    with _opened(_url(arguments)) as (book, note):
        if arguments.id not in {token.id for token in book.tokens()}:
            raise ConfigError(f"there is no token {arguments.id!r}: see `ringwatch collector token list`")
        book.deny([arguments.id], _user(), to_ns(time.time()))
        note("access.token_revoke", arguments.id)
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    with _opened(_url(arguments)) as (book, note):
        serials = [each.serial for each in book.certificates(arguments.node)]
        serials += [arguments.serial.lower().lstrip("0").replace(":", "")] if arguments.serial else []
        if not serials:
            raise ConfigError(f"no certificate was issued to {arguments.node!r}: give its --serial")
        book.deny(serials, _user(), to_ns(time.time()))
        note("access.revoke", f"{arguments.node}: {len(serials)} certificates")
    print(f"{arguments.node}: {len(serials)} certificates are refused from now on", file=sys.stderr)
    return 0


def _certificates(arguments: argparse.Namespace) -> int:
    with _opened(_url(arguments)) as (book, _):
        found, denied = book.certificates(), book.page().denied
    lines: Iterable[dict[str, object]] = (
        {
            "node": each.node,
            "serial": each.serial,
            "expires": _written(each.expires_ns),
            "revoked": each.serial in denied,
        }
        for each in found
    )
    for line in lines:
        if arguments.json:
            print(json.dumps(line))
        else:
            revoked = "  revoked" if line["revoked"] else ""
            print(f"{line['node']:<24} {line['serial']}  until {line['expires']}{revoked}")
    return 0
