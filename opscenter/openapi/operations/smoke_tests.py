"""Making runs: smoke tests of a task here, manual runs and backfills by their own modules. Other kinds do not exist."""

import uuid
from collections.abc import Mapping
from datetime import date, time
from typing import Any
from zoneinfo import ZoneInfo

from opscenter.engine import generate
from opscenter.openapi import finding, overrides
from opscenter.openapi.errors import fault, invalid, missing
from opscenter.openapi.fields import Boolean, Day, Env, Integer, Items, Request, Structure, Text, TimeOfDay
from opscenter.openapi.operations import backfills, manual_runs
from opscenter.openapi.operations.instances_2020 import envelope
from opscenter.openapi.registry import Args, operation
from opscenter.operations.actor import Actor
from opscenter.operations.smoke_test import run_now, scheduled_day
from opscenter.production.models import Environment, Task, WorkflowInstance
from opscenter.workspaces.roles import Permission

_OF_BACKFILLS = (
    "ExcludeTaskIds",
    "IncludeProjectIds",
    "ExcludeProjectIds",
    "Priority",
    "RuntimeResource",
    "RunPolicy",
    "Alert",
    "DataSourceNameMappings",
)
_SMOKE_TEST = WorkflowInstance.Type.SMOKE_TEST.value


class BizDates(Structure):
    StartBizDate = Day()
    EndBizDate = Day()


class Periods(Structure):
    BizDates = Items(BizDates(), most=7)
    StartTime = TimeOfDay(default=time(0, 0, 0))
    EndTime = TimeOfDay(default=time(23, 59, 59))


class CreateWorkflowInstances(Request):
    ProjectId = Integer()
    Name = Text()
    Type = Text()
    WorkflowId = Integer()
    EnvType = Env(default=Environment.PROD.value)
    Comment = Text(required=False)
    Periods = Periods(required=False)
    DefaultRunProperties = backfills.BackfillProperties(required=False)
    AutoStartEnabled = Boolean(default=True)
    TaskParameters = Text(100_000, required=False)
    WorkflowParameters = Text(100_000, required=False)


class GetCreateWorkflowInstancesResult(Request):
    OperationId = Text()


class RunSmokeTest(Request):
    NodeId = Integer()
    ProjectEnv = Env()
    Bizdate = Day()
    Name = Text()
    NodeParams = Text(100_000, required=False)


@operation("2024-05-18", "CreateWorkflowInstances", CreateWorkflowInstances, Permission.TEST_TASK)
def create_workflow_instances(actor: Actor, args: Args) -> Args:
    """A smoke test of one task, or a run of what is triggered manually, for one business date, whose workflow instance the
    OperationId names; or a backfill."""
    kind = args["Type"].lower()
    if kind not in (_SMOKE_TEST.lower(), backfills.TYPE.lower(), *manual_runs.TYPES):
        known = ", ".join([_SMOKE_TEST, backfills.TYPE, *manual_runs.TYPES.values()])
        raise invalid("Type", f"Of these kinds runs can be created here: {known}.")
    if kind == backfills.TYPE.lower():
        return backfills.create(actor, finding.workspace(actor, args["ProjectId"]), args)
    if not args["AutoStartEnabled"]:
        raise invalid("AutoStartEnabled", "A run starts at once; leave this out.")
    _only_of_backfills(args["DefaultRunProperties"] or {})
    workspace = finding.workspace(actor, args["ProjectId"])
    if kind in manual_runs.TYPES:
        made = manual_runs.create(actor, workspace, args, manual_runs.TYPES[kind])
        return {"OperationId": str(uuid.UUID(int=made.pk))}
    for name in ("DefaultRunProperties", "Periods"):
        if args[name] is None:
            raise missing(name)
    task = finding.task(actor, _only_root(args["DefaultRunProperties"].get("RootTaskIds")), args["EnvType"])
    if task.workspace_id != workspace.pk:
        raise fault("Invalid.Task.NotExist", detail=f"The task {task.number} is not in the project {workspace.pk}.")
    periods = args["Periods"]
    bizdate = _only_day(periods["BizDates"])
    at = _time_of_day(task, bizdate, periods["StartTime"], periods["EndTime"])
    made = run_now(
        actor, task, bizdate=bizdate, at=at, parameters=overrides.of_run(args), comment=args["Comment"] or args["Name"]
    )
    return {"OperationId": str(uuid.UUID(int=made.pk))}


