"""Generation: tomorrow's instances and their edges at night, today's at once for tasks that ask for it (spec 3.1, 3.2)."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from django.db import transaction
from django.db.models import Max

from opscenter.base import clock, ids, notify
from opscenter.engine import wiring
from opscenter.production.models import (
    Environment,
    GenerationRun,
    Recurrence,
    ResourceGroup,
    Task,
    TaskDependency,
    TaskInstance,
    TaskOutput,
    TaskVersion,
    WorkflowInstance,
)
from opscenter.production.node_types import NODE_TYPES, VIRTUAL
from opscenter.production.rules import cron, planning
from opscenter.production.rules.planning import Planned
from opscenter.production.rules.states import Kind, State
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
    tasks = _tasks_of_the_day(tenant, day)
    zone = ZoneInfo(tenant.time_zone)
    plans = {task.pk: plan(version, day, zone) for task, version in tasks}
    plans = _without_isolated(plans, _upstream([task.pk for task, _ in tasks]))
    made = build([(task, version, plans[task.pk]) for task, version in tasks if task.pk in plans], day)
    edges = wiring.insert(made)
    notify.notify(notify.DUE)
    run = GenerationRun.objects.create(tenant=tenant, day=day, instances=len(made), edges=edges)
    logger.info("generation.done", tenant=tenant.name, day=str(day), instances=len(made), edges=edges)
    return run


def plan(version: TaskVersion, day: date, zone: ZoneInfo) -> list[Planned]:
    """The instances that a version has on a scheduled local day."""
    effective = tuple(
        None if at is None else at.astimezone(zone).replace(tzinfo=None) for at in (version.start_at, version.end_at)
    )
    return planning.plan_day(cron.parse(version.cron), day, zone, (effective[0], effective[1]))


def _tasks_of_the_day(tenant: Tenant, day: date) -> list[tuple[Task, TaskVersion]]:
    """Online production tasks, each with the version that the day's generation knows."""
    tasks = {
        task.pk: task
        for task in Task.objects.filter(
            workspace__tenant=tenant,
            workspace__periodic_scheduling=True,
            environment=Environment.PROD,
            status=Task.Status.ONLINE,
        )
    }
    versions = (
        TaskVersion.objects.filter(task__in=tasks, first_day__lte=day).order_by("task", "-number").distinct("task")
    )
    return [(tasks[version.task_id], version) for version in versions]


def _upstream(tasks: Collection[int]) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    rows = TaskDependency.objects.filter(task__in=tasks, type=TaskDependency.Type.NORMAL)
    for task, upstream in rows.values_list("task_id", "upstream_id"):
        found.setdefault(task, set()).add(upstream)
    return found


def _without_isolated(plans: dict[int, list[Planned]], upstream: dict[int, set[int]]) -> dict[int, list[Planned]]:
    """Leave out tasks none of whose upstream tasks has an instance that day: they are isolated and never scheduled."""
    roots = set(Task.objects.filter(pk__in=plans, is_root=True).values_list("pk", flat=True))
    kept = {pk: planned for pk, planned in plans.items() if planned}
    while isolated := [pk for pk in kept if pk not in roots and not upstream.get(pk, set()) & kept.keys()]:
        for pk in isolated:
            del kept[pk]
    return kept


def build(chosen: Sequence[tuple[Task, TaskVersion, list[Planned]]], day: date) -> list[TaskInstance]:
    """The instances of a scheduled day, numbered but not stored."""
    families = _families([task for task, _, _ in chosen], day - timedelta(days=1))
    rows = [
        _instance(task, version, planned, families[(task.workspace_id, task.workflow_id)])
        for task, version, plans in chosen
        for planned in plans
    ]
    for row, pk in zip(rows, ids.next_value("production_taskinstance_id_seq", len(rows)), strict=True):
        row.pk = pk
    return rows


