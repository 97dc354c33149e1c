"""Operations on many task instances at once (2024): 200 with a result for each id.

Where extensions are asked first, nothing has been done yet: the message says whom the operation waits for.
"""

from collections import defaultdict

from opscenter.base.reasons import Forbidden, say
from opscenter.openapi.fields import Boolean, Integer, Items, Request, Text
from opscenter.openapi.registry import Args, operation
from opscenter.openapi.waits import waits
from opscenter.operations import door
from opscenter.operations.actor import Actor
from opscenter.operations.models import Operation
from opscenter.production.models import TaskInstance
from opscenter.workspaces.models import Workspace
from opscenter.workspaces.roles import Permission


class ManyInstances(Request):
    Ids = Items(Integer(), most=door.MOST)
    Comment = Text(required=False)


class RerunTaskInstances(ManyInstances):
    UseLatestConfig = Boolean(required=False)  # read for its form alone: each attempt runs what is deployed


def _operate(code: str, actor: Actor, args: Args) -> Args:
    """Apply an operation to each workspace's and environment's share of the ids.

    Raises:
        Forbidden: the caller lacks the permission in every workspace that is concerned.
    """
    ids: list[int] = list(dict.fromkeys(args["Ids"]))
    results: dict[int, Args] = {number: _refused(say("instance.unknown")) for number in ids}
    forbidden: list[Forbidden] = []
    shares = _shares(actor, ids)
    for (workspace, environment), share in shares.items():
        try:
            done = door.apply(code, actor, workspace, environment, share, comment=args["Comment"] or "")
        except Forbidden as error:
            forbidden.append(error)
            results |= {number: _refused(str(error)) for number in share}
            continue
        is_checking = done.status == Operation.Status.CHECKING
        well = {"Success": True, "Message": waits(done) if is_checking else ""}
        well |= {"OperationId": str(done.pk)} if is_checking else {}
        for target in done.targets.all():
            reason = target.reason
            results[target.object_id] = _refused(say(reason["code"], reason["params"])) if reason else well
    if forbidden and len(forbidden) == len(shares):
        raise forbidden[0]
    return {"SuccessInfo": {str(number): result for number, result in results.items()}}


def _refused(why: str) -> Args:
    return {"Success": False, "Message": why}


def _shares(actor: Actor, ids: list[int]) -> dict[tuple[Workspace, str], list[int]]:
    """The ids that the caller may know of, by workspace and environment."""
    shares: dict[tuple[Workspace, str], list[int]] = defaultdict(list)
    known = TaskInstance.objects.visible_to(actor.user).filter(pk__in=ids).select_related("workspace").order_by("pk")
    for instance in known.only("workspace", "environment"):
        shares[(instance.workspace, instance.environment)].append(instance.pk)
    return shares


@operation("2024-05-18", "RerunTaskInstances", RerunTaskInstances, Permission.OPERATE_INSTANCE)
def rerun_task_instances(actor: Actor, args: Args) -> Args:
    return _operate("rerun", actor, args)


@operation("2024-05-18", "StopTaskInstances", ManyInstances, Permission.OPERATE_INSTANCE)
def stop_task_instances(actor: Actor, args: Args) -> Args:
    return _operate("stop", actor, args)


@operation("2024-05-18", "SetSuccessTaskInstances", ManyInstances, Permission.OPERATE_INSTANCE)
def set_success_task_instances(actor: Actor, args: Args) -> Args:
    return _operate("set_success", actor, args)


@operation("2024-05-18", "SuspendTaskInstances", ManyInstances, Permission.OPERATE_INSTANCE)
def suspend_task_instances(actor: Actor, args: Args) -> Args:
    return _operate("freeze", actor, args)


@operation("2024-05-18", "ResumeTaskInstances", ManyInstances, Permission.OPERATE_INSTANCE)
def resume_task_instances(actor: Actor, args: Args) -> Args:
    return _operate("unfreeze", actor, args)
