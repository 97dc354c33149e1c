"""Every cell of operations x states x custom roles x own, by every door: the page, all that match as a job, and the API.

The codes come from the registry, the cells from the tables that test_matrix, test_task_matrix and this file write by hand. What
the doors do in a cell must be the same; an operation without a door is named here, so that a new one is not forgotten.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import product
from typing import Any

import pytest
from django.db import transaction
from django.urls import reverse

from opscenter.base import clock
from opscenter.base.reasons import say
from opscenter.operations import jobs, roles
from opscenter.operations.models import Operation
from opscenter.operations.registry import OPERATIONS, OperationSpec, operations_on, refusal
from opscenter.production.models import Attempt, Backfill, Task, TaskInstance
from opscenter.production.rules.states import LIVE, State
from opscenter.workspaces.models import AuditEntry, Member, User
from opscenter.workspaces.roles import OWNABLE, Permission
from tests.cast import usable_group
from tests.console.visits import as_user
from tests.openapi.wire import V2020, Answer, Wire
from tests.operations import test_matrix as instances_table
from tests.operations import test_task_matrix as tasks_table
from tests.operations.backfilling import backfill, fail, instances, succeed
from tests.operations.guarded import Guarded

pytestmark = pytest.mark.django_db
HOW = {  # what the role grants, whether the tasks are the member's own, and whether that is enough; None: for nothing
    "granted": ("all", False, True),
    "for own, and own": ("own", True, True),
    "for own, of others": ("own", False, False),
    "everything but this": ("none", True, None),
}
Cells = dict[int, str | None]
"""Object -> code of the refusal, None where it is done."""
JOBS = [
    "asked", "making", "ready", "ready paused", "started", "started paused", "started over", "failed", "stopping", "stopped",
]  # fmt: skip
JOB_TABLE = {  # a letter for each of JOBS
    "pause_backfill": "s s s s Y p o o s s",
    "resume_backfill": "s s n Y n Y n n s s",
    "stop_backfill": "s Y Y Y Y Y o o s s",
    "rerun_backfill": "s s s s 0 0 0 Y s Y",
}
JOB_LETTERS = {
    "Y": None,
    "s": "backfill.state",
    "p": "backfill.paused_already",
    "n": "backfill.not_paused",
    "o": "backfill.over",
    "0": "backfill.nothing_failed",
}


@dataclass
class Scene:
    """Objects in every state, and somebody with a role of the workspace's own who wants to do something to them."""

    cast: Guarded
    spec: OperationSpec
    user: User
    objects: list[Any]
    cells: Cells

    @property
    def ids(self) -> list[int]:
        return [one.pk for one in self.objects]

    def page(self, data: dict[str, Any]) -> Any:
        """The answer to the operation's form."""
        kind, code = self.spec.object_type, self.spec.code.removesuffix(f"_{self.spec.object_type}")
        address = reverse(
            f"console:{kind}_operate",
            kwargs={"workspace_id": self.cast.workspace.pk, "env": "prod", "code": code.replace("_", "-")},
        )
        return as_user(self.user).post(address, data | {"comment": "night shift"})


def given(cast: Guarded, permission: Permission, how: str) -> User:
    """A member whose only role is one of the workspace's own."""
    grants = {"all": {permission}, "own": {Permission.VIEW}, "none": set(Permission) - {permission}}[how]
    own = [permission] if how == "own" else []
    role = roles.create(
        cast.actor(cast.owner), cast.workspace, name="Night shift", description="", grants=list(grants), own_only=own
    )
    AuditEntry.objects.all().delete()
    return cast.user("asker", role.code)


def some_instances(cast: Guarded, owner: User) -> list[TaskInstance]:
    """One in every state, frozen and not, of yesterday; the live ones with their attempt. All wait for one upstream."""
    usable_group(cast.workspace, "other")
    yesterday = clock.now().date() - timedelta(days=1)
    task = cast.task("shell", owner=owner)
    first = cast.instance(cast.task("first", owner=owner), State.FAILURE, bizdate=yesterday)
    made = []
    for period, (state, frozen) in enumerate(product(instances_table.COLUMNS, (False, True)), 1):
        live = state in LIVE
        one = cast.instance(
            task, state, upstream=[first], bizdate=yesterday, frozen=frozen, attempt=int(live), period=period,
            scheduled_at=first.scheduled_at + timedelta(minutes=period),
        )  # fmt: skip
        if live:
            kind = Attempt.State.CLAIMED if state == State.CLAIMED else Attempt.State.RUNNING
            Attempt.objects.create(instance=one, number=1, state=kind, claimed_at=one.scheduled_at)
        made.append(one)
    return made


