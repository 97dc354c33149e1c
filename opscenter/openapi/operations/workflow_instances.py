"""Workflow instances, which the 2020 API calls DAGs: lists and details."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Case, Max, Min, OuterRef, QuerySet, Subquery, When

from opscenter.base.reasons import Refused
from opscenter.openapi import finding
from opscenter.openapi.errors import fault, invalid
from opscenter.openapi.fields import Env, Integer, Items, Json, Milliseconds, Request, Text, Word, local_day
from opscenter.openapi.operations.instances_2020 import envelope
from opscenter.openapi.paging import Paged, SortBy, page
from opscenter.openapi.registry import Args, operation
from opscenter.openapi.wording import DAG_TYPE_2020, day_milliseconds, given, milliseconds
from opscenter.operations import door
from opscenter.operations.actor import Actor
from opscenter.production import backfill_counts
from opscenter.production.backfill_counts import Counts, Standing
from opscenter.production.models import BackfillDate, Environment, ProductionWorkflow, TaskInstance, WorkflowInstance
from opscenter.workspaces.roles import Permission

STATUS = {
    Standing.NOT_RUN: ("NotRun", "CREATED"),
    Standing.RUNNING: ("Running", "RUNNING"),
    Standing.FAILURE: ("Failure", "FAILURE"),
    Standing.SUCCESS: ("Success", "SUCCESS"),
}
"""Of a whole workflow instance, in both versions."""
_SORTED = {
    "TriggerTime": "first_scheduled_at",
    "StartedTime": "first_started_at",
    "FinishedTime": "last_finished_at",
    "CreateTime": "created_at",
    "Id": "pk",
}
_OTHER_STATUSES = ("WaitTime", "CheckingCondition", "WaitResource", "Checking")
"""Documented, and told of no workflow instance here."""


class GetWorkflowInstance(Request):
    Id = Integer()


class ListWorkflowInstances(Paged):
    ProjectId = Integer()
    BizDate = Milliseconds()
    EnvType = Env(default=Environment.PROD.value)
    Ids = Items(Integer(), required=False)
    Filter = Json(required=False)
    Tags = Items(Text(), required=False)
    Name = Text(required=False)
    Owner = Text(required=False)
    Type = Word(*WorkflowInstance.Type.values, required=False)
    UnifiedWorkflowInstanceId = Integer(required=False)
    WorkflowId = Integer(required=False)
    SortBy = SortBy(_SORTED, "Id Desc")


class ManyWorkflowInstances(Request):
    Ids = Items(Integer(), most=100)
    Comment = Text(required=False)


class GetDag(Request):
    DagId = Integer()
    ProjectEnv = Env()


class ListDags(Request):
    OpSeq = Integer()
    ProjectEnv = Env()


@operation("2024-05-18", "GetWorkflowInstance", GetWorkflowInstance, Permission.VIEW)
def get_workflow_instance(actor: Actor, args: Args) -> Args:
    found = visible(actor).filter(pk=args["Id"])
    return {"WorkflowInstance": _shapes_2024([_one(found, f"There is no workflow instance {args['Id']}")])[0]}


@operation("2024-05-18", "ListWorkflowInstances", ListWorkflowInstances, Permission.VIEW)
def list_workflow_instances(actor: Actor, args: Args) -> Args:
    workspace = finding.workspace(actor, args["ProjectId"])
    zone = ZoneInfo(workspace.tenant.time_zone)
    found = visible(actor).filter(
        workspace=workspace, environment=args["EnvType"], bizdate=local_day(args["BizDate"], zone)
    )
    number = args["WorkflowId"]
    conditions = {
        "pk__in": args["Ids"],
        "pk": args["UnifiedWorkflowInstanceId"],
        "name__icontains": args["Name"],
        "type": args["Type"],
        "workflow__number": None if number == ProductionWorkflow.PLAIN else number,
        "workflow__isnull": True if number == ProductionWorkflow.PLAIN else None,
    }
    found = found.filter(**{name: value for name, value in conditions.items() if value is not None})
    if args["Owner"]:
        found = found.filter(workflow__owner__uid=finding.uid(args["Owner"]))
    if args["Tags"]:  # any of them; there are none on workflow instances here
        found = found.none()
    found = _with_times(_filtered(found, args["Filter"]))
    return {"PagingInfo": page(found.order_by(*args["SortBy"]), args, "WorkflowInstances", _shapes_2024)}


def _filtered(found: "QuerySet[WorkflowInstance]", given: Any) -> "QuerySet[WorkflowInstance]":
    if not isinstance(given or {}, Mapping):
        raise invalid("Filter", 'It must be like {"status": "Success"}.')
    for name, value in (given or {}).items():
        if name != "status":
            raise invalid(f"Filter.{name}"[:100], "Only status is filtered by here; BizDate says which day.")
        known = {told: standing for standing, (told, _older) in STATUS.items()}
        if value not in (*known, *_OTHER_STATUSES):
            raise invalid("Filter.status", f"It must be one of {', '.join((*known, *_OTHER_STATUSES))}.")
        found = found.filter(backfill_counts.standing_is(known[value])) if value in known else found.none()
    return found


def _with_times(found: "QuerySet[WorkflowInstance]") -> "QuerySet[WorkflowInstance]":
    """What can be sorted by, reckoned only where it is."""

    def of(total: Any) -> Subquery:
        inside = TaskInstance.objects.filter(workflow_instance=OuterRef("pk")).order_by().values("workflow_instance")
        return Subquery(inside.annotate(total=total).values("total"))

    is_over = backfill_counts.standing_is(Standing.SUCCESS) | backfill_counts.standing_is(Standing.FAILURE)
    return found.alias(
        first_scheduled_at=of(Min("scheduled_at")),
        first_started_at=of(Min("started_at")),
        last_finished_at=Case(When(is_over, then=of(Max("finished_at")))),
    )


@operation("2024-05-18", "StartWorkflowInstances", ManyWorkflowInstances, Permission.OPERATE_INSTANCE)
def start_workflow_instances(actor: Actor, args: Args) -> Args:
    """Start, or resume, the backfills that these workflow instances belong to; all business dates of one go together."""
    families = visible(actor).in_bulk(args["Ids"])
    done: dict[int, str] = {}
    return {
        "SuccessInfo": {str(pk): _started(actor, families.get(pk), args["Comment"] or "", done) for pk in args["Ids"]}
    }


def _started(actor: Actor, family: WorkflowInstance | None, comment: str, done: dict[int, str]) -> Args:
    """What became of one; ``done``: of each job, why it was not, and nothing if it was."""
    date = getattr(family, "backfill_date", None)
    if family is None or date is None:
        words = "There is no such workflow instance of a backfill, or you are not a member of its workspace."
        return {"Success": False, "Message": words}
    job = date.backfill
    if job.pk not in done:
        try:
            operation = door.apply("resume_backfill", actor, job.workspace, job.environment, [job.pk], comment=comment)
            door.raise_if_refused(operation)
            done[job.pk] = ""
        except Refused as error:
            done[job.pk] = str(error)
    return {"Success": False, "Message": done[job.pk]} if done[job.pk] else {"Success": True, "Message": ""}


@operation("2020-05-18", "GetDag", GetDag, Permission.VIEW)
def get_dag(actor: Actor, args: Args) -> Args:
    """A run that somebody asked for; scheduled ones have no such details."""
    found = _asked_for(actor).filter(pk=args["DagId"], environment=args["ProjectEnv"])
    return envelope(_shapes_2020([_one(found, f"There is no DAG {args['DagId']} in {args['ProjectEnv']}")])[0])


@operation("2020-05-18", "ListDags", ListDags, Permission.VIEW)
def list_dags(actor: Actor, args: Args) -> Args:
    """All workflow instances of one backfill, by the OpSeq that GetDag tells, in the order in which they run."""
    dates = BackfillDate.objects.filter(backfill__operation=args["OpSeq"], backfill__environment=args["ProjectEnv"])
    found = _asked_for(actor).filter(backfill_date__in=dates).order_by("backfill_date__position")
    if not found.exists():
        raise _nothing(f"There is no backfill with the OpSeq {args['OpSeq']} in {args['ProjectEnv']}")
    return envelope({"Dags": _shapes_2020(list(found))})


def visible(actor: Actor) -> "QuerySet[WorkflowInstance]":
    """Those of workspaces that the caller is a member of."""
    found = WorkflowInstance.objects.filter(workspace__members__user=actor.user)
    return found.select_related(
        "workspace__tenant", "workflow__owner", "created_by", "backfill_date__backfill__workspace"
    ).defer("backfill_date__backfill__plan")


def _asked_for(actor: Actor) -> "QuerySet[WorkflowInstance]":
    return visible(actor).exclude(type=WorkflowInstance.Type.NORMAL)


def _one(found: "QuerySet[WorkflowInstance]", nothing: str) -> WorkflowInstance:
    first = found.first()
    if first is None:
        raise _nothing(nothing)
    return first


def _nothing(words: str) -> Exception:
    return fault("Invalid.WorkflowInstance.NotExist", detail=f"{words}, or you are not a member of its workspace.")


def _facts(families: Sequence[WorkflowInstance]) -> tuple[Mapping[int, Counts], Mapping[int, Mapping[str, Any]]]:
    """How each stands, and when it began and ended."""
    ids = [family.pk for family in families]
    times = WorkflowInstance.objects.filter(pk__in=ids).annotate(
        started=Min("task_instances__started_at"),
        finished=Max("task_instances__finished_at"),
        modified=Max("task_instances__state_at"),
    )
    rows = times.values("pk", "started", "finished", "modified")
    return backfill_counts.of_families(ids), {row["pk"]: row for row in rows}


def _shapes_2024(families: Sequence[WorkflowInstance]) -> list[Args]:
    counts, times = _facts(families)
    found = []
    for family in families:
        standing, at = counts[family.pk].standing, times[family.pk]
        is_over = standing in (Standing.SUCCESS, Standing.FAILURE)
        found.append(
            given(
                {
                    "Id": family.pk,
                    "UnifiedWorkflowInstanceId": family.pk,
                    "Name": family.name,
                    "Type": family.type,
                    "Status": STATUS[standing][0],
                    "ProjectId": family.workspace_id,
                    "EnvType": family.environment,
                    "WorkflowId": family.workflow.number if family.workflow else ProductionWorkflow.PLAIN,
                    "Owner": str(family.workflow.owner.uid) if family.workflow else None,
                    "BizDate": day_milliseconds(family.bizdate, ZoneInfo(family.workspace.tenant.time_zone)),
                    "CreateTime": milliseconds(family.created_at),
                    "CreateUser": str(family.created_by.uid) if family.created_by else None,
                    "ModifyTime": milliseconds(at["modified"]),
                    "StartedTime": milliseconds(at["started"]),
                    "FinishedTime": milliseconds(at["finished"]) if is_over else None,
                    "WorkflowParameters": _parameters(family),
                }
            )
        )
    return found


def _parameters(family: WorkflowInstance) -> str | None:
    given = family.parameters.get("workflow")
    return json.dumps(given, ensure_ascii=False) if given else None


def _shapes_2020(families: Sequence[WorkflowInstance]) -> list[Args]:
    counts, times = _facts(families)
    found = []
    for family in families:
        standing, at = counts[family.pk].standing, times[family.pk]
        is_over = standing in (Standing.SUCCESS, Standing.FAILURE)
        zone = ZoneInfo(family.workspace.tenant.time_zone)
        date = getattr(family, "backfill_date", None)
        found.append(
            given(
                {
                    "DagId": family.pk,
                    "OpSeq": date.backfill.operation if date is not None else None,
                    "Name": family.name,
                    "Type": DAG_TYPE_2020[family.type],
                    "Status": STATUS[standing][1],
                    "ProjectId": family.workspace_id,
                    "Bizdate": day_milliseconds(family.bizdate, zone),
                    "Gmtdate": day_milliseconds(family.bizdate + timedelta(days=1), zone),
                    "CreateTime": milliseconds(family.created_at),
                    "CreateUser": str(family.created_by.uid) if family.created_by else None,
                    "ModifyTime": milliseconds(at["modified"]),
                    "StartTime": milliseconds(at["started"]),
                    "FinishTime": milliseconds(at["finished"]) if is_over else None,
                }
            )
        )
    return found
