"""The one clock: the database's. Hosts differ, and what is compared with stored times must not."""

from datetime import datetime

from django.db import connection

DB_NOW_SQL = "clock_timestamp()"
"""The moment of evaluation, in SQL (``now()`` would be the transaction's start)."""


def now() -> datetime:
    """The moment, with its zone (UTC)."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {DB_NOW_SQL}")
        moment: datetime = cursor.fetchone()[0]
    return moment
