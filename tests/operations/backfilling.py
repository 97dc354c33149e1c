"""Backfills asked for on the guarded cast, and what they made."""

from datetime import date, datetime, timedelta
from typing import Any

from opscenter.engine import advance, due
from opscenter.operations import backfills
from opscenter.operations.backfill_request import BackfillRequest
from opscenter.operations.models import Operation
from opscenter.production.models import Backfill, InstanceEdge, Task, TaskInstance
from opscenter.production.rules.backfill import DateRange, Mode
from opscenter.production.rules.states import Kind, State
from opscenter.workspaces.models import User
from tests.operations.guarded import Guarded

FIRST = date(2026, 11, 1)


def days(count: int, first: date = FIRST) -> tuple[DateRange, ...]:
    """So many business dates in a row."""
    return (DateRange(first, first + timedelta(days=count - 1)),)


def request(*roots: Task, count: int = 1, **how: Any) -> BackfillRequest:
    """A backfill of tasks for the first days of November 2026; tasks may be given as such wherever numbers are."""
    for name in ("include", "exclude"):
        how[name] = tuple(task.number for task in how.get(name, ()))
    how.setdefault("mode", Mode.CURRENT)
    how.setdefault("ranges", days(count))
    return BackfillRequest(roots=tuple(task.number for task in roots), **how)


def backfill(cast: Guarded, *roots: Task, by: User | None = None, environment: str = "Prod", **how: Any) -> Backfill:
    """Ask for a backfill; the job as it is then."""
    return backfills.job_of(asked(cast, *roots, by=by, environment=environment, **how))


def asked(cast: Guarded, *roots: Task, by: User | None = None, environment: str = "Prod", **how: Any) -> Operation:
    door = {name: how.pop(name) for name in ("fingerprint", "comment", "client_token") if name in how}
    return backfills.ask(cast.actor(by), cast.workspace, environment, request(*roots, **how), **door)


def instances(job: Backfill) -> list[TaskInstance]:
    """Of the whole job, without its turns, by business date, time and name."""
    turns = job.dates.exclude(turn=None).values("turn")
    found = TaskInstance.objects.filter(workflow_instance__backfill_date__backfill=job).exclude(pk__in=turns)
    return list(found.select_related("task").order_by("bizdate", "scheduled_at", "task__name"))


def states(job: Backfill) -> dict[tuple[date, str], str]:
    """The state of each instance of daily tasks."""
    return {(one.bizdate, one.task.name): State(one.state).name for one in instances(job)}


def of_day(job: Backfill, day: date) -> dict[str, State]:
    return {one.task.name: State(one.state) for one in instances(job) if one.bizdate == day}


def kinds(job: Backfill) -> dict[str, Kind]:
    return {one.task.name: Kind(one.kind) for one in instances(job)}


def succeed(*found: TaskInstance) -> None:
    """They end well, and what waits for them goes on, as far as it needs no worker."""
    end(State.SUCCESS, *found)


def fail(*found: TaskInstance) -> None:
    end(State.FAILURE, *found)


def end(state: State, *found: TaskInstance) -> None:
    ids = [one.pk for one in found]
    advance.finish(ids, {State.WAIT_RESOURCE, State.RUNNING}, state)
    advance.drain()


def ready(job: Backfill) -> set[tuple[date, str]]:
    """What workers could start now."""
    return {
        (one.bizdate, one.task.name) for one in instances(job) if one.state == State.WAIT_RESOURCE and not one.frozen
    }


def get(job: Backfill, day: date, name: str) -> TaskInstance:
    (found,) = [one for one in instances(job) if one.bizdate == day and one.task.name == name]
    return found


def pass_by() -> datetime | None:
    """The scheduler looks at backfills once."""
    from opscenter.engine.backfill_watch import run_backfills

    at = run_backfills()
    due.run_due_instances()
    advance.drain()
    return at


def counted(job: Backfill) -> bool:
    """Whether every instance's count is that of its edges that are not met."""
    for one in TaskInstance.objects.filter(workflow_instance__backfill_date__backfill=job):
        if one.unmet != InstanceEdge.objects.filter(downstream=one, met=False).count():
            return False
    return True


def run_all(job: Backfill) -> list[tuple[date, str]]:
    """Let everything that can run succeed, one instance after the other; in which order that was."""
    order = []
    advance.drain()
    while waiting := [one for one in instances(job) if one.state == State.WAIT_RESOURCE and not one.frozen]:
        order.append((waiting[0].bizdate, waiting[0].task.name))
        succeed(waiting[0])
    return order
