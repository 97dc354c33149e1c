"""A process is killed while it settles an operation: all of it is there afterwards, or nothing."""

from collections.abc import Callable

import pytest
from django.db import connection, transaction

from extensions.models import Check
from opscenter.operations.models import Operation
from opscenter.production.models import Task
from opscenter.workspaces.models import AuditEntry
from tests.operations.answerer import answering
from tests.operations.at_once import no_other_connection_is_busy, wait_until_blocked
from tests.operations.guarded import OPEN, Guarded, check_of, frozen, say, status_of, told, trail

pytestmark = pytest.mark.django_db(transaction=True)


def the_operation() -> None:
    """Stopped before anything was written."""
    Operation.objects.select_for_update().get()


def the_task() -> None:
    """Stopped when the verdict was written and the task not yet."""
    Task.objects.select_for_update().get()


def the_audit_trail() -> None:
    """Stopped when everything was written but the last row."""
    with connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {AuditEntry._meta.db_table} IN SHARE ROW EXCLUSIVE MODE")


@pytest.mark.parametrize(
    ("verdict", "holds"),
    [
        ("OK", the_operation),
        ("OK", the_task),
        ("OK", the_audit_trail),
        ("FAIL", the_operation),
        ("FAIL", the_audit_trail),
    ],
)
def test_killed_while_it_settles(verdict: str, holds: Callable[[], None]) -> None:
    cast = Guarded()
    cast.extension()
    task = cast.task()
    operation = cast.freeze(task)
    before = Check.objects.values().get(), AuditEntry.objects.count()
    with transaction.atomic():
        holds()
        with answering(check_of(operation), verdict):
            wait_until_blocked()
    no_other_connection_is_busy()
    assert (Check.objects.values().get(), AuditEntry.objects.count()) == before
    assert (status_of(operation), told(operation), frozen(task)) == ("checking", {task.pk: OPEN}, [False])
    say(check_of(operation), verdict)
    ends = {"OK": ("applied", "task.freeze"), "FAIL": ("blocked", "operation.block")}[verdict]
    assert status_of(operation) == ends[0]
    assert [action for action, _ in trail(operation)] == ["operation.ask", ends[1]]
    assert frozen(task) == [verdict == "OK"]


def test_killed_after_it_was_told_is_all_there() -> None:
    cast = Guarded()
    cast.extension()
    task = cast.task()
    operation = cast.freeze(task)
    with answering(check_of(operation), "OK") as process:
        assert process.wait(60) == 0
    assert (status_of(operation), frozen(task), check_of(operation).words) == ("applied", [True], "said in time")
    assert say(check_of(operation), "OK").words == "said in time", "who did not hear it may say it again"
    assert [action for action, _ in trail(operation)] == ["operation.ask", "task.freeze"]
