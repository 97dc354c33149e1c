"""The laboratory's part for chaos: a graph of instances of each type that runs by itself, and what is recorded of their runs."""

import sqlite3
import uuid
from pathlib import Path
from typing import Any

SHELL = """echo "${{me}} $$ start $EPOCHREALTIME" >> {file}
sleep 0.1
echo "${{me}} $$ end $EPOCHREALTIME" >> {file}
"""
PYTHON = """import os, time

def stamp(what):
    with open("{file}", "a") as file:
        file.write(f"${{me}} {{os.getpid()}} {{what}} {{time.time()}}\\n")

stamp("start")
time.sleep(0.1)
stamp("end")
"""
SQL = """CREATE TEMP TABLE run AS SELECT hex(randomblob(8)) AS name;
INSERT INTO stamps SELECT ${me}, name, 'start', (julianday('now') - 2440587.5) * 86400 FROM run;
WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 300000) SELECT count(*) FROM c;
INSERT INTO stamps SELECT ${me}, name, 'end', (julianday('now') - 2440587.5) * 86400 FROM run;
"""
PATTERN = ("shell", "virtual", "python", "virtual", "shell", "virtual", "sql", "virtual", "shell", "virtual")
"""Of the instances, one after the other; they are in layers of twice as many."""
WIDTH = 2 * len(PATTERN)


def mixed(file: str, count: str) -> dict[str, Any]:
    """Layers of instances of all types that run by themselves, each of which waits for two of the layer above.

    A shell and a python run append two lines (instance, process, start or end, time) to ``file``; a SQL run inserts such
    rows into a SQLite database.

    Returns:
        The ids, and the path of that database.
    """
    from django.db import transaction

    from opscenter.base import notify
    from opscenter.production.models import DataSource
    from tests.engine.graphs import Scene

    with transaction.atomic():  # nothing runs before its edges are there
        scene = Scene(f"lab-{uuid.uuid4().hex[:12]}")
        DataSource.objects.create(
            workspace=scene.workspace, environment="Prod", name="stamps", type="sqlite",
            settings={"file": "stamps.db"}, modified_by=scene.user,
        )  # fmt: skip
        tasks = {
            "virtual": scene.task("virtual"),
            "shell": scene.task("shell", SHELL.format(file=file), parameters="me=$taskid"),
            "python": scene.task("python", PYTHON.format(file=file), parameters="me=$taskid"),
            "sql": scene.task("sql", SQL, parameters="me=$taskid", data_source="stamps"),
        }
        types = [PATTERN[n % len(PATTERN)] for n in range(int(count))]
        ready = {name: iter(scene.instances(task, types.count(name))) for name, task in tasks.items()}
        everyone = [next(ready[name]) for name in types]
        pairs = [
            (everyone[above], one)
            for index, one in enumerate(everyone[WIDTH:])
            for above in (index, index - index % WIDTH + (index + 1) % WIDTH)
        ]
        scene.connect(pairs)
        notify.notify(notify.WORK)
        notify.notify(notify.DUE)
        database = _database(scene.workspace)
    return {"ids": sorted(one.pk for one in everyone), "database": str(database)}


def _database(workspace: Any) -> Path:
    from opscenter.engine.data_sources import sqlite_folder

    folder = sqlite_folder(workspace)
    folder.mkdir(mode=0o700, parents=True)
    path = folder / "stamps.db"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE stamps (instance INTEGER, run TEXT, what TEXT, at REAL)")
    made.close()
    return path


def recorded(first: str, last: str) -> list[tuple[int, int, str, float, float]]:
    """Instance, number, state, start and end (as times of the Unix clock) of each attempt that was started and ended."""
    from opscenter.production.models import Attempt

    rows = Attempt.objects.filter(instance__gte=first, instance__lte=last, started_at__isnull=False)
    rows = rows.filter(finished_at__isnull=False).order_by("instance_id", "number")
    return [
        (one.instance_id, one.number, str(one.state), one.started_at.timestamp(), one.finished_at.timestamp())
        for one in rows
        if one.started_at and one.finished_at
    ]


def rerun_given_up(first: str, last: str) -> int:
    """Rerun those of these instances that were given up because they lost worker after worker, as an operator would; how many
    there were. Fails if one failed in another way, or was given up too early."""
    from opscenter.engine.attempts import LOST_LIMIT
    from opscenter.operations.actor import Actor
    from opscenter.operations.door import apply
    from opscenter.production.models import Attempt, TaskInstance
    from opscenter.production.rules.states import State
    from opscenter.workspaces.models import AuditEntry, Member

    failed = list(
        TaskInstance.objects.filter(pk__range=(first, last), state=State.FAILURE).select_related("task__owner")
    )
    for one in failed:
        lost = Attempt.objects.filter(instance=one, state=Attempt.State.LOST).count()
        assert one.reason is not None and one.reason["code"] == "attempt.lost", (one.pk, one.reason)
        assert lost >= LOST_LIMIT, (one.pk, lost)
    if failed:
        owner, workspace = failed[0].task.owner, failed[0].workspace
        Member.objects.get_or_create(workspace=workspace, user=owner, defaults={"roles": ["role_project_owner"]})
        apply("rerun", Actor(owner, AuditEntry.Face.CONSOLE), workspace, "Prod", [one.pk for one in failed])
    return len(failed)


def waits_for(first: str, last: str) -> list[str]:
    """Why those of these instances that are under way have not ended, and what became of their attempts; ten of them."""
    from opscenter.production.explaining import explain_instances, told
    from opscenter.production.models import Attempt, TaskInstance
    from opscenter.production.rules.states import State

    under_way = TaskInstance.objects.filter(pk__range=(first, last)).exclude(state__in=(State.SUCCESS, State.NOT_RUN))
    found = list(under_way.order_by("state_at")[:10])
    reasons = explain_instances(found)
    lines = [f"{one.pk} {State(one.state).name}: {told(reasons[one.pk])}" for one in found]
    lives = Attempt.objects.filter(instance__in=found).order_by("instance_id", "number")
    return lines + [
        f"{one.instance_id} attempt {one.number} {one.state} by {one.pid} of worker {one.worker}, lease until {one.lease_until}"
        for one in lives
    ]


COMMANDS = (mixed, recorded, rerun_given_up, waits_for)
