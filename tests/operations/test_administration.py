"""The operations look at the permission themselves, whichever door is used, and leave nothing by half."""

from collections.abc import Callable
from typing import Any

import pytest

from opscenter.base.reasons import Forbidden, NotFound, Refused
from opscenter.operations import data_sources, members, resources, sessions, workspaces
from opscenter.operations.actions import ACTIONS
from opscenter.operations.actor import Actor
from opscenter.workspaces.models import AuditEntry, Member, User
from opscenter.workspaces.roles import OWNER
from tests.cast import PASSWORD, Cast

pytestmark = pytest.mark.django_db
DEVELOP = "role_project_dev"
CALLS: dict[str, Callable[[Actor, Cast], Any]] = {
    "members.add": lambda actor, cast: members.add(actor, cast.workspace, "acme-free", [DEVELOP]),
    "members.create_user": lambda actor, cast: members.create_user(actor, cast.workspace, "new", [DEVELOP]),
    "members.change_roles": lambda actor, cast: members.change_roles(
        actor, cast.workspace, cast.visitor.uid, [DEVELOP]
    ),
    "members.remove": lambda actor, cast: members.remove(actor, cast.workspace, cast.visitor.uid),
    "workspaces.update": lambda actor, cast: workspaces.update(
        actor, cast.workspace, display_name="x", description="", periodic_scheduling=True
    ),
    "data_sources.create": lambda actor, cast: data_sources.create(
        actor, cast.workspace, "Prod", name="x", type="sqlite", settings={"file": "x.db"}
    ),
    "data_sources.update": lambda actor, cast: data_sources.update(
        actor, cast.workspace, "Prod", 1, settings={"file": "x.db"}
    ),
    "data_sources.test": lambda actor, cast: data_sources.test(actor, cast.workspace, "Prod", 1),
    "data_sources.delete": lambda actor, cast: data_sources.delete(actor, cast.workspace, "Prod", 1),
    "resources.upload": lambda actor, cast: resources.upload(actor, cast.workspace, "x", b"x"),
    "resources.delete": lambda actor, cast: resources.delete(actor, cast.workspace, 1),
}
NEED_MORE = {
    "resources.delete",
    "members.create_user",
    "data_sources.update",
    "data_sources.test",
    "data_sources.delete",
}
"""Operations whose object, or whose actor, has to be made first: their own tests do."""


@pytest.fixture
def cast() -> Cast:
    cast = Cast()
    cast.user("free")
    return cast


def _actor(user: User, face: AuditEntry.Face = AuditEntry.Face.API) -> Actor:
    return Actor(user=user, face=face, address="10.1.2.3")


@pytest.mark.parametrize("call", CALLS)
def test_strangers_and_visitors_are_refused_by_the_operation_itself(cast: Cast, call: str) -> None:
    with pytest.raises(NotFound) as stranger:
        CALLS[call](_actor(cast.stranger), cast)
    assert stranger.value.reason.code == "workspace.unknown"
    with pytest.raises(Forbidden) as visitor:
        CALLS[call](_actor(cast.visitor), cast)
    assert visitor.value.reason.code == "permission.missing"
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("call", [name for name in CALLS if name not in NEED_MORE])
def test_owners_may_and_the_entry_says_by_which_door(cast: Cast, call: str) -> None:
    CALLS[call](_actor(cast.owner), cast)
    entry = AuditEntry.objects.get()
    assert entry.action in ACTIONS
    assert (entry.face, entry.address, entry.workspace) == ("api", "10.1.2.3", cast.workspace)


def test_a_role_taken_away_meanwhile_counts(cast: Cast) -> None:
    actor = _actor(cast.admin)
    members.change_roles(_actor(cast.owner), cast.workspace, cast.admin.uid, [DEVELOP])
    with pytest.raises(Forbidden):
        members.add(actor, cast.workspace, "acme-free", [DEVELOP])


def test_the_last_owner_stays_even_by_their_own_hand(cast: Cast) -> None:
    with pytest.raises(Refused) as error:
        members.remove(_actor(cast.owner), cast.workspace, cast.owner.uid)
    assert error.value.reason.code == "member.last_owner"
    assert OWNER in Member.objects.get(user=cast.owner, workspace=cast.workspace).roles


def test_only_commands_and_tenant_administrators_make_workspaces(cast: Cast) -> None:
    with pytest.raises(Forbidden) as error:
        workspaces.create(_actor(cast.owner), "lab")
    assert error.value.reason.code == "tenant.admin_required"
    workspace = workspaces.create(_actor(cast.owner, AuditEntry.Face.COMMAND), "lab", mode="basic")
    assert workspaces.environments(workspace) == ["Prod"]


def test_a_refused_password_changes_nothing(cast: Cast) -> None:
    for current, new in ((PASSWORD, "password"), ("wrong", "another-long-password")):
        with pytest.raises(Refused):
            sessions.change_password(_actor(cast.visitor), current, new)
    cast.visitor.refresh_from_db()
    assert cast.visitor.check_password(PASSWORD)
    assert not AuditEntry.objects.exists()


def test_only_online_tasks_hold_a_resource(cast: Cast) -> None:
    line = resources.reference("a.sh")
    online = cast.task("online", content=f"{line}\n{line}")
    cast.task("offline", content=line, status="Offline")
    cast.task("dev", content=line, environment="Dev")
    found = resources.users_of_resources(cast.workspace)
    assert [(task.name, task.environment) for task in found["a.sh"]] == [("dev", "Dev"), ("online", "Prod")]
    assert resources.tasks_naming(cast.workspace, "a.sh")[1] == online
