"""Generation: tomorrow's instances and their edges at night, today's at once for tasks that ask for it (spec 3.1, 3.2)."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from django.db import transaction
from django.db.models import Max

from opscenter.base import clock, ids, notify
from opscenter.engine import bulk, wiring
from opscenter.engine.bulk import Scheduled, Series
from opscenter.engine.links import links_of, normal_into
from opscenter.production.models import (
    Environment,
    GenerationRun,
    ResourceGroup,
    Task,
    TaskOutput,
    TaskVersion,
)
from opscenter.production.node_types import VIRTUAL
from opscenter.production.rules import cron, planning
from opscenter.production.rules.planning import Planned
from opscenter.workspaces.models import Tenant, User, Workspace

logger = structlog.get_logger(__name__)
LONGEST_OUTAGE = 31
"""Days that are made up at most after an outage."""


def run_nights() -> datetime | None:
    """Generate every day that is due and was not generated; returns the next night that comes."""
    nights = []
    for tenant in Tenant.objects.all():
        local = clock.now().astimezone(ZoneInfo(tenant.time_zone))
        last = local.date() + timedelta(days=1 if local.time() >= planning.GENERATION_STARTS else 0)
        done = GenerationRun.objects.filter(tenant=tenant).aggregate(day=Max("day"))["day"]
        day = max(done + timedelta(days=1), last - timedelta(days=LONGEST_OUTAGE)) if done else last
        while day <= last:
            generate_day(tenant, day)
            day += timedelta(days=1)
        nights.append(datetime.combine(last, planning.GENERATION_STARTS, ZoneInfo(tenant.time_zone)))
    return min(nights, default=None)


@transaction.atomic
def generate_day(tenant: Tenant, day: date) -> GenerationRun | None:
    """Generate all scheduled instances of a tenant's day, once; None when it was done before."""
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    if GenerationRun.objects.filter(tenant=tenant, day=day).exists():
        return None
    planner = Planner(day, ZoneInfo(tenant.time_zone))
    links = links_of(tenant)
    series = [Series(task, planner.plan(task)) for task in _tasks_of_the_day(tenant, day)]
    series = _connected(series, links.normal)
    bulk.number(series)
    edges = wiring.insert(series, links, day)
    made = sum(len(one.ids) for one in series)
    notify.notify(notify.DUE)
    run = GenerationRun.objects.create(tenant=tenant, day=day, instances=made, edges=edges)
    logger.info("generation.done", tenant=tenant.name, day=str(day), instances=made, edges=edges)
    return run


@dataclass
class Planner:
    """Plans a day's instances; tasks of the same schedule share their plan."""

    day: date
    zone: ZoneInfo
    _known: dict[tuple[str, datetime | None, datetime | None], Sequence[Planned]] = field(default_factory=dict)

    def plan(self, task: Scheduled) -> Sequence[Planned]:
        """The instances of a task."""
        key = (task.cron, task.start_at, task.end_at)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = _plan(*key, self.day, self.zone)
        return found


def plan(version: TaskVersion, day: date, zone: ZoneInfo) -> list[Planned]:
    """The instances that a version has on a scheduled local day."""
    return _plan(version.cron, version.start_at, version.end_at, day, zone)


def _plan(text: str, start: datetime | None, end: datetime | None, day: date, zone: ZoneInfo) -> list[Planned]:
    effective = [None if at is None else at.astimezone(zone).replace(tzinfo=None) for at in (start, end)]
    return planning.plan_day(cron.parse(text), day, zone, (effective[0], effective[1]))


def _tasks_of_the_day(tenant: Tenant, day: date) -> list[Scheduled]:
    """Online production tasks, each with the version that the day's generation knows."""
    versions = TaskVersion.objects.filter(
        task__workspace__tenant=tenant,
        task__workspace__periodic_scheduling=True,
        task__environment=Environment.PROD,
        task__status=Task.Status.ONLINE,
        task__trigger=Task.Trigger.SCHEDULER,
        first_day__lte=day,
    )
    return bulk.scheduled(versions.order_by("task", "-number").distinct("task"))


def _connected(
    series: Sequence[Series], links: Iterable[tuple[int, int]], present: Collection[int] = ()
) -> list[Series]:
    """Those that have instances on the day, and an upstream task that has: the others are isolated and never scheduled.

    Args:
        links: pairs (upstream task, task).
        present: tasks that have instances that day already.
    """
    planned = {one.task.task: one for one in series if one.planned}
    downstream: dict[int, list[int]] = {}
    for up, down in links:
        if down in planned:
            downstream.setdefault(up, []).append(down)
    kept = {pk for pk, one in planned.items() if one.task.is_root}
    reached = [*kept, *(pk for pk in present if pk not in kept)]
    while reached:
        fresh = [pk for pk in downstream.get(reached.pop(), ()) if pk not in kept]
        kept.update(fresh)
        reached += fresh
    return [one for pk, one in planned.items() if pk in kept]


