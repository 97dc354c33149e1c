"""Commands of the lab about generation and waiting: how long a day takes beside PostgreSQL itself, nodes that poll."""

import json
import time
import uuid
from datetime import date, timedelta
from typing import Any

AHEAD = timedelta(days=30)
"""How far ahead the days of the lab are: nothing of them is due."""


def generation(count: str) -> dict[str, float]:
    """Generate a day of ``count`` tasks with two upstream tasks each; then PostgreSQL inserts the very rows once more.

    Returns:
        How many instances and edges, the seconds of the generation, and those of PostgreSQL: INSERT ... SELECT into the
        same tables from copies without indexes.
    """
    from django.db import connection

    from opscenter.base import clock, sql
    from opscenter.engine import generate
    from tests.engine.graphs import Scene

    sql.plan_once()  # as the scheduler does
    connection.close()
    scene = Scene(f"lab-{uuid.uuid4().hex[:12]}")
    day = clock.now().date() + AHEAD
    _publish(scene, int(count), day)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    began = time.perf_counter()
    run = generate.generate_day(scene.tenant, day)
    seconds = time.perf_counter() - began
    assert run is not None
    return {
        "instances": run.instances,
        "edges": run.edges,
        "seconds": seconds,
        "postgres": _inserted_again(scene.workspace.pk),
    }


def holdups(stuck: str) -> dict[str, float]:
    """Of the day that ``generation`` made last: ``stuck`` instances fail, then it is asked why the others wait.

    Returns:
        The seconds of the best of three answers; how many instances wait; how many of them the first reason holds up; and
        whether the counts are cut.
    """
    from opscenter.base import clock
    from opscenter.production import holdups as asked
    from opscenter.production.models import GenerationRun, TaskInstance
    from opscenter.production.rules.states import State

    run = GenerationRun.objects.select_related("tenant").latest("pk")
    bizdate = run.day - timedelta(days=1)
    day = TaskInstance.objects.filter(workspace__tenant=run.tenant, environment="Prod", bizdate=bizdate)
    ids = list(day.order_by("pk").values_list("pk", flat=True))
    step = len(ids) // (int(stuck) + 1)
    day.filter(pk__in=ids[step::step][: int(stuck)]).update(state=State.FAILURE, due_at=None)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        told = asked.holdups(day, run.tenant, "Prod", bizdate, clock.now())
        seconds.append(time.perf_counter() - began)
    return {
        "seconds": min(seconds),
        "waiting": told.waiting,
        "first": told.reasons[0].count,
        "is_capped": told.is_capped,
    }


def _publish(scene: Any, count: int, day: date) -> None:
    """``count`` shell tasks at 360 different times, each after two others or after the root."""
    from opscenter.base import ids
    from opscenter.engine import generate
    from opscenter.production.models import Task, TaskDependency, TaskVersion

    root = generate.ensure_root(scene.workspace, "Prod", scene.user)
    group = {"environment": "Prod", "workspace": scene.workspace, "resource_group": scene.group, "owner": scene.user}
    tasks = Task.objects.bulk_create(
        [Task(number=n, name=f"t{n}", node_type="shell", **group) for n in ids.next_value("task_number", count)],
        batch_size=5000,
    )
    TaskVersion.objects.bulk_create(
        [
            TaskVersion(
                task=task,
                number=1,
                content="true",
                cron=f"00 {n % 60:02} {n % 6:02} * * ?",
                published_by=scene.user,
                first_day=day,
            )
            for n, task in enumerate(tasks)
        ],
        batch_size=5000,
    )
    TaskDependency.objects.bulk_create(
        [
            TaskDependency(task=task, upstream=upstream, output="x")
            for n, task in enumerate(tasks)
            for upstream in (tasks[n - 100 : n - 98] if n >= 100 else [root])
        ],
        batch_size=5000,
    )


def _inserted_again(workspace: int) -> float:
    """The seconds that PostgreSQL takes for the rows of a workspace's day; they are there once afterwards, as before."""
    from django.db import connection, transaction

    mine = f"(SELECT id FROM production_taskinstance WHERE workspace_id = {workspace})"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE lab_edges AS SELECT * FROM production_instanceedge WHERE downstream_id IN {mine}")
        cursor.execute(f"CREATE TABLE lab_rows AS SELECT * FROM production_taskinstance WHERE id IN {mine}")
        cursor.execute("DELETE FROM production_instanceedge WHERE downstream_id IN (SELECT id FROM lab_rows)")
        cursor.execute("DELETE FROM production_taskinstance WHERE id IN (SELECT id FROM lab_rows)")
        cursor.execute("VACUUM production_taskinstance, production_instanceedge")
        began = time.perf_counter()
        with transaction.atomic():
            cursor.execute("INSERT INTO production_taskinstance SELECT * FROM lab_rows")
            cursor.execute("INSERT INTO production_instanceedge SELECT * FROM lab_edges")
        seconds = time.perf_counter() - began
        cursor.execute("DROP TABLE lab_rows, lab_edges")
    return seconds


def polling(url: str, count: str, interval: str) -> list[int]:
    """``count`` instances of a HTTP node that submits to ``url`` and polls every ``interval`` seconds; all ready at once."""
    from opscenter.base import notify
    from tests.engine.graphs import Scene

    scene = Scene(f"lab-{uuid.uuid4().hex[:12]}")
    callback = {"url": f"{url}/status", "interval": int(interval), "success": ["SUCCESS"]}
    node = {"url": f"{url}/run", "method": "POST", "body": {"code": "ok"}, "callback": callback}
    made = scene.instances(scene.task("http", json.dumps(node)), int(count))
    notify.notify(notify.COURIER)
    return [instance.pk for instance in made]


def hours_ahead(policy: str) -> list[int]:
    """Three shell instances of a task with this misfire policy, due in one, two and three hours."""
    from opscenter.base import clock
    from opscenter.production.models import Task, TaskInstance
    from opscenter.production.rules.states import State
    from tests.engine.graphs import Scene

    scene = Scene(f"lab-{uuid.uuid4().hex[:12]}")
    task = scene.task("shell", "true")
    Task.objects.filter(pk=task.pk).update(misfire_policy=policy)
    made = scene.instances(task, 3, state=State.WAIT_TIME)
    for hours, one in enumerate(made, start=1):
        one.scheduled_at = one.not_before = one.due_at = clock.now() + timedelta(hours=hours)
        one.bizdate = one.scheduled_at.date() - timedelta(days=1)
    TaskInstance.objects.bulk_update(made, ["scheduled_at", "not_before", "due_at", "bizdate"])
    return [one.pk for one in made]


def let_pass(hours: str) -> None:
    """As if so many hours had passed with nobody there: all that is due, and when a scheduler was last seen, lies back."""
    from django.db.models import F

    from opscenter.production.models import Attendance, TaskInstance

    span = timedelta(hours=int(hours))
    Attendance.objects.update(seen_at=F("seen_at") - span)
    moved = TaskInstance.objects.filter(due_at__isnull=False)
    moved.update(scheduled_at=F("scheduled_at") - span, not_before=F("not_before") - span, due_at=F("due_at") - span)


def kinds(first: str, last: str) -> list[str]:
    """How these instances run, by scheduled time."""
    from opscenter.production.models import TaskInstance
    from opscenter.production.rules.states import Kind

    found = TaskInstance.objects.filter(pk__range=(first, last)).order_by("scheduled_at")
    return [Kind(kind).name for kind in found.values_list("kind", flat=True)]


COMMANDS = (generation, polling, holdups, hours_ahead, let_pass, kinds)
