"""Identifiers: numbers below 2^53 (JavaScript reads them exactly), from database sequences that start where people expect."""

from typing import Any

from django.db import migrations


def start_sequence(table: str, first: int, column: str = "id") -> migrations.RunSQL:
    """A migration step: the next value of an identity column is ``first``."""
    return migrations.RunSQL(
        f'ALTER TABLE "{table}" ALTER COLUMN "{column}" RESTART WITH {first}', migrations.RunSQL.noop
    )


def create_sequence(name: str, first: int) -> migrations.RunSQL:
    """A migration step: a sequence of its own, for numbers that are no primary key."""
    return migrations.RunSQL(f'CREATE SEQUENCE "{name}" START {first}', f'DROP SEQUENCE "{name}"')


def next_value(name: str, count: int = 1) -> list[Any]:
    """Take ``count`` numbers from a sequence."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(%s) FROM generate_series(1, %s)", [name, count])
        return [row[0] for row in cursor.fetchall()]