@operation("2024-05-18", "GetCreateWorkflowInstancesResult", GetCreateWorkflowInstancesResult, Permission.VIEW)
def get_create_workflow_instances_result(actor: Actor, args: Args) -> Args:
    """What CreateWorkflowInstances made; all but backfills exist by the time that answers."""
    number = _number(args["OperationId"])
    if (job := backfills.named_by(actor, number)) is not None:
        return backfills.result(job)
    made = _made(actor, number, args["OperationId"])
    return {
        "Result": {
            "Status": "Created",
            "WorkflowInstanceIds": [made.pk],
            "UnifiedWorkflowInstanceIds": [made.pk],
            "WorkflowTaskInstanceIds": list(made.task_instances.order_by("pk").values_list("pk", flat=True)),
        }
    }


@operation("2020-05-18", "RunSmokeTest", RunSmokeTest, Permission.TEST_TASK)
def run_smoke_test(actor: Actor, args: Args) -> Args:
    """The same by the older API; answers with the id of the workflow instance."""
    task = finding.task(actor, args["NodeId"], args["ProjectEnv"])
    bizdate = args["Bizdate"]
    at = _time_of_day(task, bizdate, time.min, time.max)
    parameters = {"tasks": overrides.of_node("NodeParams", args["NodeParams"], task.number)}
    return envelope(run_now(actor, task, bizdate=bizdate, at=at, parameters=parameters, comment=args["Name"]).pk)


def _only_of_backfills(properties: Mapping[str, Any]) -> None:
    """What would change nothing is refused, not ignored."""
    given = [name for name in _OF_BACKFILLS if properties.get(name)]
    if properties.get("PriorityWeightStrategy", "Disable") != "Disable":
        given.append("PriorityWeightStrategy")
    for name in given:
        raise invalid(f"DefaultRunProperties.{name}", "It has no effect on a run of this type; leave it out.")


def _only_root(numbers: list[int] | None) -> int:
    if numbers is None:
        raise missing("DefaultRunProperties.RootTaskIds")
    if len(set(numbers)) != 1:
        raise invalid("DefaultRunProperties.RootTaskIds", "Name exactly one task; call once for each task to test.")
    return numbers[0]


def _only_day(ranges: list[dict[str, date]]) -> date:
    days = {day for part in ranges for day in part.values()}
    if len(days) != 1:
        raise invalid("Periods.BizDates", "Name exactly one business date; call once for each date to test.")
    return days.pop()


def _time_of_day(task: Task, bizdate: date, earliest: time, latest: time) -> time:
    """The first scheduled time of the task within the period of that day; the start of the period when it has none."""
    zone = ZoneInfo(task.workspace.tenant.time_zone)
    if task.version is None or not task.version.cron:
        return earliest
    planned = generate.plan(task.version, scheduled_day(bizdate), zone)
    times = (plan.scheduled_at.astimezone(zone).time() for plan in planned)
    return next((at for at in times if earliest <= at <= latest), earliest)


def _number(operation_id: str) -> int:
    try:
        return uuid.UUID(operation_id).int
    except ValueError:
        raise invalid("OperationId", "It must be the UUID that CreateWorkflowInstances answered with.") from None


def _made(actor: Actor, number: int, operation_id: str) -> WorkflowInstance:
    found = WorkflowInstance.objects.filter(
        pk=number, type__in=[_SMOKE_TEST, *manual_runs.TYPES.values()], workspace__members__user=actor.user
    )
    made = found.first() if number < 2**63 else None
    if made is None:
        raise fault(
            "Invalid.WorkflowInstance.OperationNotExist",
            detail=f"There is no operation {operation_id}, or you are not a member of its workspace.",
        )
    return made
