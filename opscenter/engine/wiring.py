"""Edges between the scheduled instances of one day, stored and counted (spec 3.5)."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models.functions import Now

from opscenter.base import sql
from opscenter.engine import advance, bulk
from opscenter.engine.bulk import Series
from opscenter.engine.edges import (
    NOT_STARTED,
    ByTask,
    Pair,
    Schedules,
    Standing,
    far_links,
    knotted,
    near_links,
    plan_edges,
)
from opscenter.engine.links import Links, cross_cycle_exists, links_around, links_of
from opscenter.engine.locks import hold_open_instances, lock_instances
from opscenter.production.models import InstanceEdge, TaskInstance, TriggerCommand, WorkflowInstance
from opscenter.production.rules.states import State
from opscenter.workspaces.models import Tenant


def insert(series: Sequence[Series], found: Links, day: date) -> int:
    """Insert a whole day's numbered instances of a tenant with their edges; returns how many edges.

    The day is new, so its counts and states are right from the start; only what it waits for of the day before must not
    end unseen.
    """
    schedules = Schedules(found.chained)
    today = {
        one.task.task: Standing(
            schedules.runs(one.task.task, (planned.scheduled_at for planned in one.planned), one.task.cron),
            one.ids,
            (State.WAIT_TIME.value,) * len(one.ids),
        )
        for one in series
    }
    before = {up for up, down in found.previous if down in today}
    yesterday = _held(schedules, before, day - timedelta(days=1))
    edges = plan_edges(found, schedules, today, yesterday, far_links(found, schedules, today))
    bulk.insert_instances(series, day, Counter(edge.downstream for edge in edges if not edge.met))
    bulk.insert_edges(edges, day)
    return len(edges)


def wire(tenant: Tenant, tasks: Collection[int], day: date) -> int:
    """Make the missing edges of the day into and out of the instances of these tasks; returns how many.

    Afterwards the downstream instances that have not started stand where their conditions put them.
    """
    found, knot = links_around(tasks), _knot_of(tenant, tasks, day)
    schedules = Schedules({*found.chained, *knot.chained})
    concerned = found.tasks() | knot.tasks() | set(tasks)
    before = {up for up, _down in (*found.previous, *knot.previous)}
    eve = day - timedelta(days=1)
    # an upstream must not end, a downstream not start, between our look and our edge
    lock_instances([*_ids(_standing(schedules, concerned, day)), *_ids(_standing(schedules, before, eve))])
    today = _standing(schedules, concerned, day)
    far = far_links(knot, schedules, today)
    cut = _cut(far, today)
    found = replace(found, normal={*found.normal, *far.intersection(knot.normal)}, previous={*found.previous, *far})
    edges = plan_edges(found, schedules, today, _standing(schedules, before, eve), far)
    bulk.add_edges(edges, day)
    own = {pk for task in tasks if task in today for pk in today[task].ids}
    recount(sorted({edge.downstream for edge in edges} | own | cut))
    return len(edges)


def _knot_of(tenant: Tenant, tasks: Collection[int], day: date) -> Links:
    """The links among all tasks that these wait for and that wait for these, where some wait for a previous cycle."""
    if not cross_cycle_exists(tenant):
        return Links((), (), ())
    whole = links_of(tenant)
    today = _standing(Schedules(whole.chained), {pk for pair in whole.previous for pk in pair}, day)
    groups = knotted(whole, near_links(whole, today))
    return whole.among({pk for group in groups if not group.isdisjoint(tasks) for pk in group})


def _cut(far: Collection[Pair], today: ByTask) -> set[int]:
    """Take away the edges of the day between tasks whose link is far now; returns the downstream instances."""
    cut: set[int] = set()
    for up, down in far:
        waiting = [pk for pk, state in zip(today[down].ids, today[down].states, strict=True) if state in NOT_STARTED]
        edges = InstanceEdge.objects.filter(upstream__in=today[up].ids, downstream__in=waiting)
        cut.update(edges.values_list("downstream_id", flat=True))
        edges.delete()
    return cut


def recount(ids: Collection[int]) -> None:
    """Set the counts of these instances from their edges, and put those that have not started where they belong.

    Their rows must be locked, or have been inserted by this transaction.
    """
    once = sorted(set(ids))  # a count is of all rows that name the instance
    sql.rows(
        """UPDATE production_taskinstance i SET unmet = counted.n FROM (
               SELECT one.id, count(e.downstream_id) AS n
               FROM unnest(%(ids)s::bigint[]) AS one(id)
               LEFT JOIN production_instanceedge e ON e.downstream_id = one.id AND NOT e.met
               GROUP BY one.id
           ) counted WHERE counted.id = i.id AND i.unmet <> counted.n""",
        {"ids": once},
    )
    advance.place(once, NOT_STARTED)


def lock_future(tasks: Collection[int], day: date, after: datetime) -> dict[tuple[int, datetime], int]:
    """The day's scheduled instances of these tasks that have not started and are planned after ``after``, locked.

    Returns:
        Their ids by task and scheduled time.
    """
    future = TaskInstance.objects.filter(
        task__in=tasks,
        bizdate=day - timedelta(days=1),
        workflow_instance__type=WorkflowInstance.Type.NORMAL,
        scheduled_at__gt=after,
        state__in=NOT_STARTED,
        attempt=0,
    )
    locked = future.select_for_update(no_key=True, of=("self",)).order_by("pk")
    return {(task, at): pk for pk, task, at in locked.values_list("pk", "task_id", "scheduled_at")}


def cut_loose(kept: Collection[int], gone: Collection[int]) -> None:
    """Take away the edges of instances that are planned anew, and the others with all that they have."""
    ids = [*kept, *gone]
    if not ids:
        return
    edges = InstanceEdge.objects.filter(upstream__in=ids).exclude(downstream__in=ids)
    downstream = list(edges.values_list("downstream_id", flat=True))
    list(TaskInstance.objects.filter(pk__in=downstream).select_for_update(no_key=True).order_by("pk").values_list("pk"))
    edges.filter(downstream__state__in=NOT_STARTED).delete()
    InstanceEdge.objects.filter(downstream__in=kept).delete()
    TriggerCommand.objects.filter(instance__in=gone, status=TriggerCommand.Status.HELD).update(
        status=TriggerCommand.Status.EXPIRED,
        settled_at=Now(),
        reason={"code": "trigger.instance_gone", "params": {}},
    )
    TriggerCommand.objects.filter(instance__in=gone).update(instance=None)  # the receipts stay
    TaskInstance.objects.filter(pk__in=gone).delete()
    recount(downstream)


def present(tasks: Collection[int], day: date, but: Collection[int]) -> set[int]:
    """Those of the tasks that have scheduled instances on the day, other than these."""
    standing = _standing(Schedules(()), tasks, day)
    return {task for task, one in standing.items() if not set(one.ids) <= set(but)}


def _standing(schedules: Schedules, tasks: Collection[int], day: date) -> dict[int, Standing]:
    """The scheduled instances of a day, by task."""
    found: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for task, *row in sql.rows(
        f"""SELECT i.task_id, i.id, i.scheduled_at, i.state, v.cron
            FROM production_taskinstance i
            JOIN production_workflowinstance family ON family.id = i.workflow_instance_id
            JOIN production_taskversion v ON v.id = i.version_id
            WHERE i.task_id = ANY(%(tasks)s::bigint[]) AND i.bizdate = %(bizdate)s::date
            AND family.type = '{WorkflowInstance.Type.NORMAL}'
            ORDER BY i.scheduled_at, i.id""",
        {"tasks": list(tasks), "bizdate": day - timedelta(days=1)},
    ):
        found[task].append(tuple(row))
    standing = {}
    for task, rows in found.items():
        ids, times, states, crons = zip(*rows, strict=True)
        standing[task] = Standing(schedules.runs(task, times, crons[0]), ids, states)
    return standing


def _held(schedules: Schedules, tasks: Collection[int], day: date) -> ByTask:
    """The same; those that are not over are held as they are until this transaction ends."""
    if not tasks:
        return {}
    hold_open_instances(_ids(_standing(schedules, tasks, day)))
    return _standing(schedules, tasks, day)


def _ids(standing: ByTask) -> list[int]:
    return [pk for one in standing.values() for pk in one.ids]
