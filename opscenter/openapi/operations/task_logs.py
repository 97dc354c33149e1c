"""What was done to a task: a view of the operations."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from opscenter.base import clock
from opscenter.base.reasons import say
from opscenter.openapi import finding
from opscenter.openapi.errors import invalid
from opscenter.openapi.fields import Env, Integer, Milliseconds, local_day
from opscenter.openapi.paging import Paged, page
from opscenter.openapi.registry import Args, operation
from opscenter.openapi.wording import milliseconds
from opscenter.operations.actor import Actor
from opscenter.operations.models import Operation, OperationTarget
from opscenter.operations.permits import require
from opscenter.operations.registry import OPERATIONS
from opscenter.production.models import Environment, Task
from opscenter.workspaces.roles import Permission

Status = Operation.Status
_DAYS_BACK = 31


class ListTaskOperationLogs(Paged):
    Id = Integer()
    ProjectEnv = Env(default=Environment.PROD.value)
    Date = Milliseconds(required=False)


@operation("2024-05-18", "ListTaskOperationLogs", ListTaskOperationLogs, Permission.VIEW_AUDIT)
def list_task_operation_logs(actor: Actor, args: Args) -> Args:
    """The operations on a task of one day, of today without Date, the latest first."""
    task = finding.task(actor, args["Id"], args["ProjectEnv"])
    require(actor, task.workspace, Permission.VIEW_AUDIT)
    zone = ZoneInfo(task.workspace.tenant.time_zone)
    today = local_day(clock.now(), zone)
    day = local_day(args["Date"], zone) if args["Date"] else today
    if day < today - timedelta(days=_DAYS_BACK):
        raise invalid("Date", f"It must lie in the past {_DAYS_BACK} days.")
    start = datetime.combine(day, time.min, zone)
    found = OperationTarget.objects.filter(
        object_type="task",
        object_id=task.pk,
        operation__at__gte=start,
        operation__at__lt=datetime.combine(day + timedelta(days=1), time.min, zone),
    )
    ordered = found.select_related("operation__actor").order_by("-pk")
    return {"PagingInfo": page(ordered, args, "OperationLogs", lambda rows: [_entry(row, task) for row in rows])}


def _entry(target: OperationTarget, task: Task) -> Args:
    return {
        "OperationSeq": target.operation_id,
        "ObjectType": "Task",
        "OperationContent": _content(target),
        "TaskId": task.number,
        "User": str(target.operation.actor.uid),
        "CreateTime": milliseconds(target.operation.at),
    }


def _content(target: OperationTarget) -> str:
    """Such as ``Freeze (Blocked): The extension …``: the operation, what became of it for this task, and why."""
    done = target.operation
    text = f"{OPERATIONS[done.code].name} ({_outcome(target).capitalize()})"
    why = say(target.reason["code"], target.reason["params"]) if target.reason else done.comment
    return f"{text}: {why}" if why else text


def _outcome(target: OperationTarget) -> str:
    if target.done:
        return Status.APPLIED.value
    ended_as_a_whole = target.operation.status in (Status.BLOCKED, Status.CANCELLED)
    return target.operation.status if target.done is None or ended_as_a_whole else Status.REFUSED.value
