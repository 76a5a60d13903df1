"""Makes what a collector needs to be safe to expose: CA, server certificate, settings, first tokens.

Run again, it keeps what is there and makes what is missing. It prints nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from ringwatch_collector.access.authority import Authority, certificate_pem, key_pem, new_key
from ringwatch_collector.access.book import ANY_NUMBER, JOIN, AccessBook
from ringwatch_collector.access.callers import Role
from ringwatch_proto.codec import to_ns
from ringwatch_proto.errors import ConfigError

_SERVER_DAYS: Final = 365
# A server certificate that has less than this left is made anew by another `init`.
_RENEWED_WITHIN: Final = timedelta(days=_SERVER_DAYS / 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to make: for which names, and whom to give tokens."""

    folder: Path
    names: Sequence[str]
    listen: str
    listen_without_certificate: str
    join_nodes: str = "*"
    join_uses: int = ANY_NUMBER
    join_days: float = 7.0
    people: Sequence[tuple[str, Role]] = tuple(
        (role.word, role) for role in (Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A token that was just made; nothing can show it again."""

    role: str
    name: str
    id: str
    secret: str


class Files:
    """The files of one collector's folder. What is secret is readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = folder / "tls" / "ca.pem"
        self.authority_key = folder / "tls" / "ca.key"
        self.certificate = folder / "tls" / "server.pem"
        self.key = folder / "tls" / "server.key"
        self.settings = folder / "collector.toml"


def make_files(wish: Wish, *, anew: bool) -> list[Path]:
    """Make the files that are missing and return them; ``anew`` makes all. Raises ConfigError."""
    files = Files(wish.folder)
    try:
        files.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        files.authority.parent.mkdir(mode=0o700, exist_ok=True)
        made: list[Path] = []
        if anew or not files.authority.exists():
            authority = Authority.new("Ringwatch CA")
            made += [_write(files.authority_key, key_pem(authority.key))]
            made += [_write(files.authority, certificate_pem(authority.certificate), mode=0o644)]
        authority = Authority.load(files.authority.read_bytes(), files.authority_key.read_bytes())
        if made or not _server_is_good(files, wish.names):
            key = new_key()
            certificate = authority.for_server(wish.names, key.public_key(), _SERVER_DAYS)
            made += [_write(files.key, key_pem(key))]
            made += [_write(files.certificate, certificate_pem(certificate), mode=0o644)]
        if anew or not files.settings.exists():
            made.append(_write(files.settings, _settings(files, wish).encode()))
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{files.authority.parent}: {error}; --force makes everything anew") from error
    return made


def _server_is_good(files: Files, names: Sequence[str]) -> bool:
    """Return whether the server's certificate is there, for these names, and not soon over."""
    if not (files.certificate.exists() and files.key.exists()):
        return False
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    known = {str(each.value) for each in found}
    return set(names) <= known and certificate.not_valid_after_utc - datetime.now(UTC) > _RENEWED_WITHIN


def _write(path: Path, content: bytes, *, mode: int = 0o600) -> Path:
    """Put a whole file in place: whoever reads sees the old one or the new one."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(path)
    return path


def _settings(files: Files, wish: Wish) -> str:
    def quoted(value: object) -> str:
        text = str(value).replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'

    return f"""\
# Made by `ringwatch collector init`. Every setting: `ringwatch collector check-config`.
listen = {quoted(wish.listen)}
data_dir = {quoted(files.folder.resolve())}
tls_certificate = {quoted(files.certificate.resolve())}
tls_key = {quoted(files.key.resolve())}
tls_client_ca = {quoted(files.authority.resolve())}

[access]
listen = {quoted(wish.listen_without_certificate)}
authority_certificate = {quoted(files.authority.resolve())}
authority_key = {quoted(files.authority_key.resolve())}
"""


def make_tokens(wish: Wish, book: AccessBook, now_s: float, *, anew: bool, by: str) -> list[Secret]:
    """Make the tokens that nobody has yet and return their secrets; ``anew`` revokes all others first."""
    now_ns = to_ns(now_s)
    if anew:
        everything = [token.id for token in book.tokens()] + [each.serial for each in book.certificates()]
        book.deny(everything, by, now_ns)
    valid = {(token.role, token.name) for token in book.page().tokens.values() if token.is_valid(now_ns)}
    wanted = [(role.word, name) for name, role in wish.people if (role.word, name) not in valid]
    made = [_made(book, role, name, now_ns) for role, name in wanted]
    if (JOIN, wish.join_nodes) in valid:
        return made
    expires_ns = now_ns + int(wish.join_days * 86400e9)
    token, secret = book.add_token(
        role=JOIN,
        name=wish.join_nodes,
        nodes=wish.join_nodes,
        uses=wish.join_uses,
        now_ns=now_ns,
        expires_ns=expires_ns,
    )
    return [Secret(role=JOIN, name=token.name, id=token.id, secret=secret), *made]


def _made(book: AccessBook, role: str, name: str, now_ns: int) -> Secret:
    token, secret = book.add_token(role=role, name=name, now_ns=now_ns)
    return Secret(role=role, name=name, id=token.id, secret=secret)
