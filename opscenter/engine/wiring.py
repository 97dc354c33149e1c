"""Edges between the scheduled instances of one day, made from the dependencies of their tasks (spec 3.5)."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Q

from opscenter.base import sql
from opscenter.engine import advance, bulk
from opscenter.engine.bulk import Edge, Series
from opscenter.engine.locks import hold_open_instances, lock_instances
from opscenter.production.models import Environment, InstanceEdge, TaskDependency, TaskInstance, WorkflowInstance
from opscenter.production.rules import cron
from opscenter.production.rules.cron import Cycle
from opscenter.production.rules.dependencies import Runs, match, match_previous
from opscenter.production.rules.states import State
from opscenter.workspaces.models import Tenant

Type = TaskDependency.Type
Row = tuple[int, int, str]
"""A dependency: upstream, task, type."""

_NOT_STARTED = {State.NOT_RUN, State.WAIT_TIME, State.WAIT_TRIGGER, State.WAIT_RESOURCE}


@dataclass(frozen=True)
class Links:
    """What the tasks concerned wait for.

    Attributes:
        normal: pairs (upstream task, task) of the same cycle.
        previous: pairs whose upstream is of the cycle before.
        chained: tasks that wait for their own previous cycle.
    """

    normal: Sequence[tuple[int, int]]
    previous: Collection[tuple[int, int]]
    chained: Collection[int]

    def tasks(self) -> set[int]:
        """Every task that is named."""
        return {pk for pairs in (self.normal, self.previous) for pair in pairs for pk in pair}


def links_of(tenant: Tenant) -> Links:
    """What all tasks of a tenant's production wait for."""
    rows = _rows(Q(task__workspace__tenant=tenant, task__environment=Environment.PROD))
    parents = _parents(rows)
    return _links(rows, [row for row in rows if row[0] in parents], rows)


def links_around(tasks: Collection[int]) -> Links:
    """What these tasks wait for, and what waits for them."""
    rows = _rows(Q(task__in=tasks) | Q(upstream__in=tasks))
    # who waits for its children's previous cycle waits for these, too
    rows += _rows(Q(task__in=[up for up, task, kind in rows if kind == Type.NORMAL], type=Type.CHILDREN))
    concerned = {pk for up, task, _kind in rows for pk in (up, task)}
    return _links(rows, _rows(Q(upstream__in=_parents(rows))), _rows(Q(task__in=concerned, type=Type.SELF)))


def normal_into(tasks: Collection[int]) -> list[tuple[int, int]]:
    """Pairs (upstream task, task) of the same cycle, for these tasks."""
    return [(up, task) for up, task, _kind in _rows(Q(task__in=tasks, type=Type.NORMAL))]


def _rows(which: Q) -> list[Row]:
    return list(TaskDependency.objects.filter(which).values_list("upstream_id", "task_id", "type"))


def _parents(rows: Iterable[Row]) -> set[int]:
    """Tasks that wait for the previous cycle of their children."""
    return {task for _up, task, kind in rows if kind == Type.CHILDREN}


def _links(rows: Iterable[Row], of_parents: Iterable[Row], on_self: Iterable[Row]) -> Links:
    """What is waited for by ``rows``; ``of_parents`` tells who the parents' children are, ``on_self`` who is chained."""
    return Links(
        normal=[(up, task) for up, task, kind in rows if kind == Type.NORMAL],
        previous={(up, task) for up, task, kind in rows if kind in (Type.SELF, Type.OTHER)}
        | {(child, parent) for parent, child, kind in of_parents if kind == Type.NORMAL},
        chained={task for _up, task, kind in on_self if kind == Type.SELF},
    )


class Standing(NamedTuple):
    """A task's scheduled instances of one day, as they stand."""

    runs: Runs
    ids: Sequence[int]
    states: Sequence[int]


ByTask = Mapping[int, Standing]


