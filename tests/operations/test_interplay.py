"""What meets: jobs, extensions, operations that are judged together, backfills, manual runs, and roles of "own only"."""

import itertools
from datetime import timedelta
from typing import Any

import pytest

from opscenter.base import clock
from opscenter.base.reasons import Refused
from opscenter.operations import bulk, checked, jobs
from opscenter.operations.models import Operation
from opscenter.production.models import Task, TaskDependency, TaskInstance
from opscenter.production.rules.backfill import DateRange, Mode
from opscenter.production.rules.states import State
from tests.operations.backfilling import backfill, instances
from tests.operations.guarded import Guarded, check_of, say, status_of, told

pytestmark = pytest.mark.django_db


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MOST", 2)
    monkeypatch.setattr(jobs, "BATCH", 2)


def chain(cast: Guarded, count: int) -> list[Task]:
    """Tasks that wait for each other, the one that all wait for last."""
    tasks = [cast.task(f"t{number}") for number in range(count)]
    for down, up in itertools.pairwise(tasks):
        TaskDependency.objects.create(task=down, upstream=up, output=f"out{clock.now()}")
    return tasks


def undeploy_all(cast: Guarded, tasks: list[Task]) -> Operation:
    found = Task.objects.filter(pk__in=[task.pk for task in tasks])
    return bulk.apply_to_all("undeploy_task", cast.actor(), cast.workspace, "Prod", found, {"filter": ""})


def online(tasks: list[Task]) -> int:
    return Task.objects.filter(pk__in=[task.pk for task in tasks], status="Online").count()


# jobs that extensions are asked about


def test_a_subgraph_larger_than_a_batch_goes_together_when_extensions_agree(cast: Guarded, small: None) -> None:
    cast.extension(points=["undeploy-node"])
    tasks = chain(cast, 7)
    operation = undeploy_all(cast, tasks)
    assert operation.status == "checking"
    say(check_of(operation), "OK")
    assert status_of(operation) == "running" and online(tasks) == 7
    jobs.run(operation.pk)
    assert status_of(operation) == "applied" and online(tasks) == 0


def test_what_came_to_wait_for_it_meanwhile_keeps_it(cast: Guarded, small: None) -> None:
    cast.extension(points=["undeploy-node"])
    tasks = chain(cast, 4)
    operation = undeploy_all(cast, tasks)
    TaskDependency.objects.create(task=cast.task("late"), upstream=tasks[1], output=f"out{clock.now()}")
    say(check_of(operation), "OK")
    jobs.run(operation.pk)
    assert status_of(operation) == "partly"
    assert told(operation) == {
        tasks[0].pk: None,
        **dict.fromkeys((task.pk for task in tasks[1:]), "task.downstream"),
    }


def test_a_job_is_cancelled_while_extensions_are_asked(cast: Guarded, small: None) -> None:
    cast.extension(points=["undeploy-node"])
    tasks = chain(cast, 5)
    operation = undeploy_all(cast, tasks)
    with pytest.raises(Refused):
        jobs.cancel(cast.actor(), cast.workspace, operation.pk)
    checked.cancel(cast.actor(), cast.workspace, operation.pk)
    assert status_of(operation) == "cancelled" and online(tasks) == 5
    assert set(told(operation).values()) == {"operation.cancelled"}
    assert undeploy_all(cast, tasks).status == "checking", "it can be asked for again"


def test_a_job_is_cancelled_after_they_agreed(cast: Guarded, small: None) -> None:
    cast.extension(points=["undeploy-node"])
    tasks = chain(cast, 5)
    operation = undeploy_all(cast, tasks)
    say(check_of(operation), "OK")
    assert set(told(undeploy_all(cast, tasks)).values()) == {"operation.open_already"}
    jobs.cancel(cast.actor(), cast.workspace, operation.pk)
    jobs.run(operation.pk)
    assert status_of(operation) == "cancelled" and online(tasks) == 5
    assert set(told(operation).values()) == {"operation.stopped"}
    assert undeploy_all(cast, tasks).status == "checking"


def test_a_job_goes_on_when_its_extension_is_disabled(cast: Guarded, small: None) -> None:
    guard = cast.extension(points=["undeploy-node"])
    tasks = chain(cast, 5)
    operation = undeploy_all(cast, tasks)
    checked.release(guard, cast.actor(cast.admin))
    assert status_of(operation) == "running"
    jobs.run(operation.pk)
    assert status_of(operation) == "applied" and online(tasks) == 0


# backfills and manual runs


def ended(cast: Guarded, environment: str = "Prod", by: Any = None) -> list[TaskInstance]:
    """Two days of a backfill of a chain that has succeeded, with its turn between them: up, down, turn, up, down."""
    up, down = (cast.task(name, environment=environment) for name in ("up", "down"))
    TaskDependency.objects.create(task=down, upstream=up, output="up")
    today = clock.now().date()
    ranges = (DateRange(today - timedelta(days=2), today - timedelta(days=1)),)
    job = backfill(cast, up, mode=Mode.DESCENDANTS, ranges=ranges, environment=environment, by=by)
    TaskInstance.objects.update(state=State.SUCCESS)
    job.refresh_from_db()
    day1, day2 = job.dates.order_by("position")
    found = {(one.bizdate, one.task.name): one for one in instances(job)}
    assert day2.turn_id is not None
    return [
        found[day1.bizdate, "up"],
        found[day1.bizdate, "down"],
        TaskInstance.objects.get(turn_of=day2),
        found[day2.bizdate, "up"],
        found[day2.bizdate, "down"],
    ]


@pytest.mark.parametrize("cross_day", [False, True])
def test_a_forced_rerun_stays_within_its_business_date_of_a_backfill_unless_later_ones_are_wanted(
    cast: Guarded, cross_day: bool
) -> None:
    made = ended(cast)
    arguments = {"start": "self", "workspaces": [cast.workspace.pk], "cross_day": cross_day}
    operation = cast.ask("force_rerun", made[:1], by=cast.admin, arguments=arguments)
    assert operation.status == "applied"
    again = [State.WAIT_RESOURCE, *[State.NOT_RUN] * 4]
    states = [State(TaskInstance.objects.get(pk=one.pk).state) for one in made]
    assert states == (again if cross_day else [*again[:2], *[State.SUCCESS] * 3])


def test_a_rerun_with_downstream_is_within_a_business_date_of_a_backfill(cast: Guarded) -> None:
    up, down, turn, *_later = ended(cast)
    operation = cast.ask("rerun_downstream", [up, down, turn], arguments={"start": [up.pk]})
    assert told(operation) == {up.pk: None, down.pk: None, turn.pk: "rerun_downstream.gap"}
