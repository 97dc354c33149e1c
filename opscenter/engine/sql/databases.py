"""Databases that SQL nodes run on: connected to through SQLAlchemy, one statement at a time, each its own transaction
unless the script says BEGIN. However many rows there are, only the first are kept."""

import contextlib
import select
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg
import sqlalchemy as sa
from psycopg import pq
from psycopg.pq import DiagnosticField, ExecStatus, TransactionStatus
from sqlalchemy.exc import SQLAlchemyError

from opscenter.engine.sql.preview import ROWS
from opscenter.engine.sql.target import SQLITE, Own, Target

CONNECT_WITHIN = 10
"""Seconds."""
_CHUNK = 1000
_LOCKED_FOR = 30.0  # seconds that a SQLite database may be another's
_REACHING_FILES = ("pg_read_server_files", "pg_write_server_files", "pg_execute_server_program")
_ALIVE = "500ms"  # how often a server looks, while it works, whether we are still there


class CannotConnect(Exception):
    """The database does not let us in; the message is its own."""


class OwnDatabase(CannotConnect):
    """The data source is Opscenter's own database, or could get at it."""


class StatementFailed(Exception):
    """A statement was refused.

    Attributes:
        offset: of the character that the database points at; None when it points at none.
        more: what it says besides, each a line.
    """

    def __init__(self, message: str, offset: int | None = None, more: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.offset = offset
        self.more = tuple(more)


@dataclass
class Result:
    """What a statement did.

    Attributes:
        tag: what kind of statement it was, in the database's words; empty when it has none.
        count: rows returned or changed; None where that makes no sense.
        columns: names; None for a statement that returns no rows.
        rows: the first ones, as text.
    """

    tag: str
    count: int | None
    columns: list[str] | None
    rows: list[list[str | None]]


class Database(Protocol):
    """A connection to a database."""

    server: str
    """Its product and version."""

    def run(self, statement: str) -> Result:
        """Execute one statement; raises StatementFailed."""

    def cancel(self) -> None:
        """End the statement that runs; called from another thread."""

    @property
    def in_transaction(self) -> bool:
        """Whether the script began a transaction that it has not ended."""


def connect(target: Target, notice: "Notice") -> Database:
    """Connect to a data source.

    Raises:
        CannotConnect: with the words of the driver, or because it is Opscenter's own.
    """
    try:
        return SQLite(target) if target.type == SQLITE else PostgreSQL(target, notice)
    except SQLAlchemyError as error:
        raise CannotConnect(_words(error)) from None
    except psycopg.Error as error:
        raise CannotConnect(str(error).strip()) from None


class Notice(Protocol):
    def __call__(self, text: str, /) -> None:
        """Take what the server says beside its answers."""


def _words(error: SQLAlchemyError) -> str:
    """The driver's own words, without SQLAlchemy's around them."""
    return str(getattr(error, "orig", None) or error).strip()


def _opened(url: sa.URL, **options: Any) -> sa.Connection:
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT", **options)
    return engine.connect()


class SQLite:
    """A file; the database is in this process."""

    def __init__(self, target: Target) -> None:
        self._connection = _opened(sa.URL.create("sqlite", database=target.path), connect_args={"timeout": _LOCKED_FOR})
        driver = self._connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        self._driver = driver
        self._driver.set_authorizer(_allow)
        self._connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema")  # is it a database at all?
        self.server = f"SQLite {sqlite3.sqlite_version}"

    def run(self, statement: str) -> Result:
        """Execute one statement; raises StatementFailed."""
        try:
            result = self._connection.exec_driver_sql(statement)
            if not result.returns_rows:
                return Result("", result.rowcount if result.rowcount >= 0 else None, None, [])
            columns = list(result.keys())
            rows = [[_text(value) for value in row] for row in result.fetchmany(ROWS)]
            count = len(rows)
            while more := result.fetchmany(_CHUNK):
                count += len(more)
        except SQLAlchemyError as error:
            raise StatementFailed(_words(error)) from None
        return Result("", count, columns, rows)

    def cancel(self) -> None:
        """End the statement that runs."""
        self._driver.interrupt()

    @property
    def in_transaction(self) -> bool:
        """Whether the script began a transaction that it has not ended."""
        return self._driver.in_transaction


def _allow(action: int, first: str | None, *rest: str | None) -> int:
    """A script stays in its own file: it attaches no other, but the empty ones that VACUUM makes."""
    if action == sqlite3.SQLITE_ATTACH and first not in ("", ":memory:"):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return "\\x" + value.hex() if isinstance(value, bytes) else str(value)


class PostgreSQL:
    """A PostgreSQL server, 10 or newer. Results are read as they come, in the server's own text."""

    def __init__(self, target: Target, notice: Notice) -> None:
        options = {
            "connect_timeout": CONNECT_WITHIN,
            "application_name": target.program,
            "client_encoding": "utf8",
            "sslmode": target.sslmode,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            # nothing that lies about on this host: no tickets, no certificates, no password files
            "gssencmode": "disable",
            "sslcertmode": "disable",
            "passfile": "/dev/null",
        }
        url = sa.URL.create(
            "postgresql+psycopg",
            username=target.username,
            password=target.password or None,
            port=target.port,
            database=target.database,
        )
        self._connection = _opened(url, connect_args={"host": target.host, **options}, use_native_hstore=False)
        driver = self._connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        self._driver: psycopg.Connection[Any] = driver
        self._pg = driver.pgconn
        if target.own is not None and self._is_own(target.own):
            raise OwnDatabase
        driver.add_notice_handler(lambda said: notice(f"{said.severity}: {said.message_primary}"))
        with contextlib.suppress(psycopg.Error):  # before PostgreSQL 14 there is no such setting
            driver.execute(f"SET client_connection_check_interval = '{_ALIVE}'")
        version = self._pg.server_version
        self.server = f"PostgreSQL {version // 10000}.{version % 10000}"

    def _is_own(self, own: Own) -> bool:
        """Whether this is Opscenter's own database, or its server seen by a role that could get at it."""
        try:
            (system,) = self._driver.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone() or (
                "",
            )
        except psycopg.Error:  # what has no identifier is no server of ours
            return False
        if system != own.system:
            return False
        found = self._driver.execute(
            """SELECT d.oid = %(database)s OR r.rolsuper OR bool_or(pg_has_role(r.oid, o.oid, 'MEMBER'))
               FROM pg_database d, pg_roles r, pg_roles o
               WHERE d.datname = current_database() AND r.rolname = session_user AND o.rolname = ANY(%(roles)s)
               GROUP BY d.oid, r.rolsuper""",
            {"database": own.database, "roles": [own.role, *_REACHING_FILES]},
        ).fetchone()
        return found is None or bool(found[0])

    def run(self, statement: str) -> Result:
        """Execute one statement; raises StatementFailed."""
        try:
            return self._run(statement)
        except psycopg.Error as error:  # the connection broke
            raise StatementFailed(str(error).strip()) from None

    def _run(self, statement: str) -> Result:
        self._pg.send_query(statement.encode())
        self._pg.set_chunked_rows_mode(_CHUNK)
        self._flush()
        result = Result("", None, None, [])
        failed: StatementFailed | None = None
        while (answer := self._next()) is not None:
            if answer.status in (ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH):
                raise StatementFailed("COPY from STDIN and to STDOUT has nobody at its other end in a SQL node.")
            if answer.status in (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE):
                failed = failed or _failure(answer)
            else:
                _take(answer, result)
        if failed is not None:
            raise failed
        return result

    def _flush(self) -> None:
        while self._pg.flush():
            readable, _writable, _ = select.select([self._pg.socket], [self._pg.socket], [])
            if readable:
                self._pg.consume_input()

    def _next(self) -> pq.abc.PGresult | None:
        """The next part of the answer. Waits where Python hears of signals, which libpq itself does not."""
        while self._pg.is_busy():
            select.select([self._pg.socket], [], [])
            try:
                self._pg.consume_input()
            except psycopg.OperationalError:  # the connection broke; why is in what is left of the answer
                break
        return self._pg.get_result()

    def cancel(self) -> None:
        """End the statement that runs, on the server."""
        self._driver.cancel_safe(timeout=1.0)

    @property
    def in_transaction(self) -> bool:
        """Whether the script began a transaction that it has not ended."""
        return self._pg.transaction_status != TransactionStatus.IDLE


def _take(answer: pq.abc.PGresult, result: Result) -> None:
    """Add a part of the answer to the result."""
    if answer.status in (ExecStatus.TUPLES_OK, ExecStatus.TUPLES_CHUNK, ExecStatus.SINGLE_TUPLE):
        if result.columns is None:
            result.columns = [(answer.fname(n) or b"").decode(errors="replace") for n in range(answer.nfields)]
        for row in range(min(answer.ntuples, ROWS - len(result.rows))):
            values = (answer.get_value(row, column) for column in range(answer.nfields))
            result.rows.append([None if value is None else value.decode(errors="replace") for value in values])
        result.count = (result.count or 0) + answer.ntuples
    if answer.command_status:
        words = answer.command_status.decode().split()
        numbers = [word for word in words if word.isdigit()]
        result.tag = " ".join(word for word in words if not word.isdigit())
        if numbers and result.columns is None:
            result.count = int(numbers[-1])


def _failure(answer: pq.abc.PGresult) -> StatementFailed:
    def said(name: DiagnosticField) -> str:
        return (answer.error_field(name) or b"").decode(errors="replace")

    message = said(DiagnosticField.MESSAGE_PRIMARY) or (answer.error_message or b"").decode(errors="replace").strip()
    state = said(DiagnosticField.SQLSTATE)
    severity = said(DiagnosticField.SEVERITY)
    position = said(DiagnosticField.STATEMENT_POSITION)
    more = [
        f"{label}: {text}"
        for label, text in (
            ("DETAIL", said(DiagnosticField.MESSAGE_DETAIL)),
            ("HINT", said(DiagnosticField.MESSAGE_HINT)),
            ("CONTEXT", said(DiagnosticField.CONTEXT)),
        )
        if text
    ]
    whole = f"{severity}: {message} ({state})" if severity and state else message
    return StatementFailed(whole, int(position) - 1 if position.isdigit() else None, more)


def taken(since: float) -> str:
    """How long it took since a moment of ``time.monotonic``."""
    seconds = time.monotonic() - since
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
