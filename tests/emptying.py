"""Takes away what a test has committed.

Django's flush truncates every table after each such test, which makes hundreds of new files, and then looks for permissions to
make again. Here only tables with rows are emptied, and what the migrations' end makes stays.
"""

from django.apps import apps
from django.db import connections, transaction
from django.test import TransactionTestCase

_MANY = 2000
"""Rows from which on truncating is faster: a deleted row is looked for in each table that may refer to it."""
_KEPT = ("contenttypes.ContentType", "auth.Permission")


def empty(alias: str) -> None:
    """Leave no row in any table of a model, but for content types and permissions."""
    connection = connections[alias]
    kept = {apps.get_model(label)._meta.db_table for label in _KEPT}
    tables = set(connection.introspection.django_table_names(only_existing=True, include_views=False)) - kept
    quote = connection.ops.quote_name
    looks = [f"SELECT '{name}', (SELECT count(*) FROM (SELECT 1 FROM {quote(name)} LIMIT {_MANY}))" for name in tables]
    with transaction.atomic(alias), connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(looks))
        rows = {name: count for name, count in cursor.fetchall() if count}
        if any(count == _MANY for count in rows.values()):
            cursor.execute(f"TRUNCATE {', '.join(map(quote, rows))} CASCADE")
        else:  # in any order: foreign keys are looked at when the transaction ends
            for name in rows:
                cursor.execute(f"DELETE FROM {quote(name)}")


def _after_each(case: TransactionTestCase) -> None:
    for alias in case._databases_names(include_mirrors=False):  # type: ignore[attr-defined]
        empty(alias)


def install() -> None:
    """From now on this is what follows a test that commits."""
    TransactionTestCase._fixture_teardown = _after_each  # type: ignore[attr-defined]
