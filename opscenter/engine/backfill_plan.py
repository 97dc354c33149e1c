"""What a backfill would make: read once, looked at in the preview, fixed in the job, made from there."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from opscenter.base import sql
from opscenter.base.reasons import Reason
from opscenter.engine import bulk
from opscenter.engine.bulk import Scheduled
from opscenter.engine.generate import Planner
from opscenter.engine.links import Links, links_of
from opscenter.production.models import Recurrence, Task, TaskVersion
from opscenter.production.node_types import HTTP_TRIGGER
from opscenter.production.rules import backfill as rules
from opscenter.production.rules import cron
from opscenter.production.rules.backfill import Facts, Graph, Mode, Part, Role
from opscenter.production.rules.planning import Planned
from opscenter.production.rules.states import State
from opscenter.workspaces.models import Tenant

_NAMED = 5
"""Tasks that a problem names."""
_HISTORY_OF = rules.MOST_TASKS
"""Tasks of a job whose past runs are looked at to tell how long it will take."""


@dataclass(frozen=True)
class Dates:
    """When a job runs: its business dates in order, and which times of a day of its hour and minute tasks."""

    days: Sequence[date]
    groups: int = 1
    order: rules.Order = rules.Order.ASC
    start: time = time.min
    end: time = time(23, 59, 59)


class TaskRow(NamedTuple):
    """What the plan needs to know of any task of the tenant."""

    pk: int
    number: int
    name: str
    workspace: int
    owner: int
    status: str
    recurrence: str
    node_type: str
    is_root: bool
    version: int | None
    trigger: str

    def facts(self, may: Callable[[int, int], bool]) -> Facts:
        """What the rules ask."""
        return Facts(
            is_permitted=may(self.workspace, self.owner),
            is_frozen=self.recurrence == Recurrence.PAUSE,
            is_dry_run=self.recurrence == Recurrence.SKIP,
            is_trigger=self.node_type == HTTP_TRIGGER.code,
            is_online=self.status == Task.Status.ONLINE and self.version is not None,
            is_root=self.is_root,
            is_manual=self.trigger == Task.Trigger.MANUAL,
        )


@dataclass(frozen=True)
class DayPlan:
    """One business date.

    Attributes:
        after: the date that its group does before it; one on which nothing runs is passed over.
        counts: instances by what they do: a ``Part``, or ``off_day`` for dry runs because of the day.
    """

    bizdate: date
    after: date | None
    counts: Mapping[str, int]

    @property
    def instances(self) -> int:
        """How many there will be."""
        return sum(self.counts.values())


@dataclass
class Plan:
    """Everything a job would make, and what stands against it.

    Attributes:
        roles: what each task of the job does, and why, by task.
        level: how far below the beginning of the job each task is.
        problems: why it cannot be made.
        links: among the tasks of the job.
    """

    tasks: Mapping[int, TaskRow]
    roles: Mapping[int, Role]
    level: Mapping[int, int]
    skipped: Mapping[int, str]
    days: Sequence[DayPlan]
    links: Links
    problems: list[Reason] = field(default_factory=list)

    @property
    def instances(self) -> int:
        """How many instances in all."""
        return sum(day.instances for day in self.days)

    @property
    def workspaces(self) -> list[int]:
        """Those whose tasks are in the job."""
        return sorted({self.tasks[pk].workspace for pk in self.roles})

    def running(self) -> list[int]:
        """Tasks that run or are born frozen, by number: those an extension is told to be included."""
        return sorted(pk for pk, role in self.roles.items() if role.part is not Part.DRY_RUN)

    def pinned(self) -> dict[str, Any]:
        """The plan as the job keeps it."""
        return {
            "tasks": [[pk, self.tasks[pk].version, role.part.value] for pk, role in sorted(self.roles.items())],
            "normal": sorted(map(list, self.links.normal)),
            "previous": sorted(map(list, self.links.previous)),
            "chained": sorted(self.links.chained),
        }

    def fingerprint(self, settings: Mapping[str, Any]) -> str:
        """The same for the same preview: tasks and what they do, dates with their counts, links, and what was asked."""
        told = [
            settings,
            [[pk, role.part.value, role.why] for pk, role in sorted(self.roles.items())],
            sorted(self.skipped.items()),
            [[str(day.bizdate), str(day.after), sorted(day.counts.items())] for day in self.days],
            sorted(map(list, self.links.normal)),
            sorted(map(list, self.links.previous)),
        ]
        return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def make_plan(
    tenant: Tenant,
    environment: str,
    wanted: rules.Selection,
    dates: Dates,
    may: Callable[[int, int], bool],
    sees: Collection[int],
) -> Plan:
    """Plan a job.

    Args:
        wanted: tasks are named by their primary keys.
        may: whether the asker may run tasks of (workspace, owner).
        sees: the workspaces whose tasks the asker may know the names of.
    """
    tasks = _tasks(tenant, environment)
    links = links_of(tenant, environment)
    graph = Graph.of(links.normal)
    chosen, left_out = rules.choose(wanted, graph, {pk: row.workspace for pk, row in tasks.items()})
    facts = {pk: row.facts(may) for pk, row in tasks.items()}
    cast = rules.cast(graph, chosen, left_out, facts)
    among = links.among(cast.roles)
    inner = Graph.of(among.normal)
    starts = [pk for pk in cast.roles if not inner.up.get(pk)]
    series = _scheduled(tasks, cast.roles)
    plan = Plan(
        tasks=tasks,
        roles=cast.roles,
        level=rules.levels(inner.down, starts),
        skipped=cast.skipped,
        days=_days(series, cast.roles, dates, ZoneInfo(tenant.time_zone)),
        links=among,
    )
    plan.problems = _problems(plan, wanted, dates, cast.barred, sees)
    return plan


def _tasks(tenant: Tenant, environment: str) -> dict[int, TaskRow]:
    found = Task.objects.filter(workspace__tenant=tenant, environment=environment)
    columns = (
        "pk",
        "number",
        "name",
        "workspace_id",
        "owner_id",
        "status",
        "recurrence",
        "node_type",
        "is_root",
        "version_id",
        "trigger",
    )
    return {row[0]: TaskRow(*row) for row in found.values_list(*columns)}


def _scheduled(tasks: Mapping[int, TaskRow], roles: Collection[int]) -> list[Scheduled]:
    return bulk.scheduled(TaskVersion.objects.filter(pk__in=[tasks[pk].version for pk in roles]).order_by("task"))


@dataclass
class DayPlanner:
    """The instances of tasks on one scheduled day, those of hour and minute tasks within the hours that were asked for."""

    planner: Planner
    start: time
    end: time
    _known: dict[tuple[Any, ...], Sequence[Planned]] = field(default_factory=dict)

    def plan(self, task: Scheduled) -> Sequence[Planned]:
        """Of one task; those of the same schedule share theirs."""
        key = (task.cron, task.start_at, task.end_at)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._within(task, self.planner.plan(task))
        return found

    def _within(self, task: Scheduled, planned: Sequence[Planned]) -> Sequence[Planned]:
        if cron.parse(task.cron).cycle.is_daylike:
            return planned
        zone = self.planner.zone
        return [
            one for one in planned if self.start <= one.scheduled_at.astimezone(zone).time().replace(fold=0) <= self.end
        ]


def planner_of(bizdate: date, zone: ZoneInfo, start: time, end: time) -> DayPlanner:
    """For a business date: its scheduled day is the one after."""
    return DayPlanner(Planner(bizdate + timedelta(days=1), zone), start, end)


def _days(series: Sequence[Scheduled], roles: Mapping[int, Role], dates: Dates, zone: ZoneInfo) -> list[DayPlan]:
    """Tasks of the same schedule that do the same are counted as one."""
    alike: dict[tuple[Any, ...], list[Scheduled]] = {}
    for task in series:
        alike.setdefault((task.cron, task.start_at, task.end_at, roles[task.task].part), []).append(task)
    after = rules.predecessors(dates.days, dates.groups)
    found: list[DayPlan] = []
    known: dict[date, DayPlan] = {}
    for day in dates.days:
        planner = planner_of(day, zone, dates.start, dates.end)
        counts: Counter[str] = Counter()
        for (*_schedule, part), tasks in alike.items():
            for one in planner.plan(tasks[0]):
                counts["off_day" if one.dry_run and part is not Part.DRY_RUN else part.value] += len(tasks)
        earlier = after[day]
        before = known[earlier] if earlier else None
        if before is not None and not before.instances:  # on which nothing runs: it is passed over
            before = known[before.after] if before.after else None
        known[day] = DayPlan(day, before.bizdate if before else None, counts)
        found.append(known[day])
    return found


def _problems(
    plan: Plan, wanted: rules.Selection, dates: Dates, barred: Collection[int], sees: Collection[int]
) -> list[Reason]:
    found = []
    most = rules.MOST_TASKS_BY_WORKSPACE if wanted.mode is Mode.MASSIVE else rules.MOST_TASKS
    if len(wanted.roots) > rules.MOST_ROOTS:
        found.append(Reason("backfill.too_many_roots", {"most": rules.MOST_ROOTS, "given": len(wanted.roots)}))
    if len(plan.roles) > most:
        found.append(Reason("backfill.too_many_tasks", {"most": most, "given": len(plan.roles)}))
    if not any(role.part is not Part.DRY_RUN for role in plan.roles.values()) and not barred:
        found.append(Reason("backfill.no_link" if wanted.mode is Mode.LINK else "backfill.nothing_runs"))
    elif not plan.instances:
        found.append(Reason("backfill.no_instances"))
    if plan.instances > rules.MOST_INSTANCES:
        found.append(Reason("backfill.too_many_instances", {"most": rules.MOST_INSTANCES, "given": plan.instances}))
    if barred:
        found.append(Reason("backfill.barred", _named(plan, barred, sees)))
    if wrong := rules.contradictions(dates.days, dates.order, plan.links.previous):
        found.append(Reason("backfill.newest_first", _named(plan, wrong, sees)))
    return found


def _named(plan: Plan, tasks: Collection[int], sees: Collection[int]) -> dict[str, Any]:
    """``hidden``: how many there are that the asker may not know of."""
    names = sorted(plan.tasks[pk].name for pk in tasks if plan.tasks[pk].workspace in sees)
    return {"names": names[:_NAMED], "more": max(0, len(names) - _NAMED), "hidden": len(tasks) - len(names)}


@dataclass(frozen=True)
class Expected:
    """How long a job will take by past runs, when nothing holds it up; ``unknown``: tasks that never ran."""

    seconds: float
    unknown: int


def expected(plan: Plan, dates: Dates) -> Expected | None:
    """None where there are too many tasks to tell."""
    running = [pk for pk, role in plan.roles.items() if role.part is Part.RUN]
    if not running or len(running) > _HISTORY_OF:
        return None
    known = dict(sql.rows(_DURATIONS, {"tasks": running}))
    seconds = {pk: float(known.get(pk) or 0.0) for pk in plan.roles}
    one_date = rules.longest(Graph.of(plan.links.normal), seconds)
    line = max((len(chain) for chain in rules.chains(dates.days, dates.groups)), default=0)
    return Expected(one_date * line, sum(pk not in known for pk in running))


_DURATIONS = f"""
SELECT t.id, avg(extract(epoch FROM last.finished_at - last.started_at))::float
FROM unnest(%(tasks)s::bigint[]) AS t(id) CROSS JOIN LATERAL (
    SELECT i.finished_at, i.started_at FROM production_taskinstance i
    WHERE i.task_id = t.id AND i.state = {State.SUCCESS:d} AND i.kind = 0
    AND i.started_at IS NOT NULL AND i.finished_at IS NOT NULL
    ORDER BY i.bizdate DESC LIMIT 10
) last GROUP BY t.id"""
