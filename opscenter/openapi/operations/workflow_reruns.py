"""Rerunning parts of runs of manually triggered workflows: what matches, and on request everything downstream of it."""

import uuid
from datetime import timedelta
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet

from opscenter.base.reasons import Invalid, say
from opscenter.openapi import finding
from opscenter.openapi.errors import fault, invalid
from opscenter.openapi.fields import (
    Boolean,
    Env,
    Integer,
    Items,
    Milliseconds,
    Request,
    Structure,
    Text,
    Word,
    local_day,
)
from opscenter.openapi.registry import Args, operation
from opscenter.openapi.wording import STATUS_2024, states_of
from opscenter.operations import door
from opscenter.operations.actor import Actor
from opscenter.operations.models import Operation
from opscenter.production.models import Environment, ProductionWorkflow, TaskInstance, WorkflowInstance
from opscenter.production.node_types import by_wire
from opscenter.production.rules.states import ENDED, State
from opscenter.production.selectors import edges_in_run
from opscenter.workspaces.roles import Permission

_KIND = WorkflowInstance.Type.MANUAL_WORKFLOW
_RERUNS = ("rerun", "rerun_downstream")


class InnerFilter(Structure):
    RerunDownstreamEnabled = Boolean(default=False)
    TaskIds = Items(Integer(), required=False)
    TaskInstanceStatuses = Items(Text(), required=False)
    TaskName = Text(required=False)
    TaskTypes = Items(Text(), required=False)


class RerunWorkflowInstances(Request):
    ProjectId = Integer()
    Type = Text()
    WorkflowId = Integer()
    EnvType = Env(default=Environment.PROD.value)
    Ids = Items(Integer(), required=False)
    Name = Text(required=False)
    Bizdate = Milliseconds(required=False)
    StartTriggerTime = Milliseconds(required=False)
    EndTriggerTime = Milliseconds(required=False)
    Status = Word("NotRun", "Running", "Failure", "Success", required=False)
    Filter = InnerFilter(required=False)


class GetRerunWorkflowInstancesResult(Request):
    OperationId = Text()


@operation("2024-05-18", "RerunWorkflowInstances", RerunWorkflowInstances, Permission.OPERATE_INSTANCE)
def rerun_workflow_instances(actor: Actor, args: Args) -> Args:
    """Rerun the matching instances of the matching runs, as one operation, whose OperationId is answered."""
    if args["Type"].lower() != _KIND.value.lower():
        raise invalid("Type", f"Only runs of the type {_KIND.value} are rerun so.")
    workspace = finding.workspace(actor, args["ProjectId"])
    workflow = ProductionWorkflow.objects.filter(
        number=args["WorkflowId"], workspace=workspace, environment=args["EnvType"]
    ).first()
    if workflow is None:
        raise fault(
            "Invalid.Workflow.NotExist", detail=f"There is no workflow {args['WorkflowId']} in {args['EnvType']}."
        )
    runs = _runs(workflow, args, ZoneInfo(workspace.tenant.time_zone))
    inner = args["Filter"] or {}
    start = list(_instances(runs, inner).order_by("pk").values_list("pk", flat=True)[: door.MOST + 1])
    if not start:
        raise invalid("Filter", "No instance that has ended matches; nothing would be rerun.")
    if not inner.get("RerunDownstreamEnabled"):
        done = door.apply("rerun", actor, workspace, args["EnvType"], start)
    else:
        ids = [*start, *_below(start)]
        done = door.apply("rerun_downstream", actor, workspace, args["EnvType"], ids, arguments={"start": start})
    if done.status == Operation.Status.REFUSED:  # nothing was done: the first reason is the answer
        door.raise_if_refused(done)
    return {"OperationId": str(uuid.UUID(int=done.pk))}


