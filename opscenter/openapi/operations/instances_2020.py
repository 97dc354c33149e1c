"""Task instances by the 2020 API. What fails is an HTTP error here too: no client raises on ``Success: false``."""

from django.db.models import F, QuerySet

from opscenter.openapi import finding, shapes
from opscenter.openapi.fields import Day, Env, Integer, Request, Text, Word
from opscenter.openapi.paging import Paged, page
from opscenter.openapi.registry import Args, operation
from opscenter.openapi.waits import told
from opscenter.openapi.wording import STATUS_2020, states_of
from opscenter.operations import door
from opscenter.operations.actor import Actor
from opscenter.operations.models import Operation
from opscenter.production.models import TaskInstance
from opscenter.production.node_types import by_wire
from opscenter.workspaces.roles import Permission

_ORDERS = {"CREATE_TIME_DESC": "created_at", "INSTANCE_ID_DESC": "pk"}


class OneInstance(Request):
    InstanceId = Integer()
    ProjectEnv = Env()


class GetInstanceLog(OneInstance):
    InstanceHistoryId = Integer(low=1, required=False)


class ListInstances(Paged):
    ProjectId = Integer()
    ProjectEnv = Env()
    Bizdate = Day(required=False)
    BeginBizdate = Day(required=False)
    EndBizdate = Day(required=False)
    BizName = Text(required=False)
    DagId = Integer(required=False)
    NodeId = Integer(required=False)
    NodeName = Text(required=False)
    Owner = Text(required=False)
    ProgramType = Text(required=False)
    Status = Word(*dict.fromkeys(STATUS_2020.values()), required=False)
    OrderBy = Word(*_ORDERS, default="INSTANCE_ID_DESC")


def envelope(data: object) -> Args:
    """A success of the 2020 API."""
    return {"Data": data, "Success": True, "HttpStatusCode": 200}


@operation("2020-05-18", "GetInstance", OneInstance, Permission.VIEW)
def get_instance(actor: Actor, args: Args) -> Args:
    instance = finding.instance(actor, args["InstanceId"], args["ProjectEnv"])
    entry = shapes.instance_2020(instance, shapes.current_attempts([instance]).get(instance.pk))
    return envelope(entry | {"Owner": str(instance.task.owner.uid), "PeriodNumber": instance.period})


@operation("2020-05-18", "ListInstances", ListInstances, Permission.VIEW)
def list_instances(actor: Actor, args: Args) -> Args:
    workspace = finding.workspace(actor, args["ProjectId"])
    found = _filtered(TaskInstance.objects.filter(workspace=workspace, environment=args["ProjectEnv"]), args)
    ordered = shapes.with_details(found).order_by(F(_ORDERS[args["OrderBy"]]).desc(), "-pk")
    return envelope(page(ordered, args, "Instances", shapes.instances_2020))


def _filtered(found: QuerySet[TaskInstance], args: Args) -> QuerySet[TaskInstance]:
    conditions = {
        "bizdate": args["Bizdate"],
        "bizdate__gte": args["BeginBizdate"],
        "bizdate__lte": args["EndBizdate"],
        "workflow_instance__workflow__name": args["BizName"],
        "workflow_instance": args["DagId"],
        "task__number": args["NodeId"],
        "task__name__icontains": args["NodeName"],
    }
    found = found.filter(**{name: value for name, value in conditions.items() if value is not None})
    if args["DagId"]:
        found = found.filter(turn_of__isnull=True)  # a backfill's turns belong to the job, not to what it runs
    if args["Owner"]:
        found = found.filter(task__owner__uid=finding.uid(args["Owner"]))
    if args["Status"]:
        found = found.filter(state__in=states_of(args["Status"], STATUS_2020))
    if args["ProgramType"]:
        node_type = by_wire(args["ProgramType"])
        found = found.filter(node_type=node_type.code) if node_type else found.none()
    return found


@operation("2020-05-18", "GetInstanceLog", GetInstanceLog, Permission.VIEW)
def get_instance_log(actor: Actor, args: Args) -> Args:
    """The log of a run (InstanceHistoryId: its number), of the latest without one; of what has not run, why."""
    instance = finding.instance(actor, args["InstanceId"], args["ProjectEnv"])
    return envelope(shapes.log(instance, finding.attempt(instance, args["InstanceHistoryId"])))


def _operate(code: str, actor: Actor, args: Args) -> Args:
    instance = finding.instance(actor, args["InstanceId"], args["ProjectEnv"])
    done = door.apply(code, actor, instance.workspace, instance.environment, [instance.pk])
    door.raise_if_refused(done)
    return envelope(True) | (told(done) if done.status == Operation.Status.CHECKING else {})


@operation("2020-05-18", "RestartInstance", OneInstance, Permission.OPERATE_INSTANCE)
def restart_instance(actor: Actor, args: Args) -> Args:
    return _operate("rerun", actor, args)


@operation("2020-05-18", "StopInstance", OneInstance, Permission.OPERATE_INSTANCE)
def stop_instance(actor: Actor, args: Args) -> Args:
    return _operate("stop", actor, args)


@operation("2020-05-18", "SetSuccessInstance", OneInstance, Permission.OPERATE_INSTANCE)
def set_success_instance(actor: Actor, args: Args) -> Args:
    return _operate("set_success", actor, args)


@operation("2020-05-18", "SuspendInstance", OneInstance, Permission.OPERATE_INSTANCE)
def suspend_instance(actor: Actor, args: Args) -> Args:
    return _operate("freeze", actor, args)


@operation("2020-05-18", "ResumeInstance", OneInstance, Permission.OPERATE_INSTANCE)
def resume_instance(actor: Actor, args: Args) -> Args:
    return _operate("unfreeze", actor, args)
