"""Tokens, issued certificates and the deny list on disk. It checks no call and signs nothing."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, RowMapping, Select, delete, select, update
from sqlalchemy.exc import SQLAlchemyError

from ringwatch_collector.store.database import Database
from ringwatch_collector.store.engine import insert_new, writing
from ringwatch_collector.store.tables import CERTIFICATES, DENIED, TOKENS
from ringwatch_proto.errors import StoreError

T = TypeVar("T")

JOIN: Final = "join"
ANY_NUMBER: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is kept of a token; its secret is not. ``expires_ns`` is 0 for never."""

    id: str
    digest: str
    role: str
    name: str
    nodes: str
    uses_left: int
    created_ns: int
    expires_ns: int

    def is_valid(self, now_ns: int) -> bool:
        """Return whether it has neither expired nor been used up."""
        return self.uses_left != 0 and (not self.expires_ns or now_ns < self.expires_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate that was issued to a node."""

    serial: str
    node: str
    issued_ns: int
    expires_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything in the book at one time."""

    tokens: Mapping[str, Token]
    denied: frozenset[str]
    # Whether a person was ever given a token, revoked or not.
    had_people: bool
    # When the last certificate of a node expires that is not denied.
    good_until_ns: Mapping[str, int]


def digest_of_secret(secret: str) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_secret(role: str) -> str:
    """Return a secret of 256 random bits; its prefix lets scanners find it where it leaked."""
    return f"rw-{role}-{secrets.token_hex(32)}"


class AccessBook:
    """Reads and writes the book, each in one transaction; any process beside a running collector may."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_token(
        self,
        *,
        role: str,
        name: str,
        now_ns: int,
        expires_ns: int = 0,
        nodes: str = "",
        uses: int = ANY_NUMBER,
    ) -> tuple[Token, str]:
        """Make a token and return it with its secret, which is nowhere else."""
        secret = new_secret(role)
        digest = digest_of_secret(secret)
        token = Token(
            id=digest[:12],
            digest=digest,
            role=role,
            name=name,
            nodes=nodes,
            uses_left=uses,
            created_ns=now_ns,
            expires_ns=expires_ns,
        )
        values = asdict(token)
        self._run(lambda connection: connection.execute(TOKENS.insert().values(values)))
        return token, secret

    def tokens(self) -> list[Token]:
        """Return every token that was not deleted, oldest first."""
        rows = self._read(select(TOKENS).order_by(TOKENS.c.created_ns))
        return [Token(**{str(key): value for key, value in row.items()}) for row in rows]

    def use(self, token: Token) -> bool:
        """Count one use of a join token; return False when there is none left. Two at once get one."""
        if token.uses_left == ANY_NUMBER:
            return True
        fewer = (
            update(TOKENS)
            .where(TOKENS.c.id == token.id, TOKENS.c.uses_left > 0)
            .values(uses_left=TOKENS.c.uses_left - 1)
        )
        return bool(self._run(lambda connection: connection.execute(fewer).rowcount))

    def note_certificate(self, issued: Issued) -> None:
        """Remember a certificate, before it is handed out; drop those of the node that have expired."""
        row = asdict(issued)
        old = delete(CERTIFICATES).where(
            CERTIFICATES.c.node == issued.node, CERTIFICATES.c.expires_ns < issued.issued_ns
        )

        def both(connection: Connection) -> None:
            connection.execute(old)
            connection.execute(CERTIFICATES.insert().values(row))

        self._run(both)

    def certificates(self, node: str = "") -> list[Issued]:
        """Return the certificates that were issued, of one node or of all."""
        query = select(CERTIFICATES).order_by(CERTIFICATES.c.node, CERTIFICATES.c.issued_ns)
        if node:
            query = query.where(CERTIFICATES.c.node == node)
        return [Issued(**{str(key): value for key, value in row.items()}) for row in self._read(query)]

    def deny(self, credentials: Sequence[str], by: str, now_ns: int) -> None:
        """Put credentials on the deny list; those that are on it stay."""
        rows = [{"credential": each, "denied_ns": now_ns, "by": by} for each in credentials]
        if rows:
            self._run(lambda connection: connection.execute(insert_new(self._database.engine, DENIED), rows))

    def page(self) -> Page:
        """Return everything, for a collector that keeps it at hand."""
        denied = frozenset(row["credential"] for row in self._read(select(DENIED.c.credential)))
        good: dict[str, int] = {}
        for issued in self.certificates():
            if issued.serial not in denied:
                good[issued.node] = max(good.get(issued.node, 0), issued.expires_ns)
        every = self.tokens()
        return Page(
            tokens={token.digest: token for token in every if token.id not in denied},
            denied=denied,
            had_people=any(token.role != JOIN for token in every),
            good_until_ns=good,
        )

    def _read(self, query: Select[Any]) -> Sequence[RowMapping]:
        try:
            with self._database.reading() as connection:
                return connection.execute(query).mappings().all()
        except SQLAlchemyError as error:
            raise StoreError(f"cannot read who may talk to the collector: {error}") from error

    def _run(self, work: Callable[[Connection], T]) -> T:
        try:
            with writing(self._database.engine) as connection:
                return work(connection)
        except SQLAlchemyError as error:
            raise StoreError(f"cannot write who may talk to the collector: {error}") from error
