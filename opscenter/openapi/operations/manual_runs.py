"""Running what is triggered manually: tasks, or a whole workflow, for a business date."""

from datetime import date, time, timedelta
from zoneinfo import ZoneInfo

from opscenter.base import clock
from opscenter.openapi import finding, overrides
from opscenter.openapi.errors import fault, invalid, missing
from opscenter.openapi.fields import Day, Env, Integer, Request, Text
from opscenter.openapi.registry import Args, operation
from opscenter.operations import manual_run
from opscenter.operations.actor import Actor
from opscenter.production.models import ProductionWorkflow, WorkflowInstance
from opscenter.workspaces.models import Workspace
from opscenter.workspaces.roles import Permission

TYPES = {one.value.lower(): one for one in (WorkflowInstance.Type.MANUAL, WorkflowInstance.Type.MANUAL_WORKFLOW)}
"""Types of CreateWorkflowInstances that are run here, in lower case."""


class RunManualDagNodes(Request):
    ProjectEnv = Env()
    ProjectName = Text()
    ProjectId = Integer(required=False)
    FlowName = Text()
    BizDate = Day(required=False)
    StartBizDate = Day(required=False)
    EndBizDate = Day(required=False)
    IncludeNodeIds = Text(100_000, required=False)
    ExcludeNodeIds = Text(100_000, required=False)
    DagParameters = Text(100_000, required=False)
    NodeParameters = Text(100_000, required=False)


@operation("2020-05-18", "RunManualDagNodes", RunManualDagNodes, Permission.TEST_TASK)
def run_manual_dag_nodes(actor: Actor, args: Args) -> Args:
    """Run a manually triggered workflow, or some of its nodes; answers with the id of the workflow instance."""
    parameters = {
        "workflow": overrides.of_workflow("DagParameters", args["DagParameters"]),
        "tasks": overrides.of_tasks("NodeParameters", args["NodeParameters"]),
    }
    workspace = _workspace(actor, args["ProjectName"], args["ProjectId"])
    workflow = ProductionWorkflow.objects.filter(
        workspace=workspace, environment=args["ProjectEnv"], name=args["FlowName"]
    ).first()
    if workflow is None:
        raise fault("Invalid.Workflow.NotExist", detail=f"There is no workflow {args['FlowName']}.")
    include, exclude = (_numbers(name, args[name]) for name in ("IncludeNodeIds", "ExcludeNodeIds"))
    if exclude and not include:
        raise invalid("ExcludeNodeIds", "It goes with IncludeNodeIds; name there what is to run.")
    made = manual_run.run_workflow(
        actor, workflow, bizdate=_day(args), include=include, exclude=exclude, parameters=parameters
    )
    return {"DagId": made.pk}


def create(actor: Actor, workspace: Workspace, args: Args, kind: WorkflowInstance.Type) -> WorkflowInstance:
    """CreateWorkflowInstances of a manual type; without a business date, of yesterday."""
    bizdate = _only_day(args["Periods"], workspace)
    roots = list(dict.fromkeys((args["DefaultRunProperties"] or {}).get("RootTaskIds") or []))
    named = {"bizdate": bizdate, "name": args["Name"], "comment": args["Comment"] or ""}
    named |= {"parameters": overrides.of_run(args)}
    if kind is WorkflowInstance.Type.MANUAL_WORKFLOW:
        found = ProductionWorkflow.objects.filter(
            number=args["WorkflowId"], workspace=workspace, environment=args["EnvType"]
        ).first()
        if found is None:
            raise fault(
                "Invalid.Workflow.NotExist", detail=f"There is no workflow {args['WorkflowId']} in {args['EnvType']}."
            )
        return manual_run.run_workflow(actor, found, roots=roots, **named)
    if not roots:
        raise missing("DefaultRunProperties.RootTaskIds")
    tasks = [finding.task(actor, number, args["EnvType"]) for number in roots]
    for task in tasks:
        if task.workspace_id != workspace.pk:
            raise fault("Invalid.Task.NotExist", detail=f"The task {task.number} is not in the project {workspace.pk}.")
    return manual_run.run_tasks(actor, tasks, **named)


def _workspace(actor: Actor, name: str, number: int | None) -> Workspace:
    found = Workspace.objects.filter(name=name, members__user=actor.user).first()
    if found is None or number not in (None, found.pk):
        raise fault(
            "Invalid.Tenant.ProjectNotExists", detail=f"There is no workspace {name}, or you are not a member of it."
        )
    return found


def _numbers(name: str, text: str | None) -> list[int]:
    parts = [part.strip() for part in (text or "").split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        raise invalid(name, "It must be node ids, separated by commas.")
    return [int(part) for part in parts]


def _day(args: Args) -> date:
    """The one business date that is named in either way."""
    days: set[date] = {args[name] for name in ("BizDate", "StartBizDate", "EndBizDate") if args[name] is not None}
    if len(days) != 1:
        raise invalid("BizDate", "Name exactly one business date; call once for each date to run.")
    return days.pop()


def _only_day(periods: Args | None, workspace: Workspace) -> date:
    if periods is None:
        return clock.now().astimezone(ZoneInfo(workspace.tenant.time_zone)).date() - timedelta(days=1)
    if periods["StartTime"] > time.min or periods["EndTime"] < time(23, 59, 59):
        raise invalid("Periods.StartTime", "A manual run has no cycles in a day; leave the times out.")
    days = {day for part in periods["BizDates"] for day in part.values()}
    if len(days) != 1:
        raise invalid("Periods.BizDates", "Name exactly one business date; call once for each date to run.")
    return days.pop()
