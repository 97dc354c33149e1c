"""Reading task instances (2024): lists, details, logs, neighbours."""

from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet
from rest_framework import serializers

from opscenter.openapi import finding, shapes
from opscenter.openapi.fields import Env, Integer, Items, Milliseconds, Request, Structure, Text, Word, local_day
from opscenter.openapi.paging import Paged, SortBy, page
from opscenter.openapi.registry import Args, operation
from opscenter.openapi.wording import STATUS_2024, states_of
from opscenter.operations.actor import Actor
from opscenter.operations.models import OperationTarget
from opscenter.production import selectors
from opscenter.production.models import Environment, ProductionWorkflow, Recurrence, TaskInstance, WorkflowInstance
from opscenter.production.node_types import by_wire
from opscenter.production.rules.states import Kind
from opscenter.workspaces.roles import Permission

_TIMES = {"startedTime": "started_at", "finishedTime": "finished_at", "createTime": "created_at"}


class TimeFilter(Structure):
    """Bounds of moments, both included. A bound that is not known is refused: ignored it would show too much."""

    startedTimeStart = Milliseconds(required=False)
    startedTimeEnd = Milliseconds(required=False)
    finishedTimeStart = Milliseconds(required=False)
    finishedTimeEnd = Milliseconds(required=False)
    createTimeStart = Milliseconds(required=False)
    createTimeEnd = Milliseconds(required=False)

    def to_internal_value(self, data: object) -> dict[str, object]:
        if isinstance(data, dict) and (unknown := sorted(set(data) - set(self.fields))):
            raise serializers.ValidationError(f"Unknown: {', '.join(unknown)}. Known: {', '.join(self.fields)}.")
        return super().to_internal_value(data)


class ListTaskInstances(Paged):
    PageSize = Integer(32, low=1, high=500, default=10)
    ProjectId = Integer()
    Bizdate = Milliseconds()
    ProjectEnv = Env(default=Environment.PROD.value)
    Id = Integer(required=False)
    Ids = Items(Integer(), required=False)
    TaskId = Integer(required=False)
    TaskIds = Items(Integer(), required=False)
    TaskName = Text(required=False)
    TaskType = Text(required=False)
    Owner = Text(required=False)
    Status = Word(*dict.fromkeys(STATUS_2024.values()), required=False)
    TriggerType = Word("Scheduler", "Manual", required=False)
    TriggerRecurrence = Word(*Recurrence.values, required=False)
    RuntimeResource = Text(required=False)
    WorkflowId = Integer(required=False)
    WorkflowInstanceId = Integer(required=False)
    UnifiedWorkflowInstanceId = Integer(required=False)
    WorkflowInstanceType = Word(*WorkflowInstance.Type.values, "TriggerWorkflow", required=False)
    Filter = TimeFilter(required=False)
    SortBy = SortBy(
        {
            "Id": "pk",
            "TriggerTime": "scheduled_at",
            "StartedTime": "started_at",
            "FinishedTime": "finished_at",
            "CreateTime": "created_at",
        },
        "Id Desc",
    )


class GetTaskInstance(Request):
    Id = Integer()


class GetTaskInstanceLog(Request):
    Id = Integer()
    RunNumber = Integer(32, low=1, required=False)


class Neighbours(Paged):
    Id = Integer()


@operation("2024-05-18", "ListTaskInstances", ListTaskInstances, Permission.VIEW)
def list_task_instances(actor: Actor, args: Args) -> Args:
    """The instances of a business date. With Id, that instance's earlier runs are entries too."""
    workspace = finding.workspace(actor, args["ProjectId"])
    found = TaskInstance.objects.filter(
        workspace=workspace,
        environment=args["ProjectEnv"],
        bizdate=local_day(args["Bizdate"], ZoneInfo(workspace.tenant.time_zone)),
    )
    ordered = shapes.with_details(_filtered(found, args)).order_by(*args["SortBy"])
    if args["Id"] is not None:
        return {"PagingInfo": _history(ordered.filter(pk=args["Id"]).first(), args)}
    return {"PagingInfo": page(ordered, args, "TaskInstances", shapes.listed_instances)}


def _history(instance: TaskInstance | None, args: Args) -> Args:
    entries = [] if instance is None else shapes.instance_history(instance)
    first = (args["PageNumber"] - 1) * args["PageSize"]
    return {
        "PageNumber": args["PageNumber"],
        "PageSize": args["PageSize"],
        "TotalCount": len(entries),
        "TaskInstances": entries[first : first + args["PageSize"]],
    }


