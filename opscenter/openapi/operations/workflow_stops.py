"""Stopping workflow instances, each with a result of its own."""

from opscenter.base.reasons import Forbidden, say
from opscenter.openapi.operations.workflow_instances import ManyWorkflowInstances, visible
from opscenter.openapi.registry import Args, operation
from opscenter.openapi.waits import waits
from opscenter.operations import workflow_stop
from opscenter.operations.actor import Actor
from opscenter.operations.models import Operation
from opscenter.operations.workflow_stop import Outcome
from opscenter.workspaces.roles import Permission

_UNKNOWN = "There is no such workflow instance, or you are not a member of its workspace."


@operation("2024-05-18", "StopWorkflowInstances", ManyWorkflowInstances, Permission.OPERATE_INSTANCE)
def stop_workflow_instances(actor: Actor, args: Args) -> Args:
    """Stop what runs in them, or is about to. Of a backfill all is stopped where every business date is named that has not
    ended."""
    families = visible(actor).filter(pk__in=args["Ids"]).order_by("pk")
    found = workflow_stop.stop(actor, list(families), args["Comment"] or "")
    for outcome in found.values():
        if outcome.reason and all(one.is_forbidden for one in found.values()):
            raise Forbidden(outcome.reason.code, **outcome.reason.params)
    return {"SuccessInfo": {str(pk): _told(found.get(pk)) for pk in args["Ids"]}}


def _told(outcome: Outcome | None) -> Args:
    if outcome is None:
        return {"Success": False, "Message": _UNKNOWN}
    if outcome.reason is not None:
        return {"Success": False, "Message": say(outcome.reason.code, outcome.reason.params)}
    waiting = outcome.waiting
    if waiting is None:
        return {"Success": True, "Message": ""}
    is_checking = waiting.status == Operation.Status.CHECKING
    words = waits(waiting) if is_checking else f"A worker does it; operation {waiting.pk}."
    return {"Success": True, "Message": words, "OperationId": str(waiting.pk)}