def _instance(task: Task, version: TaskVersion, planned: Planned, family: WorkflowInstance) -> TaskInstance:
    kind = _kind(task, planned)
    dry = kind.is_dry_run
    return TaskInstance(
        workflow_instance=family,
        task=task,
        version=version,
        workspace_id=task.workspace_id,
        environment=task.environment,
        bizdate=family.bizdate,
        scheduled_at=planned.scheduled_at,
        not_before=planned.scheduled_at,
        period=planned.period,
        node_type=task.node_type,
        kind=kind,
        needs_worker=NODE_TYPES[task.node_type].needs_worker and not dry,
        state=State.WAIT_TIME,
        due_at=planned.scheduled_at,
        frozen=kind is Kind.PAUSE,
        priority=task.priority,
        resource_group_id=task.resource_group_id,
        reruns_left=version.rerun_times,
    )


def _kind(task: Task, planned: Planned) -> Kind:
    if planned.expired:
        return Kind.EXPIRED
    if planned.dry_run:
        return Kind.SKIP_CYCLE
    return {Recurrence.PAUSE: Kind.PAUSE, Recurrence.SKIP: Kind.SKIP}.get(Recurrence(task.recurrence), Kind.NORMAL)


def _families(tasks: Iterable[Task], bizdate: date) -> dict[tuple[int, int | None], WorkflowInstance]:
    """The scheduled workflow instance of each (workspace, workflow) for a business date."""
    found: dict[tuple[int, int | None], WorkflowInstance] = {}
    for task in tasks:
        key = (task.workspace_id, task.workflow_id)
        if key not in found:
            found[key], _ = WorkflowInstance.objects.get_or_create(
                workspace_id=task.workspace_id,
                environment=task.environment,
                workflow_id=task.workflow_id,
                bizdate=bizdate,
                type=WorkflowInstance.Type.NORMAL,
                defaults={"name": task.workflow.name if task.workflow else task.workspace.name},
            )
    return found


def deploy_immediately(tasks: Sequence[Task], new: Collection[int]) -> int:
    """Make the rest of today's instances of tasks just published that ask for it (10-minute rule, spec 3.2).

    Must run in the publishing transaction, after versions, outputs and dependencies are written.

    Args:
        new: ids of those that were not in production before: their past instances of today come as expired dry runs.

    Returns:
        How many instances were made.
    """
    wanted = [
        task
        for task in tasks
        if task.environment == Environment.PROD
        and task.status == Task.Status.ONLINE
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
    changed = [task.pk for task in wanted if task.pk not in new]
    wiring.drop_future(changed, today, now + planning.GRACE)
    chosen = []
    for task in wanted:
        assert task.version is not None
        planned = planning.plan_immediately(plan(task.version, today, zone), now, is_new=task.pk in new)
        chosen.append((task, task.version, planned))
    made = TaskInstance.objects.bulk_create(build(_connected(chosen, today), today))
    wiring.wire({task.pk for task in wanted}, today)
    notify.notify(notify.DUE)
    return len(made)


def _connected(
    chosen: list[tuple[Task, TaskVersion, list[Planned]]], day: date
) -> list[tuple[Task, TaskVersion, list[Planned]]]:
    """Those that have an upstream instance today, made already or among these; the others are isolated today."""
    upstream = _upstream([task.pk for task, _, _ in chosen])
    everything = set().union(*upstream.values()) if upstream else set()
    present = set(
        TaskInstance.objects.filter(
            task__in=everything,
            bizdate=day - timedelta(days=1),
            workflow_instance__type=WorkflowInstance.Type.NORMAL,
        ).values_list("task_id", flat=True)
    )
    left = {task.pk: (task, version, plans) for task, version, plans in chosen if plans}
    while isolated := [
        pk
        for pk, (task, _, _) in left.items()
        if not task.is_root and not upstream.get(pk, set()) & (present | left.keys())
    ]:
        for pk in isolated:
            del left[pk]
    return list(left.values())


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
