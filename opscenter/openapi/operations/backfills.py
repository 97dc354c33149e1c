"""Backfills: CreateWorkflowInstances of the type SupplementData, and RunCycleDagNodes of the older API."""

import uuid
from collections.abc import Mapping
from datetime import time
from typing import Any

from opscenter.base.reasons import say
from opscenter.openapi import finding, overrides
from opscenter.openapi.errors import invalid, missing
from opscenter.openapi.fields import Boolean, Day, Env, Integer, Items, Json, Request, Structure, Text, TimeOfDay, Word
from opscenter.openapi.operations.instances_2020 import envelope
from opscenter.openapi.registry import Args, operation
from opscenter.operations import backfills
from opscenter.operations.actor import Actor
from opscenter.operations.backfill_request import BackfillRequest
from opscenter.operations.models import Operation
from opscenter.production.models import Backfill, TaskInstance, WorkflowInstance
from opscenter.production.rules.backfill import DateRange, Mode, Order
from opscenter.workspaces.models import Workspace
from opscenter.workspaces.roles import Permission

TYPE = WorkflowInstance.Type.BACKFILL.value
_MARK = 0xBF << 120
"""Of operation ids that name a backfill; others are workflow instances' own."""
_WHOLE_DAY = (time.min, time(23, 59, 59))


class RunPolicy(Structure):
    Type = Word("Daily", "Weekend", default="Daily")
    StartTime = TimeOfDay(required=False)
    EndTime = TimeOfDay(required=False)
    Immediately = Boolean(default=False)


class Alert(Structure):
    Type = Word("Success", "Failure", "SuccessFailure")
    NoticeType = Word("Sms", "Mail", "SmsMail", default="Mail")


class BackfillProperties(Structure):
    """What a backfill adds to the properties of a run. ``Analysis`` is always done, and always blocks."""

    RootTaskIds = Items(Integer(), required=False)
    IncludeTaskIds = Items(Integer(), required=False)
    ExcludeTaskIds = Items(Integer(), required=False)
    IncludeProjectIds = Items(Integer(), required=False)
    ExcludeProjectIds = Items(Integer(), required=False)
    Mode = Word("General", "ManualSelection", "Chain", "AllDownstream", default="ManualSelection")
    Order = Word("Asc", "Desc", default="Asc")
    Parallelism = Integer(32, default=1)
    Priority = Integer(32, required=False)
    RuntimeResource = Text(63, required=False)
    RunPolicy = RunPolicy(required=False)
    Alert = Alert(required=False)
    PriorityWeightStrategy = Word("Disable", "Upstream", default="Disable")
    DataSourceNameMappings = Json(required=False)


class RunCycleDagNodes(Request):
    Name = Text(255)
    ProjectEnv = Env()
    RootNodeId = Integer()
    IncludeNodeIds = Text(100_000)
    ExcludeNodeIds = Text(100_000, required=False)
    StartBizDate = Day()
    EndBizDate = Day()
    BizBeginTime = TimeOfDay(default=time.min)
    BizEndTime = TimeOfDay(default=time(23, 59, 59))
    Parallelism = Boolean()
    ConcurrentRuns = Integer(32, required=False)
    StartFutureInstanceImmediately = Boolean(default=False)
    NodeParams = Text(100_000, required=False)
    AlertType = Word("SUCCESS", "FAILURE", "SUCCESS_FAILURE", required=False)
    AlertNoticeType = Word("SMS", "MAIL", "SMS_MAIL", required=False)


@operation("2020-05-18", "RunCycleDagNodes", RunCycleDagNodes, Permission.TEST_TASK)
def run_cycle_dag_nodes(actor: Actor, args: Args) -> Args:
    """Answers with the ids of the workflow instances, one a business date; with none while extensions are asked, or while
    it is made in the background."""
    root = finding.task(actor, args["RootNodeId"], args["ProjectEnv"])
    groups = (args["ConcurrentRuns"] or 2) if args["Parallelism"] else 1
    alert = {"type": args["AlertType"], "notice": args["AlertNoticeType"] or ""} if args["AlertType"] else None
    done = backfills.ask(
        actor,
        root.workspace,
        args["ProjectEnv"],
        BackfillRequest(
            mode=Mode.ADVANCED,
            ranges=(DateRange(args["StartBizDate"], args["EndBizDate"]),),
            name=args["Name"],
            include=_numbers("IncludeNodeIds", args["IncludeNodeIds"]),
            exclude=_numbers("ExcludeNodeIds", args["ExcludeNodeIds"]),
            start=args["BizBeginTime"],
            end=args["BizEndTime"],
            groups=groups,
            immediately=args["StartFutureInstanceImmediately"],
            parameters={"tasks": overrides.of_tasks("NodeParams", args["NodeParams"])},
            alert=alert,
        ),
    )
    job = backfills.job_of(done)
    told = {} if job.made else {"OperationId": operation_id(job), "Status": _status(job, done)}
    return envelope([pk for pk in _families(job) if job.made]) | told