def some_jobs(cast: Guarded, owner: User) -> list[Backfill]:
    """A backfill in every state of JOBS, asked for by the owner."""
    task = cast.task("shell", owner=owner)
    made = partial(backfill, cast, task, by=cast.admin)
    found = [made(), made(), made(autostart=False), made(autostart=False), *[made() for _ in JOBS[4:]]]
    Backfill.objects.filter(pk=found[0].pk).update(state="asked")
    Backfill.objects.filter(pk=found[1].pk).update(state="making")
    Backfill.objects.filter(pk__in=[found[3].pk, found[5].pk]).update(is_paused=True)
    Backfill.objects.filter(pk=found[2].pk).update(is_paused=False)
    succeed(*instances(found[6]))
    fail(*instances(found[7]))
    for job, state in zip(found[8:], ("stopping", "stopped"), strict=True):
        fail(*instances(job))
        Backfill.objects.filter(pk=job.pk).update(state=state)
    Backfill.objects.update(created_by=owner)
    return list(Backfill.objects.order_by("pk"))


def scene(code: str, how: str, own: bool, may: bool | None) -> Scene:
    cast, spec = Guarded(), OPERATIONS[code]
    user = given(cast, spec.permission, how)
    owner = user if own else cast.owner
    if spec.object_type == "instance":
        objects: list[Any] = some_instances(cast, owner)
        cells = {one.pk: instances_table.cell(code, one.frozen, State(one.state)) for one in objects}
    elif spec.object_type == "task":
        usable_group(cast.workspace, "night")
        objects = tasks_table.made(cast, "Prod")
        Task.objects.filter(pk__in=[one.pk for one in objects]).update(owner=owner)
        letters = tasks_table.TABLE[code].split()
        cells = {one.pk: tasks_table.LETTERS[letter] for one, letter in zip(objects, letters, strict=True)}
    else:
        objects = some_jobs(cast, owner)
        letters = JOB_TABLE[code].split()
        cells = {one.pk: JOB_LETTERS[letter] for one, letter in zip(objects, letters, strict=True)}
    if not may:
        cells = dict.fromkeys(cells, "permission.missing")
    return Scene(cast, spec, user, objects, cells)


def told(operation: Operation, ids: Sequence[int]) -> Cells:
    found = operation.targets.filter(object_id__in=ids).values_list("object_id", "reason")
    return {pk: reason["code"] if reason else None for pk, reason in found}


def fields(made: Scene) -> dict[str, Any]:
    """What the form of the operation asks for."""
    code, workspace = made.spec.code, made.cast.workspace.pk
    if code == "remove_dependencies":
        return {"upstream": instances_table.upstream_of(made.objects)}
    known: dict[str, dict[str, Any]] = {
        "set_priority": {"priority": 7},
        "set_resource_group": {"resource_group": "other"},
        "force_rerun": {"start": "self", "workspaces": [workspace]},
        "set_owner_task": {"owner": "acme-deployer"},
        "set_resource_group_task": {"resource_group": "night"},
        "set_priority_task": {"priority": 7},
    }
    return known.get(code, {})


def by_page(made: Scene) -> Cells | int:
    """Chosen one by one."""
    answer = made.page({"id": made.ids, **fields(made)})
    return _came(made, answer)


def by_job(made: Scene) -> Cells | int:
    """All that match the filters of a list."""
    name = f"{made.spec.object_type}_list"
    every = {"all": "1", "list": name, "filter": "bizdate=all" if name == "instance_list" else ""}
    answer = made.page(every | fields(made))
    operation = Operation.objects.filter(code=made.spec.code).last()
    if operation is not None:
        assert operation.status == "running"
        jobs.run(operation.pk)
    return _came(made, answer)