@dataclass
class Schedules:
    """The runs of tasks, shared among those of the same schedule, so that each pair of schedules is matched once.

    Attributes:
        chained: the tasks that wait for their own previous cycle.
    """

    chained: Collection[int]
    _runs: dict[tuple[tuple[datetime, ...], Cycle, bool], Runs] = field(default_factory=dict)
    _pairs: dict[tuple[Runs, Runs], list[tuple[int, int]]] = field(default_factory=dict)

    def runs(self, task: int, times: Iterable[datetime], cron_text: str) -> Runs:
        """The runs of a task at these times."""
        key = (tuple(times), cron.parse(cron_text).cycle, task in self.chained)
        found = self._runs.get(key)
        if found is None:
            found = self._runs[key] = Runs(*key)
        return found

    def match(self, upstream: Runs, downstream: Runs) -> list[tuple[int, int]]:
        """As ``dependencies.match``."""
        key = (upstream, downstream)
        found = self._pairs.get(key)
        if found is None:
            found = self._pairs[key] = match(upstream, downstream)
        return found


def plan_edges(found: Links, schedules: Schedules, today: ByTask, yesterday: ByTask) -> list[Edge]:
    """The edges into the day's instances that have not started; an upstream that succeeded meets its edge at once."""
    edges = [
        Edge(below.ids[b], above.ids[a], above.states[a] == State.SUCCESS)
        for up, down in found.normal
        if (above := today.get(up)) is not None and (below := today.get(down)) is not None
        for a, b in schedules.match(above.runs, below.runs)
        if below.states[b] in _NOT_STARTED
    ]
    previous: list[Edge] = []
    for up, down in found.previous:
        if down in today:
            previous += _previous_edges(yesterday.get(up), today.get(up), today[down])
    # two dependencies may lead to one edge: of the same task's previous cycle, once as itself and once as a child
    return edges + list(dict.fromkeys(previous))


def _previous_edges(earlier: Standing | None, now: Standing | None, below: Standing) -> list[Edge]:
    """The edges of one cross-cycle dependency, into ``below``."""
    known = earlier or now
    if known is None:
        return []
    nothing = Standing(Runs((), known.runs.cycle, known.runs.chained), (), ())
    earlier, now = earlier or nothing, now or nothing
    ids, states = [*earlier.ids, *now.ids], [*earlier.states, *now.states]
    return [
        Edge(below.ids[b], ids[a], states[a] == State.SUCCESS)
        for a, b in match_previous(earlier.runs, now.runs, below.runs)
        if below.states[b] in _NOT_STARTED
    ]


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
    edges = plan_edges(found, schedules, today, _held(schedules, before, day - timedelta(days=1)))
    bulk.insert_instances(series, day, Counter(edge.downstream for edge in edges if not edge.met))
    bulk.insert_edges(edges, day)
    return len(edges)


def wire(tasks: Collection[int], day: date) -> int:
    """Make the missing edges of the day into and out of the instances of these tasks; returns how many.

    Afterwards the downstream instances that have not started stand where their conditions put them.
    """
    found = links_around(tasks)
    schedules = Schedules(found.chained)
    concerned, before = found.tasks() | set(tasks), {up for up, _down in found.previous}
    eve = day - timedelta(days=1)
    # an upstream must not end, a downstream not start, between our look and our edge
    lock_instances([*_ids(_standing(schedules, concerned, day)), *_ids(_standing(schedules, before, eve))])
    today = _standing(schedules, concerned, day)
    edges = plan_edges(found, schedules, today, _standing(schedules, before, eve))
    bulk.add_edges(edges, day)
    own = {pk for task in tasks if task in today for pk in today[task].ids}
    recount(sorted({edge.downstream for edge in edges} | own))
    return len(edges)


def recount(ids: Collection[int]) -> None:
    """Set the counts of these instances from their edges, and put those that have not started where they belong.

    Their rows must be locked, or have been inserted by this transaction.
    """
    sql.rows(
        """UPDATE production_taskinstance i SET unmet = counted.n FROM (
               SELECT one.id, count(e.downstream_id) AS n
               FROM unnest(%(ids)s::bigint[]) AS one(id)
               LEFT JOIN production_instanceedge e ON e.downstream_id = one.id AND NOT e.met
               GROUP BY one.id
           ) counted WHERE counted.id = i.id AND i.unmet <> counted.n""",
        {"ids": list(ids)},
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


def present(tasks: Collection[int], day: date) -> set[int]:
    """Those of the tasks that have scheduled instances on the day."""
    return set(_standing(Schedules(()), tasks, day))


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
