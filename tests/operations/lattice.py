"""Instances with edges between them in any states, and what must hold of them whatever was done."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import connection

from opscenter.base import clock
from opscenter.production.models import InstanceEdge, TaskInstance
from opscenter.production.rules.states import WAITING, State
from tests.engine.graphs import Scene


def yesterday() -> Any:
    return clock.now().date() - timedelta(days=1)


def lattice(
    scene: Scene, states: Sequence[State], edges: Sequence[tuple[int, int]], **fields: Any
) -> list[TaskInstance]:
    """Instances in these states, of yesterday's business date; an edge is met where its upstream has succeeded."""
    task = scene.task("shell")
    made = scene.instances(task, len(states), **({"bizdate": yesterday(), "attempt": 1} | fields))
    for one, state in zip(made, states, strict=True):
        one.state = state
    join(made, edges)
    TaskInstance.objects.bulk_update(made, ["state", "unmet"])
    return made


def join(made: Sequence[TaskInstance], edges: Sequence[tuple[int, int]]) -> None:
    for a, b in edges:
        up, down = made[a], made[b]
        met = up.state == State.SUCCESS
        InstanceEdge.objects.create(upstream=up, downstream=down, met=met, bizdate=down.bizdate)
        down.unmet += not met


def states(made: Sequence[TaskInstance]) -> list[State]:
    found = TaskInstance.objects.in_bulk([one.pk for one in made])
    return [State(found[one.pk].state) for one in made]


def wrongs() -> list[str]:
    """What does not hold: counts that are not their edges', instances that nothing would ever start, and the like."""
    waiting = ", ".join(str(int(state)) for state in WAITING)
    success, not_run = int(State.SUCCESS), int(State.NOT_RUN)
    questions = {
        "a count is not that of its edges": """SELECT i.id FROM production_taskinstance i WHERE i.unmet <> (
            SELECT count(*) FROM production_instanceedge e WHERE e.downstream_id = i.id AND NOT e.met)""",
        "an edge from what succeeded is not met": f"""SELECT e.downstream_id FROM production_instanceedge e
            JOIN production_taskinstance u ON u.id = e.upstream_id WHERE u.state = {success} AND NOT e.met""",
        "what has not started does not wait for an upstream": f"""SELECT e.downstream_id FROM production_instanceedge e
            JOIN production_taskinstance u ON u.id = e.upstream_id JOIN production_taskinstance d ON d.id = e.downstream_id
            WHERE d.state IN ({waiting}) AND e.met AND u.state <> {success}""",
        "it waits for nothing and is not ready": f"""SELECT i.id FROM production_taskinstance i
            WHERE i.state = {not_run} AND i.unmet = 0""",
        "it is ready and waits": f"""SELECT i.id FROM production_taskinstance i
            WHERE i.state IN ({waiting}) AND i.state <> {not_run} AND i.unmet > 0""",
    }
    found = []
    with connection.cursor() as cursor:
        for name, question in questions.items():
            cursor.execute(question)
            found += [f"{name}: {row[0]}" for row in cursor.fetchall()]
    return found