def _came(made: Scene, answer: Any) -> Cells | int:
    operation = Operation.objects.filter(code=made.spec.code).last()
    if operation is None:
        return int(answer.status_code)
    assert answer.status_code == 302, answer.content
    assert (operation.actor, operation.face, operation.comment) == (made.user, "console", "night shift")
    return told(operation, made.ids)


IDS: dict[str, str] = {
    "stop": "StopTaskInstances",
    "rerun": "RerunTaskInstances",
    "set_success": "SetSuccessTaskInstances",
    "freeze": "SuspendTaskInstances",
    "unfreeze": "ResumeTaskInstances",
}
ONE_BY_ONE: dict[str, str] = {
    "stop": "StopInstance",
    "rerun": "RestartInstance",
    "set_success": "SetSuccessInstance",
    "freeze": "SuspendInstance",
    "unfreeze": "ResumeInstance",
}
UPDATES: dict[str, dict[str, Any]] = {
    "set_priority": {"Priority": 7},
    "set_resource_group": {"RuntimeResource": "other"},
}
CHANGES: dict[str, Callable[[Guarded], dict[str, Any]]] = {
    "freeze_task": lambda cast: {"Trigger": {"Recurrence": "Pause"}},
    "unfreeze_task": lambda cast: {"Trigger": {"Recurrence": "Normal"}},
    "set_owner_task": lambda cast: {"Owner": str(cast.deployer.uid)},
    "set_resource_group_task": lambda cast: {"RuntimeResource": {"ResourceGroupId": "night"}},
}
BY_THE_OLDER = {"freeze_task", "unfreeze_task", "set_owner_task", "undeploy_task"}
NO_API = {
    *("rerun_downstream", "force_rerun", "set_priority_task", "make_backfill"),
    *("pause_backfill", "resume_backfill", "stop_backfill", "rerun_backfill"),
}
"""What DataWorks' APIs have no call for, or one of another form (StartWorkflowInstances, RunCycleDagNodes)."""


def by_api(made: Scene) -> dict[int, str | None] | int:
    """Sentences of refusals, since that is all that the API tells."""
    code, wire = made.spec.code, Wire(made.user)
    if code in IDS:
        return _results(wire.try_call(IDS[code], Ids=made.ids, Comment="night shift"))
    if code in UPDATES:
        items = [{"Id": pk, **UPDATES[code]} for pk in made.ids]
        return _results(wire.try_call("UpdateTaskInstances", TaskInstances=items))
    if code in CHANGES:
        items = [{"Id": one.number, **CHANGES[code](made.cast)} for one in made.objects]
        numbers = {one.number: one.pk for one in made.objects}
        found = _results(wire.try_call("BatchUpdateTasks", Tasks=items))
        return found if isinstance(found, int) else {numbers[number]: said for number, said in found.items()}
    if code == "undeploy_task":
        return _each(made, lambda one: wire.try_call("DeleteTask", Id=one.number))
    upstream = [fields(made)["upstream"]]
    return _each(
        made,
        lambda one: wire.try_call("RemoveTaskInstanceDependencies", Id=one.pk, UpstreamTaskInstanceIds=upstream),
    )


def by_the_older_api(made: Scene) -> dict[int, str | None] | int:
    """2020-05-18: one at a time."""
    code, wire = made.spec.code, Wire(made.user)
    if code in ONE_BY_ONE:
        call = lambda one: wire.try_call(ONE_BY_ONE[code], V2020, InstanceId=one.pk, ProjectEnv="PROD")  # noqa: E731
    elif code == "set_owner_task":
        uid = str(made.cast.deployer.uid)
        call = lambda one: wire.try_call(  # noqa: E731
            "UpdateNodeOwner", V2020, NodeId=one.number, ProjectEnv="PROD", UserId=uid
        )
    elif code == "undeploy_task":
        project = made.cast.workspace.pk
        call = lambda one: wire.try_call("OfflineNode", V2020, NodeId=one.number, ProjectId=project)  # noqa: E731
    else:
        kind = {"freeze_task": 2, "unfreeze_task": 0}[code]
        call = lambda one: wire.try_call(  # noqa: E731
            "UpdateNodeRunMode", V2020, NodeId=one.number, ProjectEnv="PROD", SchedulerType=kind
        )
    return _each(made, call)