def _filtered(found: QuerySet[TaskInstance], args: Args) -> QuerySet[TaskInstance]:
    equal = {
        "task__number": args["TaskId"],
        "resource_group__name": args["RuntimeResource"],
        "workflow_instance": args["WorkflowInstanceId"],
        "workflow_instance_id": args["UnifiedWorkflowInstanceId"],
        "workflow_instance__type": args["WorkflowInstanceType"],
        "pk__in": args["Ids"],
        "task__number__in": args["TaskIds"],
        "task__name__icontains": args["TaskName"],
    }
    found = found.filter(**{name: value for name, value in equal.items() if value is not None})
    if args["WorkflowInstanceId"] or args["UnifiedWorkflowInstanceId"] or args["WorkflowInstanceType"]:
        found = found.filter(turn_of__isnull=True)  # a backfill's turns belong to the job, not to what it runs
    if args["Owner"]:
        found = found.filter(task__owner__uid=finding.uid(args["Owner"]))
    if args["Status"]:
        found = found.filter(state__in=states_of(args["Status"], STATUS_2024))
    if args["TaskType"]:
        node_type = by_wire(args["TaskType"])
        found = found.filter(node_type=node_type.code) if node_type else found.none()
    if args["TriggerType"]:
        manual = Q(kind=Kind.MANUAL)
        found = found.filter(manual if args["TriggerType"] == "Manual" else ~manual)
    if args["TriggerRecurrence"]:
        found = found.filter(_recurrence(args["TriggerRecurrence"]))
    if args["WorkflowId"] == ProductionWorkflow.PLAIN:
        found = found.filter(workflow_instance__workflow=None)
    elif args["WorkflowId"] is not None:
        found = found.filter(workflow_instance__workflow__number=args["WorkflowId"])
    for name, moment in (args["Filter"] or {}).items():
        side = "Start" if name.endswith("Start") else "End"
        column = _TIMES[name.removesuffix(side)]
        found = found.filter(**{f"{column}__{'gte' if side == 'Start' else 'lte'}": moment})
    return found


def _recurrence(name: str) -> Q:
    """The condition under which wording.recurrence says this name."""
    if name == Recurrence.PAUSE:
        return Q(frozen=True)
    dry_run = Q(kind__gte=Kind.SKIP)
    return Q(frozen=False) & (dry_run if name == Recurrence.SKIP else ~dry_run)


@operation("2024-05-18", "GetTaskInstance", GetTaskInstance, Permission.VIEW)
def get_task_instance(actor: Actor, args: Args) -> Args:
    instance = finding.instance(actor, args["Id"])
    attempt = instance.attempts.select_related("version").order_by("-number").first()
    current = shapes.current_attempts([instance]).get(instance.pk)
    version = (current and attempt and attempt.version) or instance.task.version or instance.version
    details = shapes.instance_details(instance, current, version)
    latest = (
        OperationTarget.objects.filter(object_type="instance", object_id=instance.pk)
        .select_related("operation__actor")
        .order_by("-pk")
        .first()
    )
    if latest is not None:
        details |= {"OperationType": latest.operation.code, "ModifyUser": str(latest.operation.actor.uid)}
    return {"TaskInstance": details}


@operation("2024-05-18", "GetTaskInstanceLog", GetTaskInstanceLog, Permission.VIEW)
def get_task_instance_log(actor: Actor, args: Args) -> Args:
    """The log of a run, of the latest without RunNumber; of what has not run, why."""
    instance = finding.instance(actor, args["Id"])
    return {"TaskInstanceLog": shapes.log(instance, finding.attempt(instance, args["RunNumber"]))}


@operation("2024-05-18", "ListUpstreamTaskInstances", Neighbours, Permission.VIEW)
def list_upstream_task_instances(actor: Actor, args: Args) -> Args:
    upstream = selectors.upstream_of(finding.instance(actor, args["Id"]))
    return {"PagingInfo": _neighbours(actor, upstream, args, "UpstreamTaskInstances")}


@operation("2024-05-18", "ListDownstreamTaskInstances", Neighbours, Permission.VIEW)
def list_downstream_task_instances(actor: Actor, args: Args) -> Args:
    downstream = selectors.downstream_of(finding.instance(actor, args["Id"]))
    return {"PagingInfo": _neighbours(actor, downstream, args, "DownstreamTaskInstances")}


def _neighbours(actor: Actor, related: QuerySet[TaskInstance], args: Args, plural: str) -> Args:
    """Those of the workspaces that the caller may see; under the older name too, which clients still read."""
    visible = shapes.with_details(related.filter(workspace__members__user=actor.user))
    paging = page(visible, args, plural, shapes.related_instances)
    return paging | {
        "TaskInstances": [
            entry["TaskInstance"]
            | {"ProjectEnv": entry["TaskInstance"]["EnvType"], "StepType": entry["DependencyType"]}
            for entry in paging[plural]
        ]
    }
