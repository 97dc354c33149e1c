"""Row locks of the engine, always in the order of ids so that two transactions never wait for each other in a ring."""

import functools
import time
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection, transaction

from opscenter.base import sql
from opscenter.production.rules.states import State

P = ParamSpec("P")
R = TypeVar("R")
_CONFLICTS = {"40P01", "40001"}  # deadlock detected, serialization failure
_TRIES = 6


def lock_with_downstream(ids: Sequence[int]) -> None:
    """Lock instances and everything directly downstream of them, in one statement (DESIGN.md 4)."""
    sql.rows(
        """SELECT i.id FROM production_taskinstance i
           WHERE i.id IN (SELECT unnest(%(ids)s::bigint[]) UNION SELECT downstream_id FROM production_instanceedge
                          WHERE upstream_id = ANY(%(ids)s::bigint[]))
           ORDER BY i.id FOR NO KEY UPDATE""",
        {"ids": list(ids)},
    )


def lock_instances(ids: Sequence[int]) -> None:
    """Lock just these instances."""
    sql.rows(
        "SELECT id FROM production_taskinstance WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id FOR NO KEY UPDATE",
        {"ids": list(ids)},
    )


def hold_open_instances(ids: Sequence[int]) -> None:
    """Keep those of these instances that have not succeeded from changing until the transaction ends; others may read
    them so at the same time."""
    sql.rows(
        f"""SELECT id FROM production_taskinstance WHERE id = ANY(%(ids)s::bigint[]) AND state <> {State.SUCCESS.value}
            ORDER BY id FOR SHARE""",
        {"ids": list(ids)},
    )


def repeated(function: Callable[P, R]) -> Callable[P, R]:
    """Run the function as one transaction, the whole of it again when the database reports a deadlock or a
    serialization failure."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        for left in reversed(range(_TRIES)):
            try:
                with transaction.atomic():
                    return function(*args, **kwargs)
            except OperationalError as error:
                state = getattr(error.__cause__, "sqlstate", None)
                if state not in _CONFLICTS or not left or connection.in_atomic_block:
                    raise
                time.sleep(0.01 * (_TRIES - left))
        raise AssertionError("unreachable")

    return run