def _results(answer: Answer) -> dict[int, str | None] | int:
    if answer.status != 200:
        return answer.status
    return {int(pk): None if one["Success"] else one["Message"] for pk, one in answer.body["SuccessInfo"].items()}


def _each(made: Scene, call: Callable[[Any], Answer]) -> dict[int, str | None]:
    found = {one.pk: call(one) for one in made.objects}
    return {pk: None if answer.status == 200 else answer.message for pk, answer in found.items()}


def undone(door: Callable[[Scene], Any], made: Scene) -> Any:
    """What a door answers; nothing stays of it."""
    with transaction.atomic():
        found = door(made)
        transaction.set_rollback(True)
    return found


def test_the_table_names_every_operation_on_backfills() -> None:
    assert set(JOB_TABLE) | {"make_backfill"} == set(operations_on("backfill"))
    assert all(len(cells.split()) == len(JOBS) for cells in JOB_TABLE.values())
    assert {name.split()[0] for name in JOBS} - {"failed"} == set(Backfill.State.values)


def test_every_operation_is_behind_the_doors() -> None:
    at_api = {*IDS, *UPDATES, *CHANGES, "undeploy_task", "remove_dependencies"}
    assert at_api | NO_API == set(OPERATIONS) and not at_api & NO_API
    assert {*ONE_BY_ONE, *BY_THE_OLDER} <= at_api


CELLS = [
    pytest.param(code, *who, id=f"{code}: {words}")
    for code, spec in OPERATIONS.items()
    for words, who in HOW.items()
    if code != "make_backfill" and (who[0] != "own" or spec.permission in OWNABLE)
]


@pytest.mark.parametrize(("code", "how", "own", "may"), CELLS)
def test_every_cell_by_every_door(code: str, how: str, own: bool, may: bool | None) -> None:
    made = scene(code, how, own, may)
    member = Member.objects.get(user=made.user)
    shown = {one.pk: refusal(made.spec, one, member) for one in _as_shown(made)}
    assert {pk: reason.code if reason else None for pk, reason in shown.items()} == made.cells, "the buttons"
    expected = 403 if may is None else made.cells
    assert undone(by_page, made) == expected, "the page"
    if made.spec.on_all and made.spec.object_type != "backfill":
        visible = expected
        if isinstance(expected, dict) and made.spec.object_type == "task":  # lists show what is online
            online = set(Task.objects.filter(status=Task.Status.ONLINE).values_list("pk", flat=True))
            visible = {pk: cell for pk, cell in expected.items() if pk in online}
        assert undone(by_job, made) == visible, "all that match"
    said: Any = 403
    if may is not None:
        said = {pk: reason and say(reason.code, reason.params) for pk, reason in shown.items()}
    if code not in NO_API:
        answers = undone(by_api, made)
        same(made, answers, said)
        assert isinstance(answers, int) is (may is None and code not in ("undeploy_task", "remove_dependencies"))
    if code in (ONE_BY_ONE.keys() | BY_THE_OLDER):
        same(made, undone(by_the_older_api, made), said)


AS_WANTED = {("freeze_task", "Pause"), ("unfreeze_task", "Normal")}


def same(made: Scene, answers: Any, said: Any) -> None:
    """On the wire, a task that is as it is wanted needs nothing, and to an offline one there is no way."""
    if isinstance(answers, int):
        assert answers == said
        return
    assert answers.keys() == set(made.ids)
    for one in made.objects:
        answer, cell = answers[one.pk], made.cells[one.pk]
        asked = made.spec.code, getattr(one, "recurrence", "")
        if made.spec.object_type == "task" and one.status == Task.Status.OFFLINE:
            assert answer is not None and "There is no task" in answer
        elif cell == "permission.missing":
            assert answer is not None and made.spec.permission in answer
        elif cell is None or asked in AS_WANTED:
            assert answer is None, cell
        elif asked == ("unfreeze_task", "Skip"):
            assert answer is not None and "it becomes a dry run, or stops being one" in answer
        else:
            assert answer is not None and said[one.pk] in answer, cell


def _as_shown(made: Scene) -> list[Any]:
    """As pages read them."""
    known = type(made.objects[0]).objects.filter(pk__in=made.ids)
    return list(known.select_related("task", "version") if made.spec.object_type == "instance" else known)
