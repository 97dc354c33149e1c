"""What a trigger call leaves behind, and what it costs."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from opscenter.base import clock, heartbeat, sql
from opscenter.base.models import Process
from opscenter.base.reasons import Refused, say
from opscenter.engine import due
from opscenter.operations.actor import Actor
from opscenter.operations.trigger import trigger
from opscenter.production import capacity
from opscenter.production.models import TaskInstance, TriggerCommand
from opscenter.production.rules.states import State
from opscenter.workspaces.models import AuditEntry
from tests.cast import MIDNIGHT, Cast

pytestmark = pytest.mark.django_db
Status = TriggerCommand.Status
MOST_STATEMENTS = 17
"""Of a call that fires and makes one downstream instance ready."""


@pytest.fixture
def cast() -> Cast:
    worker = heartbeat.register(Process.Kind.WORKER, {"groups": None, "children": 1})
    Process.objects.filter(pk=worker.pk).update(seen_at=clock.now() + timedelta(hours=1))
    return Cast()


@pytest.fixture
def gate(cast: Cast) -> TaskInstance:
    """A trigger that waits for its call, with a shell instance behind it."""
    made = cast.instance(cast.task("gate", "http_trigger"), State.WAIT_TRIGGER)
    cast.instance(cast.task("then"), State.NOT_RUN, upstream=[made])
    return made


def call(cast: Cast, gate: TaskInstance) -> TriggerCommand:
    actor = Actor(cast.operator, AuditEntry.Face.API)
    return trigger(actor, task_number=gate.task.number, scheduled_at=gate.scheduled_at)


def outcomes() -> list[tuple[str, str]]:
    trail = AuditEntry.objects.filter(action="instance.trigger").order_by("pk")
    return [(entry.params["outcome"], entry.params["reason"]) for entry in trail]


def test_the_trail_tells_the_outcome_that_the_receipt_has(cast: Cast, gate: TaskInstance) -> None:
    TaskInstance.objects.filter(pk=gate.pk).update(unmet=1, state=State.NOT_RUN)
    assert call(cast, gate).status == Status.HELD
    TriggerCommand.objects.update(status=Status.EXPIRED)
    TaskInstance.objects.filter(pk=gate.pk).update(unmet=0, state=State.WAIT_TRIGGER)
    fired = call(cast, gate)
    assert (fired.status, fired.settled_at, fired.held_until) == (Status.FIRED, fired.received_at, None)
    assert call(cast, gate).status == Status.NO_EFFECT
    TaskInstance.objects.filter(pk=gate.pk).update(state=State.FAILURE)
    with pytest.raises(Refused):
        call(cast, gate)
    assert outcomes() == [
        ("held", "trigger.held"),
        ("fired", "trigger.fired"),
        ("no_effect", "trigger.already_triggered"),
        ("refused", "trigger.stopped"),
    ]


def test_a_call_whose_time_has_come_fires_although_the_scheduler_was_not_there_yet(
    cast: Cast, gate: TaskInstance
) -> None:
    TaskInstance.objects.filter(pk=gate.pk).update(state=State.WAIT_TIME, due_at=gate.not_before)
    assert call(cast, gate).status == Status.FIRED
    gate.refresh_from_db()
    assert (gate.state, gate.due_at) == (State.SUCCESS, None)


def test_a_held_command_that_nobody_has_swept_makes_room(cast: Cast, gate: TaskInstance) -> None:
    TaskInstance.objects.filter(pk=gate.pk).update(unmet=1, state=State.NOT_RUN)
    first = call(cast, gate)
    TriggerCommand.objects.update(held_until=MIDNIGHT)
    second = call(cast, gate)
    first.refresh_from_db()
    assert (first.status, first.settled_at, second.status) == (Status.EXPIRED, second.received_at, Status.HELD)


def test_an_expired_command_says_when(cast: Cast, gate: TaskInstance) -> None:
    Process.objects.all().delete()
    call(cast, gate)
    TriggerCommand.objects.update(held_until=MIDNIGHT)
    due.run_expired_commands()
    gate.refresh_from_db()
    assert gate.reason is not None
    assert (gate.state, gate.reason["code"]) == (State.WAIT_TRIGGER, "trigger.expired")
    assert "expired on 2026-11-21 00:00:00 UTC" in say(gate.reason["code"], gate.reason["params"])


def test_a_call_that_fires_reads_the_clock_and_the_capacity_once(
    cast: Cast, gate: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    asked: list[Collection[int]] = []
    rows, usage = sql.rows, capacity.usage

    def counted_rows(statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        written.append(statement)
        return rows(statement, values)

    def counted_usage(groups: Collection[int]) -> dict[int, capacity.Usage]:
        asked.append(groups)
        return usage(groups)

    monkeypatch.setattr(sql, "rows", counted_rows)
    monkeypatch.setattr(capacity, "usage", counted_usage)
    with CaptureQueriesContext(connection) as captured:
        assert call(cast, gate).status == Status.FIRED
    sent = [query["sql"] for query in captured.captured_queries]
    assert sum(statement == f"SELECT {clock.DB_NOW_SQL}" for statement in sent) == 1
    assert len(asked) == 1
    statements = [*written, *(one for one in sent if "SAVEPOINT" not in one)]
    assert len(statements) <= MOST_STATEMENTS, "\n".join(statements)
