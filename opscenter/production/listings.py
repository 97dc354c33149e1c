"""The lists of tasks and instances: what may be asked for, and which index answers it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Case, Q, QuerySet, When

from opscenter.production import holdups, selectors
from opscenter.production.models import Task, TaskInstance, TaskVersion, WorkflowInstance
from opscenter.production.rules import cron
from opscenter.production.rules.cron import Cycle
from opscenter.production.rules.states import WAITING, State
from opscenter.workspaces.models import User, Workspace

_LONGEST_NUMBER = 18
"""Digits of ids that fit the database; a longer run of digits can only be part of a name."""
FEW_TASKS = 100
"""Tasks up to which their instances are found by the tasks."""


@dataclass(frozen=True)
class TaskFilter:
    """Which tasks; None and empty mean any. ``text`` is part of a name, or a task's number."""

    text: str = ""
    node_type: str = ""
    owner: int | None = None
    recurrence: str = ""
    cycle: Cycle | None = None
    workflow: int | None = None
    offline: bool = False
    trigger: Task.Trigger = Task.Trigger.SCHEDULER


@dataclass(frozen=True)
class InstanceFilter:
    """Which instances; None and empty mean any.

    Attributes:
        text: part of the task's name, or the number of the task or of the instance.
        run: id of a workflow instance.
        scheduled_from, scheduled_to: both inclusive.
        group: name of the resource group.
        held_by: the instance that they wait for, directly or through others.
    """

    text: str = ""
    task: int | None = None
    backfill: int | None = None
    bizdate: date | None = None
    states: Collection[State] = ()
    frozen: bool = False
    node_type: str = ""
    owner: int | None = None
    workflow: int | None = None
    run: int | None = None
    scheduled_from: datetime | None = None
    scheduled_to: datetime | None = None
    group: str = ""
    held_by: int | None = None


def tasks(user: User, workspace: Workspace, environment: str, wanted: TaskFilter) -> "QuerySet[Task]":
    """Tasks in keyset order by number. Index: task_list."""
    found = selectors.tasks(user, workspace, environment)
    status = Task.Status.OFFLINE if wanted.offline else Task.Status.ONLINE
    found = found.filter(status=status, trigger=wanted.trigger)
    if wanted.text:
        found = found.filter(_named("number", "name", wanted.text))
    if wanted.node_type:
        found = found.filter(node_type=wanted.node_type)
    if wanted.owner is not None:
        found = found.filter(owner__uid=wanted.owner)
    if wanted.recurrence:
        found = found.filter(recurrence=wanted.recurrence)
    if wanted.workflow is not None:
        found = found.filter(workflow__number=wanted.workflow)
    if wanted.cycle is not None:
        found = found.filter(version__cron__in=_crons_of(found, wanted.cycle))
    return found


def search_backfillable(user: User, workspace: Workspace, environment: str, text: str) -> "QuerySet[Task]":
    """What can be backfilled and has all the words in its name, or the id: those of this workspace first, then those whose
    names begin with the text."""
    found = selectors.backfillable(user, workspace, environment)
    for word in text.split():
        found = found.filter(_named("number", "name", word))
    far = Case(When(workspace=workspace.pk, then=0), default=1)
    later = Case(When(name__istartswith=text, then=0), default=1)
    return found.order_by(far, later, "name", "number")


def instances(
    user: User,
    workspace: Workspace,
    environment: str,
    kinds: Collection[WorkflowInstance.Type],
    wanted: InstanceFilter,
) -> "QuerySet[TaskInstance]":
    """Instances of these kinds of runs, in keyset order by (scheduled time, id).

    Index: instance_list where the business date is given, else instance_list_all.
    """
    found = selectors.instances(user, workspace, environment).filter(workflow_instance__type__in=kinds)
    if wanted.bizdate is not None:
        found = found.filter(bizdate=wanted.bizdate)
    if wanted.states:
        found = found.filter(state__in=wanted.states)
    if wanted.frozen:
        found = found.filter(frozen=True)
    if wanted.node_type:
        found = found.filter(node_type=wanted.node_type)
    found = found.filter(_of_tasks(workspace, environment, wanted))
    if wanted.run is not None:
        found = found.filter(workflow_instance=wanted.run)
    if WorkflowInstance.Type.BACKFILL in kinds:
        found = found.filter(turn_of__isnull=True)  # turns belong to the job, not to what it runs
    if wanted.backfill is not None:
        found = found.filter(workflow_instance__backfill_date__backfill=wanted.backfill)
    if wanted.group:
        found = found.filter(resource_group__name=wanted.group)
    if wanted.held_by is not None:
        found = found.filter(pk__in=holdups.held_by(wanted.held_by), state__in=WAITING)
    if wanted.scheduled_from is not None:
        found = found.filter(scheduled_at__gte=wanted.scheduled_from)
    if wanted.scheduled_to is not None:
        found = found.filter(scheduled_at__lte=wanted.scheduled_to)
    return found


def _of_tasks(workspace: Workspace, environment: str, wanted: InstanceFilter) -> Q:
    """What is asked of their tasks. The instances of few tasks are found by these; a list that is walked until a page is full
    would be walked to its end for them. Index: instance_of_task."""
    given = {"owner__uid": wanted.owner, "workflow__number": wanted.workflow, "number": wanted.task}
    asked = {name: value for name, value in given.items() if value is not None}
    if not asked and not wanted.text:
        return Q()
    of_task = Q(**{f"task__{name}": value for name, value in asked.items()})
    chosen = Task.objects.filter(workspace=workspace, environment=environment, **asked)
    if wanted.text:
        chosen = chosen.filter(_named("number", "name", wanted.text))
    few = list(chosen.order_by().values_list("pk", flat=True)[: FEW_TASKS + 1])
    if len(few) > FEW_TASKS:
        return of_task & _named("task__number", "task__name", wanted.text, also="pk") if wanted.text else of_task
    number = _number(wanted.text)
    return Q(task__in=few) if number is None else Q(task__in=few) | (of_task & Q(pk=number))


def _number(text: str) -> int | None:
    """The text as an id; None if it can be none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER else None


def _named(number: str, name: str, text: str, also: str = "") -> Q:
    asked = Q(**{f"{name}__icontains": text})
    if (value := _number(text)) is not None:
        asked |= Q(**{number: value})
        if also:
            asked |= Q(**{also: value})
    return asked


def _crons_of(tasks: "QuerySet[Task]", cycle: Cycle) -> list[str]:
    """The schedules of these tasks that have the cycle. A workspace has few different ones; reading one is cheap."""
    texts = TaskVersion.objects.filter(pk__in=tasks.values("version_id")).values_list("cron", flat=True).distinct()
    return [text for text in texts.order_by() if cycle_of(text) is cycle]


def cycle_of(text: str) -> Cycle | None:
    """How often a stored schedule runs; None where there is no schedule that can be read."""
    try:
        return cron.parse(text).cycle
    except cron.CronError:
        return None
