"""Edges between the scheduled instances of one day, made from the dependencies of their tasks (spec 3.5)."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, timedelta

from django.db import connection

from opscenter.engine import advance
from opscenter.engine.locks import lock_instances
from opscenter.production.models import InstanceEdge, TaskDependency, TaskInstance, WorkflowInstance
from opscenter.production.rules import cron, dependencies
from opscenter.production.rules.planning import Planned
from opscenter.production.rules.states import State

_BATCH = 10_000
_NOT_STARTED = {State.NOT_RUN, State.WAIT_TIME, State.WAIT_TRIGGER, State.WAIT_RESOURCE}


def plan_edges(pairs: Iterable[tuple[int, int]], by_task: Mapping[int, list[TaskInstance]]) -> list[InstanceEdge]:
    """The edges between the instances of each (upstream task, task): to those that have not started, from all; an
    upstream that succeeded already meets its edge at once."""
    return [
        InstanceEdge(
            upstream_id=by_task[up][a].pk,
            downstream_id=by_task[down][b].pk,
            bizdate=by_task[down][b].bizdate,
            met=by_task[up][a].state == State.SUCCESS,
        )
        for up, down in pairs
        if up in by_task and down in by_task
        for a, b in _match(by_task[up], by_task[down])
        if by_task[down][b].state in _NOT_STARTED
    ]


def insert(instances: list[TaskInstance]) -> int:
    """Insert a whole day's instances, numbered but not yet stored, with their edges; returns how many edges.

    Everything is new, so counts and states are right from the start and nobody else needs to be held still.
    """
    by_task: dict[int, list[TaskInstance]] = defaultdict(list)
    for instance in instances:
        by_task[instance.task_id].append(instance)
    pairs = TaskDependency.objects.filter(task__in=by_task).values_list("upstream_id", "task_id")
    edges = plan_edges(pairs, by_task)
    unmet = Counter(edge.downstream_id for edge in edges)
    for instance in instances:
        if instance.pk in unmet:
            instance.unmet, instance.state, instance.due_at = unmet[instance.pk], State.NOT_RUN, None
    TaskInstance.objects.bulk_create(instances, batch_size=_BATCH)
    InstanceEdge.objects.bulk_create(edges, batch_size=_BATCH)
    return len(edges)


def wire(tasks: Collection[int], day: date) -> int:
    """Make the missing edges of the day into and out of the instances of these tasks; returns how many.

    Afterwards the downstream instances that have not started stand where their conditions put them.
    """
    bizdate = day - timedelta(days=1)
    into = TaskDependency.objects.filter(task__in=tasks)
    out_of = TaskDependency.objects.filter(upstream__in=tasks)
    pairs = set(into.values_list("upstream_id", "task_id")) | set(out_of.values_list("upstream_id", "task_id"))
    concerned = {pk for pair in pairs for pk in pair} | set(tasks)
    # an upstream must not end, a downstream not start, between our look and our edge
    lock_instances([instance.pk for instances in _instances(concerned, bizdate).values() for instance in instances])
    by_task = _instances(concerned, bizdate)
    edges = plan_edges(pairs, by_task)
    InstanceEdge.objects.bulk_create(edges, batch_size=_BATCH, ignore_conflicts=True)
    recount(sorted({edge.downstream_id for edge in edges} | {i.pk for pk in tasks for i in by_task.get(pk, ())}))
    return len(edges)


def recount(ids: Collection[int]) -> None:
    """Set the counts of these instances from their edges, and put those that have not started where they belong.

    Their rows must be locked, or have been inserted by this transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE production_taskinstance i SET unmet = counted.n FROM (
                   SELECT one.id, count(e.downstream_id) AS n
                   FROM unnest(%s::bigint[]) AS one(id)
                   LEFT JOIN production_instanceedge e ON e.downstream_id = one.id AND NOT e.met
                   GROUP BY one.id
               ) counted WHERE counted.id = i.id AND i.unmet <> counted.n""",
            [list(ids)],
        )
    advance.place(list(ids), _NOT_STARTED)


def drop_future(tasks: Collection[int], day: date, after: datetime) -> int:
    """Take away the day's scheduled instances of these tasks that have not started and are planned after ``after``."""
    doomed = TaskInstance.objects.filter(
        task__in=tasks,
        bizdate=day - timedelta(days=1),
        workflow_instance__type=WorkflowInstance.Type.NORMAL,
        scheduled_at__gt=after,
        state__in=_NOT_STARTED,
        attempt=0,
    )
    ids = list(doomed.select_for_update(no_key=True, of=("self",)).order_by("pk").values_list("pk", flat=True))
    if not ids:
        return 0
    downstream = list(
        InstanceEdge.objects.filter(upstream__in=ids)
        .exclude(downstream__in=ids)
        .values_list("downstream_id", flat=True)
    )
    list(TaskInstance.objects.filter(pk__in=downstream).select_for_update(no_key=True).order_by("pk").values_list("pk"))
    TaskInstance.objects.filter(pk__in=ids).delete()
    recount(downstream)
    return len(ids)


def _instances(tasks: Collection[int], bizdate: date) -> dict[int, list[TaskInstance]]:
    found: dict[int, list[TaskInstance]] = defaultdict(list)
    query = TaskInstance.objects.filter(
        task__in=tasks, bizdate=bizdate, workflow_instance__type=WorkflowInstance.Type.NORMAL
    )
    for instance in query.select_related("version").defer("version__content").order_by("scheduled_at", "pk"):
        found[instance.task_id].append(instance)
    return dict(found)


def _match(upstream: list[TaskInstance], downstream: list[TaskInstance]) -> list[tuple[int, int]]:
    return dependencies.match(
        [Planned(i.scheduled_at, i.period, dry_run=False) for i in upstream],
        cron.parse(upstream[0].version.cron).cycle,
        [Planned(i.scheduled_at, i.period, dry_run=False) for i in downstream],
        cron.parse(downstream[0].version.cron).cycle,
    )
