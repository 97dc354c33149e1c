"""A production day's instances and edges as rows: read by a query a table, written by COPY, without an object for each."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from django.db.models import QuerySet

from opscenter.base import ids, sql
from opscenter.production.models import Environment, ProductionWorkflow, Recurrence, TaskVersion, WorkflowInstance
from opscenter.production.node_types import NODE_TYPES
from opscenter.production.rules.planning import Planned
from opscenter.production.rules.states import Kind, State
from opscenter.workspaces.models import Workspace


class Scheduled(NamedTuple):
    """What generation needs to know of a task, and of the version that its instances pin."""

    task: int
    version: int
    workspace: int
    workflow: int | None
    is_root: bool
    node_type: str
    recurrence: str
    priority: int
    resource_group: int
    cron: str
    start_at: datetime | None
    end_at: datetime | None
    rerun_times: int


_FIELDS = (
    "task_id",
    "pk",
    "task__workspace_id",
    "task__workflow_id",
    "task__is_root",
    "task__node_type",
    "task__recurrence",
    "task__priority",
    "task__resource_group_id",
    "cron",
    "start_at",
    "end_at",
    "rerun_times",
)


def scheduled(versions: QuerySet[TaskVersion]) -> list[Scheduled]:
    """These versions, with what counts of their tasks."""
    return [Scheduled(*row) for row in versions.values_list(*_FIELDS)]


@dataclass(slots=True)
class Series:
    """The instances that a task will have on one day, with their ids."""

    task: Scheduled
    planned: Sequence[Planned]
    ids: Sequence[int] = ()


def number(series: Sequence[Series]) -> None:
    """Give every instance its id."""
    numbers = ids.next_value("production_taskinstance_id_seq", sum(len(one.planned) for one in series))
    start = 0
    for one in series:
        one.ids = numbers[start : start + len(one.planned)]
        start += len(one.planned)


def split(series: Series, before: dict[tuple[int, datetime], int]) -> Series:
    """Take out of a series, and out of ``before``, what a task has already at a planned time; returns that, with its ids."""
    key = series.task.task
    kept = [one for one in series.planned if (key, one.scheduled_at) in before]
    series.planned = [one for one in series.planned if (key, one.scheduled_at) not in before]
    return Series(series.task, kept, [before.pop((key, one.scheduled_at)) for one in kept])


class Edge(NamedTuple):
    """``downstream`` waits for ``upstream``, unless that has succeeded (``met``)."""

    downstream: int
    upstream: int
    met: bool


INSTANCE_COLUMNS = (
    "id",
    "workflow_instance_id",
    "task_id",
    "version_id",
    "workspace_id",
    "environment",
    "bizdate",
    "scheduled_at",
    "not_before",
    "due_at",
    "period",
    "node_type",
    "kind",
    "needs_worker",
    "bypasses_trigger",
    "state",
    "frozen",
    "unmet",
    "attempt",
    "reruns_left",
    "priority",
    "resource_group_id",
)


def insert_instances(series: Sequence[Series], day: date, unmet: Mapping[int, int]) -> None:
    """Store the numbered instances of a scheduled day.

    Args:
        unmet: how many instances each has to wait for; those that wait for none wait for their time.
    """
    bizdate = day - timedelta(days=1)
    families = _families({(one.task.workspace, one.task.workflow) for one in series}, bizdate)
    sql.copy("production_taskinstance", INSTANCE_COLUMNS, _instances(series, bizdate, families, unmet))


def _instances(
    series: Iterable[Series], bizdate: date, families: Mapping[tuple[int, int | None], int], unmet: Mapping[int, int]
) -> Iterator[tuple[object, ...]]:
    not_run, wait_time, prod = State.NOT_RUN.value, State.WAIT_TIME.value, Environment.PROD.value
    for one in series:
        task = one.task
        family = families[task.workspace, task.workflow]
        runs = NODE_TYPES[task.node_type].needs_worker
        for planned, pk in zip(one.planned, one.ids, strict=True):
            kind = kind_of(task, planned)
            at = planned.scheduled_at
            waits_for = unmet.get(pk, 0)
            yield (
                pk,
                family,
                task.task,
                task.version,
                task.workspace,
                prod,
                bizdate,
                at,
                at,
                None if waits_for else at,
                planned.period,
                task.node_type,
                int(kind),
                runs and not kind.is_dry_run,
                False,
                not_run if waits_for else wait_time,
                kind is Kind.PAUSE,
                waits_for,
                0,
                task.rerun_times,
                task.priority,
                task.resource_group,
            )


def repin(series: Sequence[Series], day: date) -> None:
    """Give instances of a day that exist what they would have if they were made now. One that a person froze or unfroze stays
    so, unless its task was frozen or unfrozen since."""
    families = _families(
        {(one.task.workspace, one.task.workflow) for one in series if one.ids}, day - timedelta(days=1)
    )
    rows = [
        (pk, families[one.task.workspace, one.task.workflow], one.task, kind_of(one.task, planned), planned.period)
        for one in series
        for planned, pk in zip(one.planned, one.ids, strict=True)
    ]
    if not rows:
        return
    sql.rows(
        f"""UPDATE production_taskinstance i SET
               workflow_instance_id = one.family, version_id = one.version, period = one.period, kind = one.kind,
               needs_worker = one.needs_worker, priority = one.priority, resource_group_id = one.resource_group,
               reruns_left = one.reruns, frozen = CASE WHEN (i.kind = {Kind.PAUSE:d}) = (one.kind = {Kind.PAUSE:d})
                   THEN i.frozen ELSE one.kind = {Kind.PAUSE:d} END
           FROM unnest(%(ids)s::bigint[], %(families)s::bigint[], %(versions)s::bigint[], %(periods)s::int[],
               %(kinds)s::smallint[], %(need)s::boolean[], %(priorities)s::smallint[], %(groups)s::bigint[],
               %(reruns)s::smallint[])
               AS one(id, family, version, period, kind, needs_worker, priority, resource_group, reruns)
           WHERE i.id = one.id""",
        {
            "ids": [pk for pk, *_ in rows],
            "families": [family for _, family, *_ in rows],
            "versions": [task.version for _, _, task, *_ in rows],
            "periods": [period for *_, period in rows],
            "kinds": [int(kind) for *_, kind, _ in rows],
            "need": [NODE_TYPES[task.node_type].needs_worker and not kind.is_dry_run for _, _, task, kind, _ in rows],
            "priorities": [task.priority for _, _, task, *_ in rows],
            "groups": [task.resource_group for _, _, task, *_ in rows],
            "reruns": [task.rerun_times for _, _, task, *_ in rows],
        },
    )


_KINDS = {Recurrence.PAUSE.value: Kind.PAUSE, Recurrence.SKIP.value: Kind.SKIP}


def kind_of(task: Scheduled, planned: Planned) -> Kind:
    """How an instance will run; a dry run because of its day or its time stays one whatever the task's recurrence."""
    if planned.expired:
        return Kind.EXPIRED
    if planned.dry_run:
        return Kind.SKIP_CYCLE
    return _KINDS.get(task.recurrence, Kind.NORMAL)


