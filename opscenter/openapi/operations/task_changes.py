"""Changing tasks: what O&M may change, each by its operation. The rest is published, not set here.

UpdateTask changes Trigger.Recurrence, Owner and RuntimeResource.ResourceGroupId, all that is asked for or nothing.

Where extensions are asked first, the answer comes at once: what is answered beyond the documented fields tells the
operation and how it stands.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.db import transaction

from opscenter.base.reasons import Forbidden, say
from opscenter.openapi import finding, shapes
from opscenter.openapi.differences import first_difference
from opscenter.openapi.errors import WireError, invalid, missing
from opscenter.openapi.fields import Env, Integer, Items, Json, OpenStructure, Request, Text, Word
from opscenter.openapi.registry import Args, operation
from opscenter.openapi.waits import told, waits
from opscenter.operations import door
from opscenter.operations.actor import Actor
from opscenter.operations.models import Operation
from opscenter.operations.permits import member_of
from opscenter.operations.permits import missing as lacking
from opscenter.production.models import Environment, Recurrence, ResourceGroup, Task
from opscenter.workspaces.models import Member, Workspace
from opscenter.workspaces.roles import Permission

_NAMING = ("Id", "EnvType", "Trigger", "Owner", "RuntimeResource")
_MEMBERS_OF_DETAILS = ("Dependencies", "Inputs", "Outputs", "Script", "Tags")
_NOT_GIVEN: tuple[object, ...] = (None, "", [], {})
_SCHEDULER_TYPES = {0: Recurrence.NORMAL, 2: Recurrence.PAUSE}


class Change(NamedTuple):
    """An operation that makes a task as it is asked for, with its argument, if it takes one."""

    code: str
    argument: tuple[str, str] | None = None


class Trigger(OpenStructure):
    Recurrence = Word(*Recurrence.values, required=False)


class RuntimeResource(OpenStructure):
    ResourceGroupId = Text(required=False)


class UpdateTask(Request):
    Id = Integer()
    EnvType = Env(default=Environment.PROD.value)
    Trigger = Trigger(required=False)
    ClientUniqueCode = Text(required=False)
    DataSource = Json(required=False)
    Dependencies = Json(required=False)
    Description = Text(required=False, trim_whitespace=False)
    Inputs = Json(required=False)
    InstanceMode = Text(required=False)
    Name = Text(required=False, trim_whitespace=False)
    Outputs = Json(required=False)
    Owner = Text(required=False)
    RerunInterval = Integer(32, required=False)
    RerunMode = Text(required=False)
    RerunTimes = Integer(32, required=False)
    RuntimeResource = RuntimeResource(required=False)
    Script = Json(required=False)
    Tags = Json(required=False)
    Timeout = Integer(32, required=False)


class TaskUpdate(OpenStructure):
    Id = Integer()
    EnvType = Env(default=Environment.PROD.value)
    Trigger = Trigger(required=False)
    Owner = Text(required=False)
    RuntimeResource = RuntimeResource(required=False)


class BatchUpdateTasks(Request):
    Tasks = Items(TaskUpdate(), most=door.MOST)
    Comment = Text(required=False)


class UpdateNodeRunMode(Request):
    NodeId = Integer()
    ProjectEnv = Env()
    SchedulerType = Integer(32)


class UpdateNodeOwner(Request):
    NodeId = Integer()
    ProjectEnv = Env()
    UserId = Text()


class OfflineNode(Request):
    NodeId = Integer()
    ProjectId = Integer()


class DeleteTask(Request):
    Id = Integer()
    ProjectEnv = Env(default=Environment.PROD.value)


@operation("2024-05-18", "UpdateTask", UpdateTask, Permission.OPERATE_TASK)
def update_task(actor: Actor, args: Args) -> Args:
    """Change one task; it may be sent whole, as GetTask answers it."""
    task = finding.task(actor, args["Id"], args["EnvType"])
    _require(member_of(actor.user, task.workspace_id), task)
    # this call documents milliseconds, what reads it answers seconds: either says that nothing changed
    seconds = task.version.rerun_interval if task.version else 0
    return {"Success": True} | _apply_to(actor, task, _wanted(task, args, {seconds, seconds * 1000}))


@operation("2020-05-18", "UpdateNodeRunMode", UpdateNodeRunMode, Permission.OPERATE_TASK)
def update_node_run_mode(actor: Actor, args: Args) -> Args:
    """The same by the older API, which freezes and unfreezes alone."""
    wanted = _SCHEDULER_TYPES.get(args["SchedulerType"])
    if wanted is None:
        raise invalid("SchedulerType", "It must be 2 to freeze the node or 0 to unfreeze it.")
    task = finding.task(actor, args["NodeId"], args["ProjectEnv"])
    _require(member_of(actor.user, task.workspace_id), task)
    change = _recurrence(task, wanted, "SchedulerType")
    return {"Success": True} | _apply_to(actor, task, [change] if change else [])


@operation("2020-05-18", "UpdateNodeOwner", UpdateNodeOwner, Permission.OPERATE_TASK)
def update_node_owner(actor: Actor, args: Args) -> Args:
    """Give a node to another member of its workspace."""
    task = finding.task(actor, args["NodeId"], args["ProjectEnv"])
    _require(member_of(actor.user, task.workspace_id), task)
    wanted = _owner(task, args["UserId"], "UserId")
    return {"Success": True} | _apply_to(actor, task, [wanted] if wanted else [])


@operation("2020-05-18", "OfflineNode", OfflineNode, Permission.OPERATE_TASK)
def offline_node(actor: Actor, args: Args) -> Args:
    """Undeploy a node of production; this API documents its Success as text."""
    workspace = finding.workspace(actor, args["ProjectId"])
    task = finding.task(actor, args["NodeId"], Environment.PROD, workspace)
    return {"Success": "true"} | _apply_to(actor, task, [Change("undeploy_task")])


@operation("2024-05-18", "DeleteTask", DeleteTask, Permission.OPERATE_TASK)
def delete_task(actor: Actor, args: Args) -> Args:
    """The same by the newer API: the task goes offline, its draft stays."""
    task = finding.task(actor, args["Id"], args["ProjectEnv"])
    return {"Success": True} | _apply_to(actor, task, [Change("undeploy_task")])


def _require(member: Member, task: Task) -> None:
    """The door asks the same; what needs no operation does not come to the door."""
    if not member.may(Permission.OPERATE_TASK, own=task.owner_id == member.user_id):
        raise Forbidden("permission.missing", **lacking(Permission.OPERATE_TASK, member))


def _apply_to(actor: Actor, task: Task, changes: Sequence[Change]) -> Args:
    """Do the operations, all of them or none; nothing, when the task is as asked already.

    Answers with the one that waits for extensions, or else with the first.

    Raises:
        Refused: one was not done, nor is it being checked.
    """
    if not changes:
        return {}
    if len(changes) == 1:
        done = [_do(actor, task, changes[0])]
    else:
        with transaction.atomic():
            done = [_do(actor, task, change) for change in changes]
    waiting = [one for one in done if one.status == Operation.Status.CHECKING]
    return told((waiting or done)[0])


def _do(actor: Actor, task: Task, change: Change) -> Operation:
    done = door.apply(change.code, actor, task.workspace, task.environment, [task.pk], arguments=_arguments(change))
    door.raise_if_refused(done)
    return done


def _arguments(change: Change) -> dict[str, str]:
    return dict([change.argument]) if change.argument else {}


def _wanted(task: Task, given: Args, intervals: set[int]) -> list[Change]:
    """The operations that make the task as it is given; none when it is so already.

    Raises:
        WireError: nothing is given, or what only publishing changes; the parameter is named.
    """
    trigger, resource = dict(given.get("Trigger") or {}), dict(given.get("RuntimeResource") or {})
    recurrence, group = trigger.pop("Recurrence", None), resource.pop("ResourceGroupId", None)
    others = {name: value for name, value in given.items() if name not in _NAMING}
    rest = {
        name: value
        for name, value in {**others, "Trigger": trigger, "RuntimeResource": resource}.items()
        if value not in _NOT_GIVEN
    }
    owner = given.get("Owner")
    if not (recurrence or owner or group or rest):
        raise missing("Trigger.Recurrence")
    if different := first_difference(rest, _present(task, rest, intervals)):
        raise invalid(different, "It is not as the task has it. To change it, change the node and publish it.")
    changes = (_recurrence(task, recurrence), _owner(task, owner, "Owner"), _group(task, group))
    return [change for change in changes if change is not None]


def _recurrence(task: Task, recurrence: str | None, parameter: str = "Trigger.Recurrence") -> Change | None:
    if recurrence in (None, task.recurrence):
        return None
    if recurrence == Recurrence.PAUSE:
        return Change("freeze_task")
    if recurrence == Recurrence.NORMAL and task.recurrence == Recurrence.PAUSE:
        return Change("unfreeze_task")
    raise invalid(
        parameter,
        f"Here a task is frozen (Pause) and unfrozen (Normal). This one is {task.recurrence}; "
        "it becomes a dry run, or stops being one, when its node is published.",
    )


def _owner(task: Task, account: str | None, parameter: str) -> Change | None:
    """An account id of a member; the task's own changes nothing."""
    if not account or account == str(task.owner.uid):
        return None
    members = Member.objects.filter(workspace=task.workspace_id, user__is_active=True)
    number = int(account) if account.isascii() and account.isdigit() and len(account) <= 18 else -1
    name = members.filter(user__uid=number).values_list("user__username", flat=True).first()
    if name is None:
        raise invalid(parameter, "It must be the account id of a member of the task's workspace.")
    return Change("set_owner_task", ("owner", name))