def create(actor: Actor, workspace: Workspace, args: Args) -> Args:
    """CreateWorkflowInstances of this type; the OperationId names the job."""
    if args["WorkflowId"] != 1:
        raise invalid("WorkflowId", "Of a backfill it is 1.")
    for name in ("DefaultRunProperties", "Periods"):
        if args[name] is None:
            raise missing(name)
    properties: Mapping[str, Any] = args["DefaultRunProperties"]
    if properties["PriorityWeightStrategy"] != "Disable":
        raise invalid(
            "DefaultRunProperties.PriorityWeightStrategy",
            "Backfills know Disable alone; Priority is that of all instances.",
        )
    sources = properties.get("DataSourceNameMappings") or {}
    if not isinstance(sources, Mapping) or not all(isinstance(name, str) for name in sources.values()):
        raise invalid("DefaultRunProperties.DataSourceNameMappings", 'It must be like {"name": "name of another"}.')
    policy = properties.get("RunPolicy") or {}
    periods = args["Periods"]
    ranges = tuple(DateRange(one["StartBizDate"], one["EndBizDate"]) for one in periods["BizDates"])
    alert = properties.get("Alert")
    done = backfills.ask(
        actor,
        workspace,
        args["EnvType"],
        BackfillRequest(
            **_selection(properties),
            ranges=ranges,
            name=args["Name"],
            start=periods["StartTime"],
            end=periods["EndTime"],
            order=Order(properties["Order"].lower()),
            groups=properties["Parallelism"],
            immediately=policy.get("Immediately", False),
            run_window=_window(policy),
            priority=properties.get("Priority"),
            resource_group=properties.get("RuntimeResource") or "",
            parameters=overrides.of_run(args),
            data_sources=sources,
            alert={"type": alert["Type"], "notice": alert["NoticeType"]} if alert else None,
            autostart=args["AutoStartEnabled"],
        ),
        comment=args["Comment"] or "",
    )
    return {"OperationId": operation_id(backfills.job_of(done))}


def _selection(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Which tasks, by the four modes of the API."""
    roots, include = _list(properties, "RootTaskIds"), _list(properties, "IncludeTaskIds")
    spaces, not_spaces = _list(properties, "IncludeProjectIds"), _list(properties, "ExcludeProjectIds")
    mode, found = properties["Mode"], {"exclude": _list(properties, "ExcludeTaskIds")}
    if mode == "Chain":
        if roots or len(include) != 2:
            raise invalid(
                "DefaultRunProperties.IncludeTaskIds", "In this mode name two: where the link begins and ends."
            )
        return found | {"mode": Mode.LINK, "roots": include[:1], "include": include[1:]}
    if mode in ("General", "AllDownstream") and len(roots) != 1:
        raise invalid("DefaultRunProperties.RootTaskIds", "In this mode name exactly one task.")
    if not roots:
        raise missing("DefaultRunProperties.RootTaskIds")
    if spaces or not_spaces:
        by_workspace = {"workspaces": spaces, "not_workspaces": not_spaces}
        return found | by_workspace | {"mode": Mode.MASSIVE, "roots": roots, "include": include}
    if mode == "AllDownstream":
        return found | {"mode": Mode.DESCENDANTS, "roots": roots}
    return found | {"mode": Mode.ADVANCED, "include": include or roots}


def _list(properties: Mapping[str, Any], name: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(properties.get(name) or ()))


def _window(policy: Mapping[str, Any]) -> tuple[time, time, bool] | None:
    start, end = policy.get("StartTime"), policy.get("EndTime")
    if (start is None) is not (end is None):
        raise missing(f"DefaultRunProperties.RunPolicy.{'EndTime' if end is None else 'StartTime'}")
    is_weekend = policy.get("Type") == "Weekend"
    hours = _WHOLE_DAY if start is None or end is None else (start, end)
    return None if hours == _WHOLE_DAY and not is_weekend else (*hours, is_weekend)


def operation_id(job: Backfill) -> str:
    """What GetCreateWorkflowInstancesResult is asked with."""
    return str(uuid.UUID(int=_MARK | job.pk))


def named_by(actor: Actor, number: int) -> Backfill | None:
    """The job that such an id names, as a number, if the caller may see it."""
    if number & ~(2**63 - 1) != _MARK:
        return None
    jobs = Backfill.objects.filter(pk=number & (2**63 - 1), workspace__members__user=actor.user)
    return jobs.defer("plan").first()


def result(job: Backfill) -> Args:
    """How far the making is, and what was made."""
    asked_by = Operation.objects.get(pk=job.operation or 0)
    status = _status(job, asked_by)
    if status == "CreateFailure":
        return {"Result": {"Status": status, "FailureMessage": _why(job, asked_by)}}
    if status == "Creating":
        return {"Result": {"Status": status}}
    families = _families(job)
    turns = job.dates.exclude(turn=None).values("turn")
    instances = TaskInstance.objects.filter(workflow_instance__in=families).exclude(pk__in=turns)
    return {
        "Result": {
            "Status": status,
            "WorkflowInstanceIds": families,
            "UnifiedWorkflowInstanceIds": families,
            "WorkflowTaskInstanceIds": list(instances.order_by("pk").values_list("pk", flat=True)),
        }
    }


def _status(job: Backfill, asked_by: Operation) -> str:
    if job.state == Backfill.State.MAKING:
        return "Creating"
    if job.state == Backfill.State.ASKED:
        return "Creating" if asked_by.status == Operation.Status.CHECKING else "CreateFailure"
    half = job.state == Backfill.State.STOPPED and job.dates.filter(is_made=False).exists()
    return "CreateFailure" if half else "Created"


def _why(job: Backfill, asked_by: Operation) -> str:
    target = asked_by.targets.filter(reason__isnull=False).first()
    reason = job.reason or (target.reason if target else None)
    return say(reason["code"], reason["params"]) if reason else ""


def _families(job: Backfill) -> list[int]:
    return list(job.dates.exclude(family=None).order_by("position").values_list("family", flat=True))


def _numbers(name: str, text: str | None) -> tuple[int, ...]:
    parts = [part.strip() for part in (text or "").split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        raise invalid(name, "It must be node ids, separated by commas.")
    return tuple(dict.fromkeys(int(part) for part in parts))
