"""Run now: a smoke-test instance of a Prod or Dev task, for a business date and a time of day."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils.translation import gettext as _

from opscenter.base import clock, notify
from opscenter.base.reasons import Invalid, Refused, sentence
from opscenter.engine import advance
from opscenter.operations import run_parameters
from opscenter.operations.actor import Actor
from opscenter.operations.models import Operation, OperationTarget
from opscenter.operations.permits import require
from opscenter.operations.results import check_comment
from opscenter.production.models import Task, TaskInstance, WorkflowInstance
from opscenter.production.rules.states import Kind, State
from opscenter.workspaces import audit
from opscenter.workspaces.roles import Permission

MOST = 200
"""Tasks that are run in one request."""
_FARTHEST = timedelta(days=366 * 10)


def scheduled_day(bizdate: date) -> date:
    """The day after a business date: the one a run for it is scheduled on.

    Raises:
        Invalid: the date is more than ten years away.
    """
    if abs(bizdate - clock.now().date()) > _FARTHEST:
        raise Invalid("smoke_test.bizdate", bizdate=bizdate.isoformat())
    return bizdate + timedelta(days=1)


@transaction.atomic
def run_all_now(
    actor: Actor,
    tasks: Sequence[Task],
    *,
    bizdate: date,
    at: time,
    parameters: Mapping[str, str] | None = None,
    comment: str = "",
) -> list[WorkflowInstance]:
    """A smoke test of each of these tasks, all of them or none.

    Args:
        parameters: by name, for each of the tasks.

    Raises:
        NotFound, Forbidden, Refused, Invalid: as ``run_now``, for the first task that cannot be run.
    """
    return [
        run_now(
            actor,
            task,
            bizdate=bizdate,
            at=at,
            parameters={"tasks": {str(task.number): parameters}} if parameters else None,
            comment=comment,
        )
        for task in tasks
    ]


@transaction.atomic
def run_now(
    actor: Actor,
    task: Task,
    *,
    bizdate: date,
    at: time,
    parameters: Mapping[str, Any] | None = None,
    comment: str = "",
) -> WorkflowInstance:
    """Make a smoke-test instance that starts at once, whatever its scheduled time.

    Args:
        bizdate: the business date; the scheduled day is the day after.
        at: local time of day of the scheduled time. Both give the scheduling parameters their values.
        parameters: of this run alone, as ``run_parameters.checked`` takes them.

    Raises:
        NotFound, Forbidden: as permits.require says; "own only" roles may test tasks that they own.
        Refused: the task is offline.
        Invalid: the date is more than ten years away, the comment is too long, or as ``run_parameters.checked``.
    """
    require(actor, task.workspace, Permission.TEST_TASK, own=task.owner_id == actor.user.pk)
    if task.status != Task.Status.ONLINE or task.version is None:
        raise Refused("task.offline", task=task.name)
    check_comment(comment)
    overrides = run_parameters.checked(parameters, [task.number])
    zone = ZoneInfo(task.workspace.tenant.time_zone)
    scheduled_at = datetime.combine(scheduled_day(bizdate), at, zone)
    family = WorkflowInstance.objects.create(
        workspace=task.workspace,
        environment=task.environment,
        type=WorkflowInstance.Type.SMOKE_TEST,
        workflow=task.workflow,
        name=task.name,
        bizdate=bizdate,
        parameters=overrides,
        created_by=actor.user,
    )
    instance = TaskInstance.objects.create(
        workflow_instance=family,
        task=task,
        version=task.version,
        workspace=task.workspace,
        environment=task.environment,
        bizdate=bizdate,
        scheduled_at=scheduled_at,
        not_before=None,
        node_type=task.node_type,
        kind=Kind.NORMAL,
        needs_worker=task.type.needs_worker,
        state=State.NOT_RUN,
        priority=task.priority,
        resource_group=task.resource_group,
        reruns_left=0,
    )
    asked = {"bizdate": bizdate.isoformat(), **({"parameters": overrides} if overrides else {})}
    operation = Operation.objects.create(
        code="run_now",
        workspace=task.workspace,
        environment=task.environment,
        actor=actor.user,
        face=actor.face,
        comment=comment,
        params={"task": task.number, "at": at.isoformat(), **asked},
        status=Operation.Status.APPLIED,
    )
    OperationTarget.objects.create(operation=operation, object_type="instance", object_id=instance.pk, done=True)
    audit.record(
        actor.user,
        actor.face,
        "task.run_now",
        workspace=task.workspace,
        obj=("task", task.number, task.name),
        params={"instance": instance.pk, "comment": comment, **asked},
        address=actor.address,
    )
    advance.place([instance.pk], {State.NOT_RUN}, operation=operation.pk)
    if not instance.needs_worker:
        notify.notify(notify.DUE)
    return family


@sentence("task.offline")
def _offline(params: Mapping[str, Any]) -> str:
    return _("The task “%(task)s” is offline. Publish its node again to run it.") % params


@sentence("smoke_test.bizdate")
def _bizdate(params: Mapping[str, Any]) -> str:
    return _("The business date %(bizdate)s is more than ten years away. Choose a nearer one.") % params
