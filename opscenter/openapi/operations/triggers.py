"""Opening HTTP trigger nodes: both versions name one instance by its task and scheduled time."""

from zoneinfo import ZoneInfo

from opscenter.openapi.fields import Env, Integer, Milliseconds, Request, local_day
from opscenter.openapi.registry import Args, operation
from opscenter.operations.actor import Actor
from opscenter.operations.trigger import trigger
from opscenter.production.models import Environment
from opscenter.workspaces.roles import Permission


class TriggerSchedulerTaskInstance(Request):
    TaskId = Integer()
    TriggerTime = Milliseconds()
    EnvType = Env(default=Environment.PROD.value)


class RunTriggerNode(Request):
    NodeId = Integer()
    CycleTime = Milliseconds()
    BizDate = Milliseconds()
    AppId = Integer()


@operation("2024-05-18", "TriggerSchedulerTaskInstance", TriggerSchedulerTaskInstance, Permission.TRIGGER)
def trigger_scheduler_task_instance(actor: Actor, args: Args) -> Args:
    """Success: the call was accepted (fired, held, or without effect); its receipt tells which."""
    trigger(actor, task_number=args["TaskId"], environment=args["EnvType"], scheduled_at=args["TriggerTime"])
    return {"Success": True}


@operation("2020-05-18", "RunTriggerNode", RunTriggerNode, Permission.TRIGGER)
def run_trigger_node(actor: Actor, args: Args) -> Args:
    """The same for the older API, always in production; its workspace and business date must fit."""
    trigger(
        actor,
        task_number=args["NodeId"],
        scheduled_at=args["CycleTime"],
        workspace_id=args["AppId"],
        bizdate=local_day(args["BizDate"], ZoneInfo(actor.user.tenant.time_zone)),
    )
    return {"Success": True}
