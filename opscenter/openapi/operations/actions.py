"""Operations on task instances (2024): many at once with 200 and a result for each id; dependencies of one.

Where extensions are asked first, nothing has been done yet: the message says whom the operation waits for.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from opscenter.base.reasons import Forbidden, Invalid, say
from opscenter.openapi import finding
from opscenter.openapi.errors import invalid, missing
from opscenter.openapi.fields import Boolean, Integer, Items, Json, Request, Structure, Text
from opscenter.openapi.registry import Args, operation
from opscenter.openapi.waits import waits
from opscenter.operations import dependencies, door
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


class InstanceUpdate(Structure):
    Id = Integer()
    Priority = Integer(32, required=False)
    RuntimeResource = Text(required=False)
    DataSource = Json(required=False)


class UpdateTaskInstances(Request):
    TaskInstances = Items(InstanceUpdate(), most=door.MOST)
    Comment = Text(required=False)


class RemoveTaskInstanceDependencies(Request):
    Id = Integer()
    UpstreamTaskInstanceIds = Items(Integer(), most=dependencies.MOST)
    Comment = Text(required=False)


def _operate(code: str, actor: Actor, args: Args) -> Args:
    ids: list[int] = list(dict.fromkeys(args["Ids"]))
    return _success_info(_apply(code, actor, ids, args["Comment"] or ""))


def _success_info(results: Mapping[int, Args]) -> Args:
    return {"SuccessInfo": {str(number): result for number, result in results.items()}}


def _apply(
    code: str, actor: Actor, ids: list[int], comment: str, arguments: Mapping[str, Any] | None = None
) -> dict[int, Args]:
    """Apply an operation to each workspace's and environment's share of the ids; by id, what came of it.

    Raises:
        Forbidden: the caller lacks the permission in every workspace that is concerned.
    """
    results: dict[int, Args] = {number: _refused(say("instance.unknown")) for number in ids}
    forbidden: list[Forbidden] = []
    shares = _shares(actor, ids)
    for (workspace, environment), share in shares.items():
        try:
            done = door.apply(code, actor, workspace, environment, share, arguments=arguments, comment=comment)
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
    return results


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


@operation("2024-05-18", "UpdateTaskInstances", UpdateTaskInstances, Permission.EMERGENCY)
def update_task_instances(actor: Actor, args: Args) -> Args:
    """Change the priority or the resource group of instances; those that get the same value are one operation.

    Raises:
        Forbidden: the caller may do this to none of them.
    """
    items = {item["Id"]: item for item in args["TaskInstances"]}
    if len(items) < len(args["TaskInstances"]):
        raise invalid("TaskInstances", "Name each instance once: the answer has one entry for each Id.")
    shares: dict[tuple[str, str, Any], list[int]] = defaultdict(list)
    for number, item in items.items():
        if item.get("DataSource"):
            raise invalid(
                "TaskInstances.DataSource", "An instance runs on the data source of its task; leave this out."
            )
        if item.get("Priority") is None and not item.get("RuntimeResource"):
            raise missing("TaskInstances.Priority")
        if item.get("Priority") is not None:
            shares["set_priority", "priority", item["Priority"]].append(number)
        if item.get("RuntimeResource"):
            shares["set_resource_group", "resource_group", item["RuntimeResource"]].append(number)
    results: dict[int, Args] = {number: {"Success": True, "Message": ""} for number in items}
    forbidden: list[Forbidden] = []
    for (code, name, value), ids in shares.items():
        try:
            found = _apply(code, actor, ids, args["Comment"] or "", {name: value})
        except (Forbidden, Invalid) as error:
            if isinstance(error, Forbidden):
                forbidden.append(error)
            found = dict.fromkeys(ids, _refused(str(error)))
        for number, result in found.items():
            if results[number]["Success"] and not results[number]["Message"]:
                results[number] = result
    if len(forbidden) == len(shares):
        raise forbidden[0]
    return _success_info(results)


@operation("2024-05-18", "RemoveTaskInstanceDependencies", RemoveTaskInstanceDependencies, Permission.EMERGENCY)
def remove_task_instance_dependencies(actor: Actor, args: Args) -> Args:
    """One instance no longer waits for the named upstream instances."""
    instance = finding.instance(actor, args["Id"])
    done = door.apply(
        "remove_dependencies",
        actor,
        instance.workspace,
        instance.environment,
        [instance.pk],
        arguments={"upstream": args["UpstreamTaskInstanceIds"]},
        comment=args["Comment"] or "",
    )
    door.raise_if_refused(done)
    return {"Success": True}