def _group(task: Task, name: object) -> Change | None:
    """The name of a resource group that the workspace may use; it is its id on the wire."""
    if name in (None, "", task.resource_group.name):
        return None
    if not ResourceGroup.objects.usable_in(task.workspace).filter(name=str(name)).exists():
        raise invalid("RuntimeResource.ResourceGroupId", "The task's workspace may use no such resource group.")
    return Change("set_resource_group_task", ("resource_group", str(name)))


def _present(task: Task, given: Args, intervals: set[int]) -> Args:
    """The task as GetTask shows it, with what can be told of it besides."""
    shape = shapes.task if given.keys().isdisjoint(_MEMBERS_OF_DETAILS) else shapes.task_details
    shown = shape(task, ZoneInfo(task.workspace.tenant.time_zone))
    shown["RerunInterval"] = frozenset(str(interval) for interval in intervals)
    shown["Trigger"]["CycleType"] = "Daily"  # the default; nothing depends on it here
    return shown


@operation("2024-05-18", "BatchUpdateTasks", BatchUpdateTasks, Permission.OPERATE_TASK)
def batch_update_tasks(actor: Actor, args: Args) -> Args:
    """Change many tasks: 200 with a result for each id. What belongs together is one operation.

    Raises:
        Forbidden: nothing was done, because the caller may operate on no tasks at all.
    """
    items = {item["Id"]: item for item in args["Tasks"]}
    if len(items) < len(args["Tasks"]):
        raise invalid("Tasks", "Name each task once: the answer has one entry for each Id.")
    batch = _Batch(actor, args["Comment"] or "")
    found = {(task.number, task.environment): task for task in finding.tasks(actor).filter(number__in=list(items))}
    for number, item in items.items():
        task = found.get((number, item["EnvType"]))
        if task is None:
            batch.refuse(number, finding.no_task(number, item["EnvType"]))
        else:
            batch.add(task, item)
    batch.carry_out()
    if batch.forbidden and not any(result["Success"] for result in batch.results.values()):
        raise batch.forbidden[0]
    return {"SuccessInfo": {str(number): batch.results[number] for number in items}}


