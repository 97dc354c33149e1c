"""Hand-written statements of the hot paths."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg
from django.db import connection, connections

_prepares = False
_NEVER_BY_ITSELF = 1_000_000_000
"""Django switches preparing off; what it sends itself stays unprepared."""


def plan_once() -> None:
    """This process runs the engine: its statements are planned once a connection, and always by index.

    A plan that is kept must suit the table as it will be, not as it is: one made while the queue was short would read all
    of it, row by row, when it is long. All statements of the engine are written for an index, so everything else is ruled
    out. Call it before the first connection is opened.
    """
    global _prepares
    _prepares = True
    options = connections["default"].settings_dict.setdefault("OPTIONS", {})
    ruled_out = [f"-c enable_{way}=off" for way in ("seqscan", "hashjoin", "mergejoin")]
    options["prepare_threshold"] = _NEVER_BY_ITSELF
    kept = ["-c plan_cache_mode=force_generic_plan", "-c jit=off"]
    options["options"] = " ".join([options.get("options", ""), *ruled_out, *kept]).strip()


def rows(statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a statement on Django's connection, in its transaction; the rows it returns.

    Arguments are bound by the server and need an explicit type where it cannot infer one (``%(ids)s::bigint[]``).
    Errors are Django's.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors:
        cursor = psycopg.Cursor(connection.connection)
        cursor.execute(statement, values, prepare=_prepares)
        # not by cursor.description, which makes an object of each column only to be asked whether there are any
        return cursor.fetchall() if cursor.pgresult is not None and cursor.pgresult.nfields else []


def copy(table: str, columns: Sequence[str], values: Iterable[Sequence[Any]]) -> None:
    """Insert rows by COPY on Django's connection, in its transaction: many times as fast as by INSERT.

    Columns that are left out get the table's own defaults; Django's do not count here. Errors are Django's.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors:
        cursor = psycopg.Cursor(connection.connection)
        with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as into:
            for row in values:
                into.write_row(row)
