"""Hand-written statements of the hot paths: bound and prepared by the server, so that it plans them once a connection."""

from collections.abc import Mapping
from typing import Any

import psycopg
from django.db import connection


def rows(statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a statement on Django's connection, in its transaction; the rows it returns.

    Arguments need an explicit type where the server cannot infer one (``%(ids)s::bigint[]``). Errors are Django's.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors:
        cursor = psycopg.Cursor(connection.connection)
        cursor.execute(statement, values, prepare=True)  # type: ignore[arg-type]  # trusted text, made from constants
        return cursor.fetchall() if cursor.description else []
