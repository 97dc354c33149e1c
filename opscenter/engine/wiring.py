"""Edges between the scheduled instances of one day, made from the dependencies of their tasks (spec 3.5)."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import connection
from django.db.models import Q

from opscenter.engine import advance
from opscenter.engine.locks import hold_open_instances, lock_instances
from opscenter.production.models import InstanceEdge, TaskDependency, TaskInstance, WorkflowInstance
from opscenter.production.rules import cron, dependencies
from opscenter.production.rules.planning import Planned
from opscenter.production.rules.states import State

Type = TaskDependency.Type
ByTask = Mapping[int, list[TaskInstance]]
_BATCH = 10_000
_NOT_STARTED = {State.NOT_RUN, State.WAIT_TIME, State.WAIT_TRIGGER, State.WAIT_RESOURCE}


@dataclass(frozen=True)
class Links:
    """What the tasks concerned wait for.

    Attributes:
        normal: pairs (upstream task, task) of the same cycle.
        previous: pairs whose upstream is of the cycle before.
        chained: tasks that wait for their own previous cycle.
    """

    normal: frozenset[tuple[int, int]]
    previous: frozenset[tuple[int, int]]
    chained: frozenset[int]

    def tasks(self) -> set[int]:
        """Every task that is named."""
        return {pk for pair in self.normal | self.previous for pk in pair}


def links(tasks: Collection[int], *, out_of: bool = False) -> Links:
    """What these tasks wait for; ``out_of``: also what waits for them."""
    wanted = Q(task__in=tasks) | Q(upstream__in=tasks) if out_of else Q(task__in=tasks)
    rows = list(TaskDependency.objects.filter(wanted).values_list("upstream_id", "task_id", "type"))
    if out_of:  # who waits for its children's previous cycle waits for these, too
        parents = [up for up, task, kind in rows if kind == Type.NORMAL and task in tasks]
        of_parents = TaskDependency.objects.filter(task__in=parents, type=Type.CHILDREN)
        rows += of_parents.values_list("upstream_id", "task_id", "type")
    with_children = {task for _up, task, kind in rows if kind == Type.CHILDREN}
    children = TaskDependency.objects.filter(upstream__in=with_children, type=Type.NORMAL)
    concerned = {pk for up, task, _kind in rows for pk in (up, task)}
    return Links(
        normal=frozenset((up, task) for up, task, kind in rows if kind == Type.NORMAL),
        previous=frozenset((up, task) for up, task, kind in rows if kind in (Type.SELF, Type.OTHER))
        | frozenset((child, parent) for parent, child in children.values_list("upstream_id", "task_id")),
        chained=frozenset(
            TaskDependency.objects.filter(task__in=concerned, type=Type.SELF).values_list("task_id", flat=True)
        ),
    )


def plan_edges(found: Links, today: ByTask, yesterday: ByTask) -> list[InstanceEdge]:
    """The edges into the day's instances that have not started; an upstream that succeeded meets its edge at once."""
    edges = [
        _edge(today[up][a], today[down][b])
        for up, down in found.normal
        if up in today and down in today
        for a, b in dependencies.match(_runs(today[up], up, found), _runs(today[down], down, found))
        if today[down][b].state in _NOT_STARTED
    ]
    for up, down in found.previous:
        if down not in today:
            continue
        earlier, now = yesterday.get(up, []), today.get(up, [])
        line = [*earlier, *now]
        if not line:
            continue
        pairs = dependencies.match_previous(
            _runs(earlier or now, up, found, none=not earlier),
            _runs(now or earlier, up, found, none=not now),
            _runs(today[down], down, found),
        )
        edges += [_edge(line[a], today[down][b]) for a, b in pairs if today[down][b].state in _NOT_STARTED]
    # two dependencies may lead to one edge: of the same task's previous cycle, once as itself and once as a child
    return list({(edge.downstream_id, edge.upstream_id): edge for edge in edges}.values())


def _edge(upstream: TaskInstance, downstream: TaskInstance) -> InstanceEdge:
    return InstanceEdge(
        upstream_id=upstream.pk,
        downstream_id=downstream.pk,
        bizdate=downstream.bizdate,
        met=upstream.state == State.SUCCESS,
    )


def insert(instances: list[TaskInstance]) -> int:
    """Insert a whole day's instances, numbered but not yet stored, with their edges; returns how many edges.

    The day is new, so its counts and states are right from the start; only what it waits for of the day before must not
    end unseen.
    """
    by_task: dict[int, list[TaskInstance]] = defaultdict(list)
    for instance in instances:
        by_task[instance.task_id].append(instance)
    found = links(by_task.keys())
    before = {up for up, _down in found.previous}
    yesterday = _locked_instances(before, instances[0].bizdate - timedelta(days=1)) if instances and before else {}
    edges = plan_edges(found, by_task, yesterday)
    unmet = Counter(edge.downstream_id for edge in edges if not edge.met)
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
    found = links(tasks, out_of=True)
    concerned = found.tasks() | set(tasks)
    before = {up for up, _down in found.previous}
    # an upstream must not end, a downstream not start, between our look and our edge
    lock_instances(
        [
            instance.pk
            for known in (_instances(concerned, bizdate), _instances(before, bizdate - timedelta(days=1)))
            for instances in known.values()
            for instance in instances
        ]
    )
    by_task = _instances(concerned, bizdate)
    edges = plan_edges(found, by_task, _instances(before, bizdate - timedelta(days=1)))
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


def _locked_instances(tasks: Collection[int], bizdate: date) -> ByTask:
    """Scheduled instances of a day; those that are not over are held as they are until this transaction ends."""
    ids = [one.pk for instances in _instances(tasks, bizdate).values() for one in instances]
    hold_open_instances(ids)
    return _instances(tasks, bizdate)


def _runs(instances: list[TaskInstance], task: int, found: Links, *, none: bool = False) -> dependencies.Runs:
    """What the rules need to know of a task's instances; ``none``: of its schedule alone."""
    return dependencies.Runs(
        [] if none else [Planned(i.scheduled_at, i.period, dry_run=False) for i in instances],
        cron.parse(instances[0].version.cron).cycle,
        task in found.chained,
    )
