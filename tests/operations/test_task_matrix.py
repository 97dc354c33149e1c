"""Every cell of operations on tasks x frozen, offline, root x roles x own x environment, against a table written by hand."""

from typing import Any

import pytest

from opscenter.base.reasons import Forbidden
from opscenter.engine import generate
from opscenter.operations.models import Operation
from opscenter.operations.registry import OPERATIONS, operations_on, refusal
from opscenter.production.models import Task
from opscenter.workspaces.models import AuditEntry, Member
from opscenter.workspaces.roles import ROLES
from tests.cast import usable_group
from tests.operations.guarded import Guarded, told
from tests.operations.test_matrix import WHO

pytestmark = pytest.mark.django_db

COLUMNS = ["normal", "skip", "frozen", "offline", "offline frozen", "root"]
TABLE = {  # a letter for each column
    "freeze_task": "Y Y f o o r",
    "unfreeze_task": "n n Y o o r",
    "undeploy_task": "Y Y Y o o r",
    "set_owner_task": "Y Y Y o o Y",
    "set_resource_group_task": "Y Y Y o o r",
    "set_priority_task": "Y Y Y o o r",
}
LETTERS = {"Y": None, "f": "task.frozen", "n": "task.not_frozen", "o": "task.offline", "r": "task.is_root"}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "set_owner_task": {"owner": "acme-deployer"},
    "set_resource_group_task": {"resource_group": "night"},
    "set_priority_task": {"priority": 7},
}
AFTER: dict[str, dict[str, Any]] = {
    "freeze_task": {"recurrence": "Pause"},
    "unfreeze_task": {"recurrence": "Normal"},
    "undeploy_task": {"status": "Offline"},
    "set_owner_task": {"owner": "acme-deployer"},
    "set_resource_group_task": {"resource_group": "night"},
    "set_priority_task": {"priority": 7},
}
"""What it changes of the tasks."""
AUDIT = {
    "freeze_task": "task.freeze",
    "unfreeze_task": "task.unfreeze",
    "undeploy_task": "task.undeploy",
    "set_owner_task": "task.set_owner",
    "set_resource_group_task": "task.set_resource_group",
    "set_priority_task": "task.set_priority",
}


def facts(task: Task) -> dict[str, Any]:
    return {
        "recurrence": task.recurrence,
        "status": task.status,
        "owner": task.owner.username,
        "resource_group": task.resource_group.name,
        "priority": task.priority,
    }


def test_the_table_names_every_operation_on_tasks() -> None:
    assert set(TABLE) == set(operations_on("task")) == set(AFTER) == set(AUDIT)
    assert all(len(cells.split()) == len(COLUMNS) for cells in TABLE.values())
    assert {code: spec.audit for code, spec in operations_on("task").items()} == AUDIT
    assert set(WHO) == set(ROLES)


def made(cast: Guarded, environment: str) -> list[Task]:
    """A task for each column."""
    offline = Task.Status.OFFLINE
    return [
        cast.task("normal", environment=environment),
        cast.task("skip", environment=environment, recurrence="Skip"),
        cast.task("frozen", environment=environment, recurrence="Pause"),
        cast.task("offline", environment=environment, status=offline),
        cast.task("offline frozen", environment=environment, status=offline, recurrence="Pause"),
        generate.ensure_root(cast.workspace, environment, cast.owner),
    ]


@pytest.mark.parametrize("environment", ["Prod", "Dev"])
@pytest.mark.parametrize("own", [False, True], ids=["others", "own"])
@pytest.mark.parametrize("role", WHO)
@pytest.mark.parametrize("code", TABLE)
def test_every_cell(code: str, role: str, own: bool, environment: str) -> None:
    cast = Guarded()
    usable_group(cast.workspace, "night")
    told_besides = {"arguments": ARGUMENTS.get(code)}
    member = Member.objects.create(workspace=cast.workspace, user=cast.user("asker"), roles=[role])
    tasks = made(cast, environment)
    if own:
        Task.objects.update(owner=member.user)
    before = {task.pk: task for task in Task.objects.select_related("owner", "resource_group")}
    buttons = {pk: refusal(OPERATIONS[code], task, member) for pk, task in before.items()}
    shown = {pk: reason.code if reason else None for pk, reason in buttons.items()}
    if WHO[role] == "none":
        with pytest.raises(Forbidden) as error:
            cast.ask(code, tasks, by=member.user, environment=environment, **told_besides)
        assert error.value.reason.params["permission"] == "task.operate"
        assert set(shown.values()) == {"permission.missing"}
        assert not Operation.objects.exists() and not AuditEntry.objects.exists()
        return
    may = WHO[role] == "all" or own
    cells = [LETTERS[letter] if may else "permission.missing" for letter in TABLE[code].split()]
    expected = dict(zip((task.pk for task in tasks), cells, strict=True))
    operation = cast.ask(code, tasks, by=member.user, environment=environment, comment="night shift", **told_besides)
    assert told(operation) == expected == shown
    done = [pk for pk, refused in expected.items() if refused is None]
    assert operation.status == ("partly" if done else "refused")
    for task in Task.objects.all():
        changed = task.pk in done
        assert facts(task) == facts(before[task.pk]) | (AFTER[code] if changed else {})
        assert task.modified_by == (member.user if changed else None)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.address) == (AUDIT[code], member.user, "10.1.2.3")
    assert {name: value for name, value in entry.params.items() if name != "arguments"} == {
        "done": done,
        "refused": [pk for pk in expected if pk not in done],
        "comment": "night shift",
    }
    assert entry.params.get("arguments", {}).items() >= ARGUMENTS.get(code, {}).items()