def insert_edges(edges: Iterable[Edge], day: date) -> None:
    """Store edges into the instances of a scheduled day; none of them may be there already."""
    bizdate = day - timedelta(days=1)
    columns = ("downstream_id", "upstream_id", "met", "bizdate")
    sql.copy("production_instanceedge", columns, ((*edge, bizdate) for edge in edges))


def add_edges(edges: Collection[Edge], day: date) -> None:
    """The same; those that are there already stay as they are."""
    sql.rows(
        """INSERT INTO production_instanceedge (downstream_id, upstream_id, met, bizdate)
           SELECT downstream, upstream, met, %(bizdate)s::date
           FROM unnest(%(down)s::bigint[], %(up)s::bigint[], %(met)s::boolean[]) AS one(downstream, upstream, met)
           ON CONFLICT DO NOTHING""",
        {
            "bizdate": day - timedelta(days=1),
            "down": [edge.downstream for edge in edges],
            "up": [edge.upstream for edge in edges],
            "met": [edge.met for edge in edges],
        },
    )


def _families(wanted: set[tuple[int, int | None]], bizdate: date) -> dict[tuple[int, int | None], int]:
    """The scheduled workflow instance of each (workspace, workflow) for a business date, made where it is missing."""
    spaces = Workspace.objects.in_bulk({workspace for workspace, _ in wanted})
    workflows = ProductionWorkflow.objects.in_bulk({workflow for _, workflow in wanted if workflow is not None})
    WorkflowInstance.objects.bulk_create(
        [
            WorkflowInstance(
                workspace_id=workspace,
                environment=Environment.PROD,
                workflow_id=workflow,
                bizdate=bizdate,
                type=WorkflowInstance.Type.NORMAL,
                name=spaces[workspace].name if workflow is None else workflows[workflow].name,
            )
            for workspace, workflow in wanted
        ],
        ignore_conflicts=True,
    )
    found = WorkflowInstance.objects.filter(
        workspace__in=spaces,
        environment=Environment.PROD,
        bizdate=bizdate,
        type=WorkflowInstance.Type.NORMAL,
    )
    return {(workspace, workflow): pk for workspace, workflow, pk in found.values_list("workspace", "workflow", "pk")}