@operation("2024-05-18", "GetRerunWorkflowInstancesResult", GetRerunWorkflowInstancesResult, Permission.VIEW)
def get_rerun_workflow_instances_result(actor: Actor, args: Args) -> Args:
    """What became of a rerun: a failure names the first reason why an instance was left as it is. Until extensions have
    agreed, nothing was done."""
    try:
        number = uuid.UUID(args["OperationId"]).int
    except ValueError:
        raise invalid("OperationId", "It must be the UUID that RerunWorkflowInstances answered with.") from None
    found = Operation.objects.filter(code__in=_RERUNS, workspace__members__user=actor.user)
    done = found.filter(pk=number).first() if number < 2**63 else None
    if done is None:
        raise fault(
            "Invalid.WorkflowInstance.OperationNotExist",
            detail=f"There is no operation {args['OperationId']}, or you are not a member of its workspace.",
        )
    if done.status in (Operation.Status.CHECKING, Operation.Status.RUNNING):
        return {"Result": {"Status": "NotRun"}}
    refused = done.targets.filter(done=False).order_by("pk").first()
    if refused is None or refused.reason is None:
        return {"Result": {"Status": "Success"}}
    return {"Result": {"Status": "Failure", "FailureMessage": say(refused.reason["code"], refused.reason["params"])}}


def _runs(workflow: ProductionWorkflow, args: Args, zone: ZoneInfo) -> "QuerySet[WorkflowInstance]":
    found = WorkflowInstance.objects.filter(workflow=workflow, type=_KIND)
    if args["Ids"]:
        found = found.filter(pk__in=args["Ids"])
    if args["Name"]:
        found = found.filter(name__icontains=args["Name"])
    if args["Bizdate"] is not None:
        found = found.filter(bizdate=local_day(args["Bizdate"], zone))
    start, end = args["StartTriggerTime"], args["EndTriggerTime"]
    if (start is None) != (end is None):
        raise invalid("StartTriggerTime", "It goes together with EndTriggerTime.")
    if start is not None:
        found = found.filter(created_at__gte=start, created_at__lte=end + timedelta(milliseconds=1))
    return _of_status(found, args["Status"]) if args["Status"] else found


def _of_status(runs: "QuerySet[WorkflowInstance]", status: str) -> "QuerySet[WorkflowInstance]":
    """The status of a run is derived: failed if anything failed, succeeded if all did, not run if nothing has started."""

    def having(*states: State) -> "QuerySet[TaskInstance]":
        return TaskInstance.objects.filter(workflow_instance__in=runs, state__in=states)

    failed = Q(pk__in=having(State.FAILURE).values("workflow_instance"))
    unfinished = Q(pk__in=having(*(set(State) - {State.SUCCESS})).values("workflow_instance"))
    started = Q(pk__in=having(*(set(State) - {State.NOT_RUN})).values("workflow_instance"))
    conditions = {
        "Failure": failed,
        "Success": ~unfinished,
        "NotRun": ~started,
        "Running": started & unfinished & ~failed,
    }
    return runs.filter(conditions[status])


def _instances(runs: "QuerySet[WorkflowInstance]", inner: Args) -> "QuerySet[TaskInstance]":
    """What of the runs matches. Without a status: all that has ended, since nothing else can be rerun."""
    found = TaskInstance.objects.filter(workflow_instance__in=runs)
    if inner.get("TaskIds"):
        found = found.filter(task__number__in=inner["TaskIds"])
    if inner.get("TaskName"):
        found = found.filter(task__name__icontains=inner["TaskName"])
    if inner.get("TaskTypes"):
        types = [known.code for name in inner["TaskTypes"] if (known := by_wire(name))]
        found = found.filter(node_type__in=types)
    statuses = inner.get("TaskInstanceStatuses")
    if not statuses:
        return found.filter(state__in=ENDED)
    unknown = sorted(set(statuses) - set(STATUS_2024.values()))
    if unknown:
        raise invalid("Filter.TaskInstanceStatuses", f"{unknown[0]} is no status of an instance.")
    return found.filter(state__in=[state for name in statuses for state in states_of(name, STATUS_2024)])


def _below(start: list[int]) -> list[int]:
    """Everything downstream in the same runs."""
    found: set[int] = set()
    level = set(start)
    while level and len(found) <= door.MOST:
        below = edges_in_run(level).values_list("downstream_id", flat=True)
        level = set(below) - found - set(start)
        found |= level
    if len(found) + len(start) > door.MOST:
        raise Invalid("operation.count_instance", most=door.MOST, given=len(found) + len(start))
    return sorted(found)
