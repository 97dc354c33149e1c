"""The scheduling parameters of a task or an instance, as people see them: expression, value, level, and what it hides."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet

from opscenter.base.reasons import Reason
from opscenter.production.models import (
    Attempt,
    ProductionWorkflow,
    SharedParameter,
    Task,
    TaskInstance,
    TaskVersion,
    WorkflowInstance,
)
from opscenter.production.rules import cron, levels
from opscenter.production.rules.levels import Effective, Level, Sources
from opscenter.production.rules.parameters import Context, ParameterError, evaluate, parse_assignments
from opscenter.workspaces.models import Workspace

_BACKFILL = WorkflowInstance.Type.BACKFILL


@dataclass(frozen=True)
class Shown:
    """A parameter with its value, or why it has none."""

    parameter: Effective
    value: str | None
    error: Reason | None = None


@dataclass(frozen=True)
class Parameters:
    """The parameters of a task or an instance.

    Attributes:
        is_pinned: they are those that an attempt ran with; otherwise those that would hold now.
        error: why none can be told.
    """

    rows: list[Shown]
    is_pinned: bool = False
    error: Reason | None = None


def shared(workspace: Workspace, environment: str) -> "QuerySet[SharedParameter]":
    """The global parameters of the workspace's tenant, and those of the workspace in an environment."""
    own = Q(workspace=workspace, environment=environment)
    return SharedParameter.objects.filter(Q(workspace=None) | own, tenant=workspace.tenant).order_by("name", "pk")


def shared_rows(workspace: Workspace, environment: str) -> list[tuple[bool, str, str]]:
    """The same as ``levels.Sources.shared``."""
    return [(row.workspace_id is not None, row.name, row.expression) for row in shared(workspace, environment)]


def of_task(task: Task, context: Context) -> Parameters:
    """What a scheduled run of the task would have."""
    return _evaluated(_sources(task, task.version, None), context)


def of_instance(instance: TaskInstance, attempt: Attempt | None, now: datetime) -> Parameters:
    """What the attempt ran with; while it has not ended, or without one, what the instance would have now."""
    if attempt is not None and attempt.version is not None and _is_kept(attempt):
        told = attempt.parameter_sources
        if told is None:  # from before levels were kept: all were the task's own
            own = parse_assignments(attempt.version.parameters)
            found = [Effective(name, own.get(name, ""), Level.NODE) for name in attempt.parameters]
        else:
            found = [levels.from_json(name, told[name]) for name in attempt.parameters]
        return Parameters([Shown(one, attempt.parameters[one.name]) for one in found], is_pinned=True)
    sources = _sources(instance.task, instance.task.version, instance.workflow_instance)
    return _evaluated(sources, _context_of(instance, attempt, now))


def _is_kept(attempt: Attempt) -> bool:
    """Whether it says what it ran with; one that was lost, or whose parameters had no value, does not."""
    return attempt.finished_at is not None and (attempt.parameter_sources is not None or bool(attempt.parameters))


def _context_of(instance: TaskInstance, attempt: Attempt | None, now: datetime) -> Context:
    zone = ZoneInfo(instance.workspace.tenant.time_zone)
    started = attempt.started_at if attempt is not None and attempt.started_at is not None else now
    is_backfill = instance.workflow_instance.type == _BACKFILL
    return Context(
        bizdate=instance.bizdate,
        scheduled_local=instance.scheduled_at.astimezone(zone).replace(tzinfo=None),
        current_date=instance.bizdate + timedelta(days=1) if is_backfill else started.astimezone(zone).date(),
        node_id=instance.task.number,
        workflow_id=_workflow_number(instance.task),
        instance_id=instance.pk,
    )


def planned(task: Task | None, bizdate: date, at: time) -> Context:
    """The context of a scheduled run for a business date, at a local time of day, started on its scheduled day. There is
    no instance yet: its id is 0.

    Raises:
        OverflowError: the calendar ends with that day.
    """
    day = bizdate + timedelta(days=1)
    return Context(
        bizdate=bizdate,
        scheduled_local=datetime.combine(day, at),
        current_date=day,
        node_id=task.number if task is not None else 0,
        workflow_id=_workflow_number(task) if task is not None else ProductionWorkflow.PLAIN,
        instance_id=0,
    )


def first_time_of_day(task: Task | None) -> time:
    """When the task first runs on its days; midnight where that cannot be told."""
    return first_time_of_cron(task.version.cron if task is not None and task.version is not None else "")


def first_time_of_cron(text: str) -> time:
    """The first time of day of a schedule; midnight where there is none."""
    try:
        return cron.parse(text).times_of_day()[0]
    except cron.CronError:
        return time()


def users_of(parameter: SharedParameter) -> list[Task]:
    """Online tasks whose code names the parameter, and which nothing narrower gives it."""
    named = Task.objects.filter(
        workspace__tenant=parameter.tenant_id,
        status=Task.Status.ONLINE,
        version__content__regex=rf"\m{parameter.name}\M",
    ).select_related("version", "workflow", "workspace__tenant")
    if parameter.workspace_id is not None:
        named = named.filter(workspace=parameter.workspace_id, environment=parameter.environment)
    level = Level.GLOBAL if parameter.workspace_id is None else Level.WORKSPACE
    return [task for task in named.order_by("name", "number") if _has(task, parameter.name, level)]


def _has(task: Task, name: str, level: Level) -> bool:
    try:
        found = levels.effective(_sources(task, task.version, None))
    except ParameterError:
        return False
    return any(one.name == name and one.level is level for one in found)


def _workflow_number(task: Task) -> int:
    return task.workflow.number if task.workflow is not None else ProductionWorkflow.PLAIN


def _sources(task: Task, version: TaskVersion | None, family: WorkflowInstance | None) -> Sources:
    rows = shared_rows(task.workspace, task.environment) if task.type.has_code else []  # nobody else can use them
    workflow = task.workflow.parameters if task.workflow is not None else ""
    overrides = family.parameters if family is not None else None
    is_shared = rows or workflow or overrides  # otherwise nobody asks for the code, which may not have been read
    return Sources(
        shared=rows,
        workflow=workflow,
        node=version.parameters if version is not None else "",
        overrides=overrides,
        task=task.number,
        run_wins=family is not None and WorkflowInstance.Type(family.type).is_manual,
        code=version.content if version is not None and is_shared else "",
    )


def _evaluated(sources: Sources, context: Context) -> Parameters:
    try:
        found = levels.effective(sources)
    except ParameterError as error:
        return Parameters([], error=error.reason)
    return Parameters(list(_values(found, context)))


def _values(found: Iterable[Effective], context: Context) -> Iterable[Shown]:
    for one in found:
        try:
            yield Shown(one, evaluate(one.expression, context))
        except ParameterError as error:
            yield Shown(one, None, error.reason)