class _Batch:
    """The tasks of one call: sorted into operations, which are then carried out one by one.

    Attributes:
        results: what to answer for each task, by its number.
        forbidden: the refusals where the caller may operate on no task at all, not even on one of their own.
    """

    def __init__(self, actor: Actor, comment: str) -> None:
        self._actor = actor
        self._comment = comment
        self._members: dict[int, Member] = {}
        self._shares: dict[tuple[Workspace, str, Change], list[Task]] = defaultdict(list)
        self.results: dict[int, Args] = {}
        self.forbidden: list[Forbidden] = []

    def add(self, task: Task, given: Args) -> None:
        """Find out which operation the task needs, if any."""
        if task.workspace_id not in self._members:
            self._members[task.workspace_id] = member_of(self._actor.user, task.workspace_id)
        member = self._members[task.workspace_id]
        seconds = task.version.rerun_interval if task.version else 0
        try:
            _require(member, task)
            changes = _wanted(task, given, {seconds})
        except Forbidden as error:
            self.refuse(task.number, str(error))
            if not member.may(Permission.OPERATE_TASK, own=True):
                self.forbidden.append(error)
        except WireError as error:
            self.refuse(task.number, error.message)
        else:
            self.results[task.number] = {"Success": True, "Message": ""}
            for change in changes:
                self._shares[(task.workspace, task.environment, change)].append(task)

    def refuse(self, number: int, why: str) -> None:
        """This task is left as it is."""
        self.results[number] = {"Success": False, "Message": why}

    def carry_out(self) -> None:
        """Do the operations, each to all of its tasks at once. A task that one is refused for has failed."""
        for (workspace, environment, change), tasks in self._shares.items():
            numbers = {task.pk: task.number for task in tasks}
            arguments = _arguments(change)
            done = door.apply(
                change.code,
                self._actor,
                workspace,
                environment,
                list(numbers),
                arguments=arguments,
                comment=self._comment,
            )
            words = waits(done) if done.status == Operation.Status.CHECKING else ""
            for target in done.targets.all():
                before = self.results[numbers[target.object_id]]
                if target.reason is not None:
                    self.refuse(numbers[target.object_id], say(target.reason["code"], target.reason["params"]))
                elif before["Success"] and not before["Message"]:
                    before |= {"Message": words, "OperationId": str(done.pk)}
