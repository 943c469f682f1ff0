"""The database of a cluster: connections to it, and its faults in our own terms."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import psycopg
import psycopg_pool
from psycopg import errors

from stemwatch.codes import Code
from stemwatch.errors import ConfigFault, StemwatchError
from stemwatch.server.work.records import Unavailable

_URL = re.compile(
    r"postgres(?:ql)?://(?:[^@/?#\s:]*(?::[^@/?#\s:]*)?@)?([^@/?#\s]*)(?:/[^@/?#\s]*)?(?:\?[^#\s]*)?"
)
_HOST = re.compile(r"(?:[\w.%-]*|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?", re.ASCII)
PATIENCE = 3.0  # seconds to wait for a connection
# A database whose machine has gone says nothing: without these, a call would wait for minutes.
CONNECTION: dict[str, Any] = {
    "application_name": "stemwatch",
    # Where the database declares no encoding (SQL_ASCII), texts would else come as bytes.
    "client_encoding": "utf8",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
AWAY = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg_pool.PoolTimeout,
    # The database ended a transaction that stood still, as with a process that was stopped amid it.
    errors.IdleInTransactionSessionTimeout,
    errors.TransactionTimeout,
)
# What stands while the database answers; a person must mend it.
STANDS: Sequence[tuple[type[psycopg.Error], str]] = (
    (errors.InsufficientPrivilege, "give its account the right, or make it the database's owner"),
    (errors.ReadOnlySqlTransaction, "it only reads: the URL must name the one that is written to"),
    (errors.UndefinedTable, "run `stemwatch queue init`"),
    (errors.UndefinedColumn, "run `stemwatch queue init` of this version"),
    (errors.UndefinedFunction, "run `stemwatch queue init` of this version"),
)
Connection = psycopg.AsyncConnection[Any]


def well_formed(url: str) -> bool:
    """Strict: from a password with a stray @ or / in it, libpq's messages would show a part."""
    found = _URL.fullmatch(url)
    return found is not None and all(_HOST.fullmatch(one) for one in found[1].split(","))


class Database:
    """Connections to the database `url`; `place` says in messages where that was given."""

    def __init__(self, url: str, place: str, *, most: int = 4) -> None:
        self.place = place
        self._url = url
        self.pool: psycopg_pool.AsyncConnectionPool[Connection] = psycopg_pool.AsyncConnectionPool(
            url,
            kwargs=CONNECTION,
            min_size=1,
            max_size=most,
            timeout=PATIENCE,
            # Its waits double; after a long outage, the next one would be as long as that was.
            reconnect_timeout=PATIENCE,
            open=False,
            # A connection that a restart of the database cut off is replaced, not handed out.
            check=psycopg_pool.AsyncConnectionPool.check_connection,
        )

    async def open(self, *, tables: bool = True) -> None:
        """Connect; `tables`: they must be there.

        Raises ConfigFault for what a person must mend, StemwatchError where nothing answers.
        """
        try:
            async with await self.connect() as connection:
                found = await one(connection, "select to_regclass('stemwatch_song') is not null")
        except psycopg.ProgrammingError:  # its text may show the URL
            raise ConfigFault(f"{self.place} holds a URL that can't be understood.") from None
        except psycopg.OperationalError as fault:
            raise self._explained(fault) from None
        if tables and not (found and found[0]):
            raise ConfigFault(
                f"The database of {self.place} has no tables of stemwatch.",
                hint="Make them: `stemwatch queue init`, with the same --queue-url-file.",
            )
        await self.pool.open()

    async def close(self) -> None:
        await self.pool.close(timeout=1.0)

    async def connect(self) -> Connection:
        """A connection outside the pool, each statement its own transaction."""
        return await psycopg.AsyncConnection.connect(self._url, autocommit=True, **CONNECTION)

    async def heard(self, channel: str, news: Callable[[], None]) -> None:
        """Call `news` at each notification, until the connection is lost; then Unavailable."""
        try:
            async with await self.connect() as connection:
                await connection.execute(f'listen "{channel}"')
                news()  # of what came before we listened
                async for _ in connection.notifies():
                    news()
        except AWAY as fault:
            raise Unavailable(f"The queue's database does not answer: {_first(fault)}.") from fault

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection whose changes are committed together at the end. Raises Unavailable."""
        try:
            async with self.pool.connection() as connection:
                yield connection
        except AWAY as fault:
            raise Unavailable(f"The queue's database does not answer: {_first(fault)}.") from fault
        except tuple(kind for kind, _ in STANDS) as fault:
            mend = next(words for kind, words in STANDS if isinstance(fault, kind))
            raise Unavailable(
                f"The database of {self.place} refuses: {_first(fault)}; {mend}."
            ) from fault

    @contextlib.asynccontextmanager
    async def alone(self, lock: int) -> AsyncIterator[bool]:
        """Whether this process alone has the `lock`, for as long as this is open; else at once no.

        No transaction stands open meanwhile: the database would end one that does nothing, and
        keep what others delete for as long. Raises Unavailable.
        """
        try:
            async with await self.connect() as connection:
                held = await one(connection, "select pg_try_advisory_lock(%s)", lock)
                yield held is not None and held[0]
        except AWAY as fault:
            raise Unavailable(f"The queue's database does not answer: {_first(fault)}.") from fault

    def _explained(self, fault: psycopg.OperationalError) -> StemwatchError:
        sentence = f"The database of {self.place} can't be used: {_first(fault)}."
        if any(words in str(fault) for words in ("too many", "connection slots")):
            hint = "Raise its max_connections; docs/cluster.md says how many each process takes."
            return StemwatchError(sentence, hint=hint, code=Code.SERVER)
        refused = ("authentication", "does not exist", "no pg_hba.conf", "no password")
        if any(words in str(fault) for words in refused):
            return ConfigFault(sentence, hint="Correct the URL in that place.")
        return StemwatchError(sentence, code=Code.SERVER)


async def one(connection: Connection, query: str, *values: Any) -> tuple[Any, ...] | None:
    """The first row of an answer; None if it has none."""
    cursor = await connection.execute(query, values)
    row: tuple[Any, ...] | None = await cursor.fetchone()
    return row


def _first(fault: BaseException) -> str:
    lines = str(fault).strip().splitlines()
    return (lines[0] if lines else type(fault).__name__).rstrip(".")