def deploy_immediately(tasks: Sequence[Task], new: Collection[int]) -> int:
    """Make the rest of today's instances of tasks just published that ask for it (10-minute rule, spec 3.2).

    Must run in the publishing transaction, after versions, outputs and dependencies are written.

    Args:
        new: ids of those that were not in production before: their past instances of today come as expired dry runs.

    What is planned for a time at which the task has an instance already, one that has not started, is that instance, with what
    it pins renewed: whoever froze it or triggered it did so for this run. What is no longer planned goes.

    Returns:
        How many instances were made, or planned anew.
    """
    wanted = [
        task
        for task in tasks
        if task.environment == Environment.PROD
        and task.status == Task.Status.ONLINE
        and task.trigger == Task.Trigger.SCHEDULER
        and task.workspace.periodic_scheduling
        and task.version is not None
        and task.version.instance_mode == TaskVersion.InstanceMode.IMMEDIATELY
    ]
    if not wanted:
        return 0
    tenant = wanted[0].workspace.tenant
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)  # not while the night's pass runs
    zone = ZoneInfo(tenant.time_zone)
    now = clock.now()
    local = now.astimezone(zone)
    if local.time() >= planning.GENERATION_STARTS:
        return 0  # from 23:30 on a change is for the day after tomorrow, whatever the mode
    today = local.date()
    before = wiring.lock_future([task.pk for task in wanted if task.pk not in new], today, now + planning.GRACE)
    planner = Planner(today, zone)
    chosen = bulk.scheduled(TaskVersion.objects.filter(pk__in=[task.version_id for task in wanted]).order_by("task"))
    series = [
        Series(task, planning.plan_immediately(planner.plan(task), now, is_new=task.task in new)) for task in chosen
    ]
    upstream = normal_into([task.task for task in chosen])
    present = wiring.present([up for up, _task in upstream], today, but=before.values())
    series = _connected(series, upstream, present)
    made = sum(len(one.planned) for one in series)
    kept = [bulk.split(one, before) for one in series]  # those of the same time stay who they are
    wiring.cut_loose([pk for one in kept for pk in one.ids], list(before.values()))
    bulk.number(series)
    bulk.insert_instances(series, today, {})
    bulk.repin(kept, today)
    wiring.wire(tenant, {task.pk for task in wanted}, today)
    notify.notify(notify.DUE)
    return made


def isolated_on(task: Task) -> date | None:
    """The latest day that was generated, if the task's schedule has instances on it and there are none because no task
    that it depends on has any; else None."""
    version = task.version
    is_scheduled = task.environment == Environment.PROD and task.status == Task.Status.ONLINE and not task.is_root
    if version is None or not is_scheduled or not task.workspace.periodic_scheduling:
        return None
    tenant = task.workspace.tenant
    day = GenerationRun.objects.filter(tenant=tenant).aggregate(day=Max("day"))["day"]
    if day is None or day < version.first_day or not plan(version, day, ZoneInfo(tenant.time_zone)):
        return None
    upstream = [up for up, _task in normal_into([task.pk])]
    return None if wiring.present([task.pk, *upstream], day, but=()) else day


def default_group(tenant: Tenant) -> ResourceGroup:
    """The tenant's resource group called ``default``."""
    return ResourceGroup.objects.get_or_create(tenant=tenant, name=ResourceGroup.DEFAULT)[0]


def root_output(workspace: Workspace) -> str:
    """The output name of a workspace's root node."""
    return f"{workspace.name}_root"


@transaction.atomic
def ensure_root(workspace: Workspace, environment: str, owner: User) -> Task:
    """The workspace's root task: zero-load, at 00:00, on which nodes without upstream hang. Made if it is missing; its
    instance of today is an expired dry run, so that what is published today can hang on it."""
    found = Task.objects.filter(workspace=workspace, environment=environment, is_root=True).first()
    if found is not None:
        return found
    other = Task.objects.filter(workspace=workspace, is_root=True).first()
    root = Task.objects.create(
        number=other.number if other else ids.next_value("task_number")[0],
        environment=environment,
        workspace=workspace,
        name=root_output(workspace),
        node_type=VIRTUAL.code,
        owner=owner,
        resource_group=default_group(workspace.tenant),
        is_root=True,
    )
    now = clock.now()
    zone = ZoneInfo(workspace.tenant.time_zone)
    root.version = TaskVersion.objects.create(
        task=root,
        number=1,
        cron=cron.parse("0 0 0 * * ?").text,
        instance_mode=TaskVersion.InstanceMode.IMMEDIATELY,
        published_by=owner,
        published_at=now,
        first_day=planning.first_generated_day(now, zone),
    )
    root.save(update_fields=["version"])
    TaskOutput.objects.create(tenant=workspace.tenant, environment=environment, name=root_output(workspace), task=root)
    deploy_immediately([root], {root.pk})
    return root
