"""Tasks: nodes as deployed to an environment."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from opscenter.openapi import finding, shapes
from opscenter.openapi.fields import Env, Integer, Items, Request, Text, Word
from opscenter.openapi.paging import Paged, SortBy, page
from opscenter.openapi.registry import Args, operation
from opscenter.operations.actor import Actor
from opscenter.production import selectors
from opscenter.production.models import Environment, ProductionWorkflow, Recurrence, Task
from opscenter.production.node_types import by_wire
from opscenter.workspaces.roles import Permission


class GetTask(Request):
    Id = Integer()
    ProjectEnv = Env(default=Environment.PROD.value)


class ListTasks(Paged):
    ProjectId = Integer()
    ProjectEnv = Env(default=Environment.PROD.value)
    Ids = Items(Integer(), required=False)
    Name = Text(required=False)
    Owner = Text(required=False)
    TaskType = Text(required=False)
    TriggerType = Word(*Task.Trigger.values, required=False)
    TriggerRecurrence = Word(*Recurrence.values, required=False)
    RuntimeResource = Text(required=False)
    WorkflowId = Integer(required=False)
    SortBy = SortBy({"Id": "number", "ModifyTime": "modified_at", "CreateTime": "created_at"}, "Id Desc")


class Neighbours(Paged):
    Id = Integer()
    ProjectEnv = Env(default=Environment.PROD.value)


@operation("2024-05-18", "GetTask", GetTask, Permission.VIEW)
def get_task(actor: Actor, args: Args) -> Args:
    found = finding.task(actor, args["Id"], args["ProjectEnv"])
    return {"Task": shapes.task_details(found, ZoneInfo(found.workspace.tenant.time_zone))}


@operation("2024-05-18", "ListTasks", ListTasks, Permission.VIEW)
def list_tasks(actor: Actor, args: Args) -> Args:
    """The tasks that are online in an environment of a workspace."""
    workspace = finding.workspace(actor, args["ProjectId"])
    zone = ZoneInfo(workspace.tenant.time_zone)
    found = (
        Task.objects.filter(workspace=workspace, environment=args["ProjectEnv"], status=Task.Status.ONLINE)
        .exclude(version=None)
        .select_related("version", "workflow", "owner", "resource_group", "modified_by")
        .defer("version__content")
        .order_by(*args["SortBy"])
    )
    return {
        "PagingInfo": page(
            _filtered(found, args), args, "Tasks", lambda rows: [shapes.listed_task(row, zone) for row in rows]
        )
    }


def _filtered(found: QuerySet[Task], args: Args) -> QuerySet[Task]:
    if args["Ids"]:
        found = found.filter(number__in=args["Ids"])
    if args["Name"]:
        found = found.filter(name__icontains=args["Name"])
    if args["Owner"]:
        found = found.filter(owner__uid=finding.uid(args["Owner"]))
    if args["TaskType"]:
        node_type = by_wire(args["TaskType"])
        found = found.filter(node_type=node_type.code) if node_type else found.none()
    if args["TriggerType"]:
        found = found.filter(trigger=args["TriggerType"])
    if args["TriggerRecurrence"]:
        found = found.filter(recurrence=args["TriggerRecurrence"])
    if args["RuntimeResource"]:
        found = found.filter(resource_group__name=args["RuntimeResource"])
    if args["WorkflowId"] == ProductionWorkflow.PLAIN:
        found = found.filter(workflow=None)
    elif args["WorkflowId"] is not None:
        found = found.filter(workflow__number=args["WorkflowId"])
    return found


@operation("2024-05-18", "ListUpstreamTasks", Neighbours, Permission.VIEW)
def list_upstream_tasks(actor: Actor, args: Args) -> Args:
    """What the task waits for directly, of the same cycle or of the previous one."""
    found = finding.task(actor, args["Id"], args["ProjectEnv"])
    return {"PagingInfo": _neighbours(actor, found, "upstream", args, "UpstreamTasks")}


@operation("2024-05-18", "ListDownstreamTasks", Neighbours, Permission.VIEW)
def list_downstream_tasks(actor: Actor, args: Args) -> Args:
    """What waits for the task directly."""
    found = finding.task(actor, args["Id"], args["ProjectEnv"])
    return {"PagingInfo": _neighbours(actor, found, "downstream", args, "DownstreamTasks")}


def _neighbours(actor: Actor, of: Task, side: str, args: Args, plural: str) -> Args:
    """Those of the workspaces that the caller may see; under the older name too, which clients still read."""
    types = selectors.neighbours_of(of, side)
    related = finding.tasks(actor).filter(pk__in=types).defer("version__content").order_by("number")

    def entries(rows: Sequence[Task]) -> list[Args]:
        return [
            {
                "DependencyType": types[row.pk],
                "Task": shapes.related_task(row, ZoneInfo(row.workspace.tenant.time_zone)),
            }
            for row in rows
        ]

    paging = page(related, args, plural, entries)
    return paging | {
        "Tasks": [
            entry["Task"] | {"ProjectEnv": entry["Task"]["EnvType"], "StepType": entry["DependencyType"]}
            for entry in paging[plural]
        ]
    }
