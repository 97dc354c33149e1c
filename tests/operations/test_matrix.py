"""Every cell of operations on instances x states x frozen x roles x own, against a table written down here by hand.

Those on tasks have a table of their own in test_task_matrix.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from opscenter.base import clock
from opscenter.base.reasons import Forbidden
from opscenter.operations.actor import Actor
from opscenter.operations.arguments import arguments_of
from opscenter.operations.door import apply
from opscenter.operations.models import Operation
from opscenter.operations.registry import OPERATIONS, operations_on
from opscenter.operations.results import judge
from opscenter.production.models import Attempt, InstanceEdge, Task, TaskInstance
from opscenter.production.rules.states import State
from opscenter.workspaces.models import AuditEntry, Member, User
from opscenter.workspaces.roles import ROLES
from tests.cast import usable_group
from tests.engine.graphs import Scene

pytestmark = pytest.mark.django_db

COLUMNS = [
    State.NOT_RUN,
    State.WAIT_TIME,
    State.WAIT_TRIGGER,
    State.WAIT_RESOURCE,
    State.CLAIMED,
    State.RUNNING,
    State.CHECKING,
    State.CHECKING_CONDITION,
    State.FAILURE,
    State.SUCCESS,
]
TABLE = {  # (operation, frozen): a letter for each column
    ("stop", False): "s Y Y Y Y Y Y Y s s",
    ("stop", True): "s Y Y Y Y Y Y Y s s",
    ("rerun", False): "s s s s s s s s Y Y",
    ("rerun", True): "s s s s s s s s Y Y",
    ("set_success", False): "s s s s s s s s Y s",
    ("set_success", True): "s s s s s s s s Y s",
    ("freeze", False): "Y Y Y Y s s s s Y s",
    ("freeze", True): "f f f f f f f f f f",
    ("unfreeze", False): "n n n n n n n n n n",
    ("unfreeze", True): "Y Y Y Y Y Y Y Y Y Y",
    ("rerun_downstream", False): "Y Y Y Y s s s s Y Y",
    ("rerun_downstream", True): "Y Y Y Y s s s s Y Y",
    ("remove_dependencies", False): "Y Y Y Y s s s s Y s",
    ("remove_dependencies", True): "Y Y Y Y s s s s Y s",
    ("force_rerun", False): "s s s s s s s s Y Y",
    ("force_rerun", True): "s s s s s s s s Y Y",
    ("set_priority", False): "Y Y Y Y s s s s Y s",
    ("set_priority", True): "Y Y Y Y s s s s Y s",
    ("set_resource_group", False): "Y Y Y Y s s s s Y s",
    ("set_resource_group", True): "Y Y Y Y s s s s Y s",
}
LETTERS = {"Y": None, "s": "operation.state", "f": "operation.frozen", "n": "operation.not_frozen"}
WHO = {  # may operate: all instances, those of own tasks, or none
    "role_project_owner": "all",
    "role_project_admin": "all",
    "role_project_pe": "all",
    "role_project_dev": "own",
    "role_project_deploy": "none",
    "role_project_guest": "none",
    "role_project_security": "none",
    "role_project_data_analyst": "none",
    "role_project_erd": "none",
    "role_project_tester": "none",
    "role_project_dg_admin": "none",
}
RUNNING = (State.RUNNING, State.CHECKING, State.CHECKING_CONDITION)
LESS = {
    "set_priority": {"role_project_dev"},
    "set_resource_group": {"role_project_dev"},
    "remove_dependencies": {"role_project_dev"},
    "force_rerun": {"role_project_dev", "role_project_pe"},
}
"""Who may operate but not do these, not even to instances of their own tasks."""
ARGUMENTS: dict[str, Callable[[Sequence[TaskInstance]], dict[str, object]]] = {
    "set_priority": lambda instances: {"priority": 7},
    "set_resource_group": lambda instances: {"resource_group": "other"},
    "rerun_downstream": lambda instances: {"start": [one.pk for one in instances]},
    "remove_dependencies": lambda instances: {"upstream": [upstream_of(instances)]},
    "force_rerun": lambda instances: {"start": "self", "workspaces": [instances[0].workspace_id], "cross_day": False},
}
CODES = ["stop", "rerun", "set_success", "freeze", "unfreeze", *ARGUMENTS]


def cell(code: str, frozen: bool, state: State) -> str | None:
    """The code of the refusal that the table gives; None for done."""
    return LETTERS[TABLE[code, frozen].split()[COLUMNS.index(state)]]


def test_the_tables_name_every_operation_state_and_role() -> None:
    assert set(CODES) == set(operations_on("instance")) == {code for code, _ in TABLE}
    assert {spec.object_type for spec in OPERATIONS.values()} == {"instance", "task", "backfill"}
    assert set(COLUMNS) == set(State)
    assert set(WHO) == set(ROLES)


def upstream_of(instances: Sequence[TaskInstance]) -> int:
    """What all of them wait for."""
    return InstanceEdge.objects.filter(downstream__in=instances).values_list("upstream_id", flat=True).distinct().get()


def made(scene: Scene, task: Task) -> list[TaskInstance]:
    """An instance in every state, frozen and not; the live ones with their attempt. All wait for one upstream."""
    yesterday = clock.now().date() - timedelta(days=1)
    first, *instances = scene.instances(task, 1 + 2 * len(COLUMNS), state=State.FAILURE, bizdate=yesterday)
    InstanceEdge.objects.bulk_create(
        InstanceEdge(upstream=first, downstream=one, bizdate=yesterday) for one in instances
    )
    for one in instances:
        one.unmet = 1
    for number, instance in enumerate(instances):
        instance.state = COLUMNS[number // 2]
        instance.frozen = bool(number % 2)
        instance.attempt = int(instance.state in (State.CLAIMED, *RUNNING))
    TaskInstance.objects.bulk_update(instances, ["state", "frozen", "attempt", "unmet"])
    for instance in instances:
        if instance.state in (State.CLAIMED, *RUNNING):
            Attempt.objects.create(
                instance=instance,
                number=1,
                state=Attempt.State.RUNNING if instance.state in RUNNING else Attempt.State.CLAIMED,
                claimed_at=instance.scheduled_at,
            )
    return instances


def member_with(scene: Scene, *roles: str) -> Member:
    user = User.objects.create_user("asker", tenant=scene.tenant)
    return Member.objects.create(workspace=scene.workspace, user=user, roles=list(roles))


def do(scene: Scene, member: Member, code: str, instances: Sequence[TaskInstance]) -> Operation:
    actor = Actor(member.user, AuditEntry.Face.CONSOLE, address="10.1.2.3")
    ids = [instance.pk for instance in instances]
    arguments = ARGUMENTS[code](instances) if code in ARGUMENTS else None
    return apply(code, actor, scene.workspace, "Prod", ids, arguments=arguments, comment="night shift")


def told(operation: Operation) -> dict[int, str | None]:
    """Instance -> code of its refusal, None if it was done."""
    found = {}
    for target in operation.targets.all():
        assert target.done is (target.reason is None)
        found[target.object_id] = target.reason["code"] if target.reason else None
    return found


AFTER = {
    "stop": lambda state: state if state in RUNNING else State.FAILURE,  # what runs is killed by its worker
    "rerun": lambda state: State.NOT_RUN,
    "rerun_downstream": lambda state: State.NOT_RUN,
    "force_rerun": lambda state: State.NOT_RUN,
    "remove_dependencies": lambda state: state if state == State.FAILURE else State.WAIT_RESOURCE,
    "set_success": lambda state: State.SUCCESS,
    "freeze": lambda state: state,
    "unfreeze": lambda state: state,
    "set_priority": lambda state: state,
    "set_resource_group": lambda state: state,
}
"""The state that an instance is in after the operation was done."""


@pytest.mark.parametrize("own", [False, True], ids=["others", "own"])
@pytest.mark.parametrize("role", WHO)
@pytest.mark.parametrize("code", CODES)
def test_every_cell(code: str, role: str, own: bool) -> None:
    scene = Scene()
    usable_group(scene.workspace, "other")
    member = member_with(scene, role)
    task = scene.task("shell")
    if own:
        Task.objects.filter(pk=task.pk).update(owner=member.user)
    instances = made(scene, task)
    shown = TaskInstance.objects.select_related("task", "version").in_bulk([one.pk for one in instances])
    buttons = judge(OPERATIONS[code], shown, list(shown), member)
    who = "none" if role in LESS.get(code, ()) else WHO[role]
    if who == "none":
        with pytest.raises(Forbidden) as error:
            do(scene, member, code, instances)
        assert error.value.reason.params["permission"] == OPERATIONS[code].permission
        assert {reason.code if reason else None for reason in buttons.values()} == {"permission.missing"}
        assert not Operation.objects.exists() and not AuditEntry.objects.exists()
        return
    may = who == "all" or own
    expected = {one.pk: cell(code, one.frozen, State(one.state)) if may else "permission.missing" for one in instances}
    operation = do(scene, member, code, instances)
    assert told(operation) == expected
    assert {pk: reason.code if reason else None for pk, reason in buttons.items()} == expected
    done = [pk for pk, refused in expected.items() if refused is None]
    assert operation.status == ("partly" if done else "refused")
    check_effect(code, instances, set(done))
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.face, entry.address, entry.actor) == (
        f"instance.{code}", "console", "10.1.2.3", member.user
    )  # fmt: skip
    told_too = {"arguments": arguments_of(operation)} if code in ARGUMENTS else {}
    assert entry.params == {
        "done": done,
        "refused": [pk for pk in expected if pk not in done],
        "comment": "night shift",
        **told_too,
    }


def check_effect(code: str, before: list[TaskInstance], done: set[int]) -> None:
    """What was done has had its effect; what was refused was not touched."""
    after = TaskInstance.objects.in_bulk()
    asked = set(Attempt.objects.filter(stop_requested_at__isnull=False).values_list("instance_id", flat=True))
    for one in before:
        state, frozen = (one.state, one.frozen)
        if one.pk in done:
            state = AFTER[code](one.state)
            frozen = {"freeze": True, "unfreeze": False}.get(code, frozen)
        assert (after[one.pk].state, after[one.pk].frozen) == (state, frozen), (State(one.state).name, one.frozen)
        new = {"set_priority": (7, "default"), "set_resource_group": (1, "other")}.get(code, (1, "default"))
        found = (after[one.pk].priority, after[one.pk].resource_group.name)
        assert found == (new if one.pk in done else (1, "default"))
        to_stop = code == "stop" and one.pk in done and state == one.state
        assert (one.pk in asked) is to_stop


RERUNS = [
    ("AllAllowed", State.FAILURE, None),
    ("AllAllowed", State.SUCCESS, None),
    ("FailureAllowed", State.FAILURE, None),
    ("FailureAllowed", State.SUCCESS, "operation.rerun_denied"),
    ("AllDenied", State.FAILURE, "operation.rerun_denied"),
    ("AllDenied", State.SUCCESS, "operation.rerun_denied"),
]


@pytest.mark.parametrize(("mode", "state", "refused"), RERUNS)
def test_the_rerun_setting_of_the_task_counts(mode: str, state: State, refused: str | None) -> None:
    scene = Scene()
    (one,) = scene.instances(scene.task("shell", rerun_mode=mode), 1, state=state)
    operation = do(scene, member_with(scene, "role_project_pe"), "rerun", [one])
    assert told(operation) == {one.pk: refused}
    assert operation.status == ("refused" if refused else "applied")


def test_two_roles_are_more_than_one() -> None:
    scene = Scene()
    (one,) = scene.instances(scene.task("shell"), 1, state=State.FAILURE)
    member = member_with(scene, "role_project_guest", "role_project_pe")
    assert told(do(scene, member, "rerun", [one])) == {one.pk: None}
