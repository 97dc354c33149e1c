"""Roles of a workspace's own: what they allow, who may make and give them, and that nobody gains by them."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from opscenter.base.reasons import Forbidden, Invalid, NotFound, Refused, say
from opscenter.operations import extension_permits, members, roles
from opscenter.operations.door import apply
from opscenter.operations.permits import member_of, missing
from opscenter.operations.registry import OPERATIONS, refusal
from opscenter.production.rules.states import State
from opscenter.workspaces.models import AuditEntry, Member, User, Workspace, WorkspaceRole
from opscenter.workspaces.roles import ADMIN, OWNABLE, OWNER, ROLES, Permission
from tests.operations.guarded import Guarded, told

pytestmark = pytest.mark.django_db
VIEW, MEMBERS = Permission.VIEW, Permission.MANAGE_MEMBERS
VISITOR = "role_project_guest"


def make(
    cast: Guarded, *grants: Permission, own: Sequence[Permission] = (), by: User | None = None, **fields: Any
) -> WorkspaceRole:
    values: dict[str, Any] = {"name": "Night shift", "description": "", "grants": grants, "own_only": own} | fields
    return roles.create(cast.actor(by or cast.admin), cast.workspace, **values)


def given(cast: Guarded, role: WorkspaceRole, name: str = "holder", *others: str) -> User:
    return cast.user(name, role.code, *others)


def membership(cast: Guarded, user: User) -> Member:
    return Member.objects.get(workspace=cast.workspace, user=user)


# what they allow


@pytest.mark.parametrize("permission", Permission)
def test_a_permission_is_granted_alone(cast: Guarded, permission: Permission) -> None:
    member = membership(cast, given(cast, make(cast, permission)))
    assert {one for one in Permission if member.may(one)} == {permission, VIEW}
    assert {one for one in Permission if member.may(one, own=True)} == {permission, VIEW}


@pytest.mark.parametrize("permission", Permission)
def test_own_only_is_for_what_is_done_to_tasks(cast: Guarded, permission: Permission) -> None:
    if permission is VIEW:
        return
    if permission not in OWNABLE:
        with pytest.raises(Invalid) as error:
            make(cast, own=[permission])
        assert error.value.reason.params["field"] == "own_only"
        return
    member = membership(cast, given(cast, make(cast, own=[permission])))
    assert {one for one in Permission if member.may(one)} == {VIEW}
    assert {one for one in Permission if member.may(one, own=True)} == {permission, VIEW}


def test_beside_a_built_in_role_it_adds(cast: Guarded) -> None:
    member = membership(cast, given(cast, make(cast, Permission.VIEW_AUDIT), "holder", "role_project_dev"))
    assert member.may(Permission.DEVELOP) and member.may(Permission.VIEW_AUDIT)
    assert [role.name for role in member.held_roles] == ["Night shift", "Develop"]


def test_it_means_nothing_in_another_workspace(cast: Guarded) -> None:
    role = make(cast, Permission.OPERATE_TASK)
    other = Workspace.objects.create(tenant=cast.tenant, name="other")
    member = Member.objects.create(workspace=other, user=cast.visitor, roles=[role.code])
    for one in (member, Member.objects.get(pk=member.pk)):
        assert not one.may(VIEW) and one.held_roles == []


ON_TASKS = {"freeze_task", "undeploy_task", "set_owner_task", "set_priority_task", "set_resource_group_task"}
ON_INSTANCES = {"stop", "freeze", "set_priority", "set_resource_group"}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "set_owner_task": {"owner": "acme-deployer"},
    "set_priority_task": {"priority": 7},
    "set_resource_group_task": {"resource_group": "default"},
    "set_priority": {"priority": 7},
    "set_resource_group": {"resource_group": "default"},
}


@pytest.mark.parametrize("own", [False, True], ids=["others", "own"])
@pytest.mark.parametrize("how", ["all", "own", "none"])
@pytest.mark.parametrize("code", sorted(ON_TASKS | ON_INSTANCES))
def test_operations_ask_for_their_permission(cast: Guarded, code: str, how: str, own: bool) -> None:
    """The buttons and the door agree, as for built-in roles (test_matrix, test_task_matrix)."""
    spec = OPERATIONS[code]
    role = make(
        cast,
        *({spec.permission} if how == "all" else set(Permission) - {spec.permission} if how == "none" else {VIEW}),
        own=[spec.permission] if how == "own" else [],
        by=cast.owner,
    )
    user = given(cast, role)
    task = cast.task(owner=user if own else cast.owner)
    target: Any = task if code in ON_TASKS else cast.instance(task, State.WAIT_RESOURCE)
    may = how == "all" or (how == "own" and own)
    shown = refusal(spec, target, membership(cast, user))
    assert (shown.code if shown else None) == (None if may else "permission.missing")
    ask = lambda: apply(code, cast.actor(user), cast.workspace, "Prod", [target.pk], arguments=ARGUMENTS.get(code))  # noqa: E731
    if how == "none":
        with pytest.raises(Forbidden):
            ask()
    else:
        assert told(ask()) == {target.pk: None if may else "permission.missing"}


def test_who_has_what_is_missing_is_told_with_the_workspaces_own_roles(cast: Guarded) -> None:
    make(cast, Permission.PUBLISH, name="Releaser")
    reason = missing(Permission.PUBLISH, membership(cast, cast.visitor))
    text = say("permission.missing", reason)
    assert "Workspace Administrator" in text and text.endswith("Deploy, Releaser.")
    other = Workspace.objects.create(tenant=cast.tenant, name="other")
    elsewhere = Member.objects.create(workspace=other, user=cast.visitor, roles=[VISITOR])
    assert "Releaser" not in say("permission.missing", missing(Permission.PUBLISH, elsewhere))


def test_extensions_are_managed_where_it_is_granted(cast: Guarded) -> None:
    user = given(cast, make(cast, Permission.MANAGE_EXTENSIONS))
    make(cast, Permission.MANAGE_EXTENSIONS, name="Not theirs")
    assert list(extension_permits.managed_by(user)) == [cast.workspace]
    assert list(extension_permits.managed_by(cast.admin)) == [cast.workspace]
    assert not extension_permits.managed_by(cast.visitor).exists()


def test_a_check_asks_the_database_no_more_than_before(cast: Guarded) -> None:
    user = given(cast, make(cast, Permission.OPERATE_TASK, own=[Permission.TRIGGER]))
    with CaptureQueriesContext(connection) as queries:
        member = member_of(user, cast.workspace.pk)
        for permission in Permission:
            member.may(permission)
            missing(permission, member)
    assert len(queries) == 1


def test_what_is_changed_holds_from_the_next_request_on(cast: Guarded) -> None:
    role = make(cast, Permission.OPERATE_TASK)
    user = given(cast, role)
    task = cast.task()
    assert told(cast.freeze(task, by=user)) == {task.pk: None}
    roles.change(cast.actor(cast.admin), cast.workspace, role.pk, name="x", description="", grants=[], own_only=[])
    with pytest.raises(Forbidden):
        cast.unfreeze(task, by=user)


# making them


def test_what_is_stored(cast: Guarded) -> None:
    role = make(
        cast, Permission.TRIGGER, Permission.OPERATE_TASK, own=[Permission.TRIGGER, Permission.TEST_TASK],
        name=" Night shift ", description=" After ten ",
    )  # fmt: skip
    assert (role.name, role.description) == ("Night shift", "After ten")
    assert role.grants == ["workspace.view", "task.operate", "instance.trigger"], (
        "in the registry's order, with viewing"
    )
    assert role.own_only == ["task.test"], "what is granted everywhere is not said twice"
    assert role.code.startswith("role_custom_") and role.code not in ROLES


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"name": "  "}, "role.no_name", "name"),
        ({"name": "x" * 64}, "role.too_long", "name"),
        ({"description": "x" * 201}, "role.too_long", "description"),
        ({"name": "there already"}, "role.name_taken", "name"),
        ({"name": "develop"}, "role.name_taken", "name"),
        ({"name": "role_project_pe"}, "role.name_taken", "name"),
        ({"grants": ["task.destroy"]}, "role.permission_unknown", "grants"),
        ({"own_only": ["x"]}, "role.permission_unknown", "own_only"),
        ({"own_only": ["workflow.publish"]}, "role.not_ownable", "own_only"),
    ],
)
def test_what_cannot_be_is_told_at_its_field(cast: Guarded, fields: dict[str, Any], code: str, field: str) -> None:
    make(cast, name="There already")
    role = make(cast)
    before = WorkspaceRole.objects.count()
    values: dict[str, Any] = {"name": "New", "description": "", "grants": [], "own_only": []} | fields
    for ask in (
        lambda: roles.create(cast.actor(cast.admin), cast.workspace, **values),
        lambda: roles.change(cast.actor(cast.admin), cast.workspace, role.pk, **values),
    ):
        with pytest.raises(Invalid) as error:
            ask()
        assert (error.value.reason.code, error.value.reason.params["field"]) == (code, field)
        assert str(error.value) != code
    assert WorkspaceRole.objects.count() == before


def test_the_same_name_in_another_workspace(cast: Guarded) -> None:
    make(cast)
    other = Workspace.objects.create(tenant=cast.tenant, name="other")
    Member.objects.create(workspace=other, user=cast.admin, roles=[ADMIN])
    roles.create(cast.actor(cast.admin), other, name="Night shift", description="", grants=[], own_only=[])
    assert WorkspaceRole.objects.count() == 2


def test_there_are_not_too_many(cast: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "MOST", 1)
    make(cast)
    with pytest.raises(Refused) as error:
        make(cast, name="Another")
    assert error.value.reason.code == "role.too_many"


def test_only_who_manages_members_makes_changes_and_deletes(cast: Guarded) -> None:
    role = make(cast)
    for user in (cast.developer, cast.operator, cast.deployer, cast.visitor):
        for ask in asked(cast, role, user):
            with pytest.raises(Forbidden):
                ask()
    for ask in asked(cast, role, cast.stranger):
        with pytest.raises(NotFound):
            ask()
    assert WorkspaceRole.objects.get() == role


def asked(cast: Guarded, role: WorkspaceRole, user: User) -> list[Any]:
    values: dict[str, Any] = {"name": "x", "description": "", "grants": [], "own_only": []}
    by = cast.actor(user)
    return [
        lambda: roles.create(by, cast.workspace, **values),
        lambda: roles.change(by, cast.workspace, role.pk, **values),
        lambda: roles.delete(by, cast.workspace, role.pk),
    ]


def test_the_role_of_another_workspace_is_not_there(cast: Guarded) -> None:
    other = Workspace.objects.create(tenant=cast.tenant, name="other")
    Member.objects.create(workspace=other, user=cast.admin, roles=[ADMIN])
    role = make(cast)
    with pytest.raises(NotFound):
        roles.delete(cast.actor(cast.admin), other, role.pk)
    uid = cast.visitor.uid
    Member.objects.create(workspace=other, user=cast.visitor, roles=[VISITOR])
    with pytest.raises(Invalid) as error:
        members.change_roles(cast.actor(cast.admin), other, uid, [role.code])
    assert error.value.reason.code == "member.role_unassignable"


# giving and deleting them


def test_they_are_given_beside_built_in_roles_and_taken(cast: Guarded) -> None:
    role = make(cast)
    members.change_roles(cast.actor(cast.admin), cast.workspace, cast.visitor.uid, [role.code, VISITOR])
    assert membership(cast, cast.visitor).roles == [VISITOR, role.code]
    assert [str(member.user) for member in roles.having(role)] == [str(cast.visitor)]
    members.change_roles(cast.actor(cast.admin), cast.workspace, cast.visitor.uid, [VISITOR])
    assert membership(cast, cast.visitor).roles == [VISITOR]
    entries = AuditEntry.objects.filter(action="member.change_roles").order_by("pk")
    assert entries[0].params["names"] == {role.code: "Night shift"}


def test_it_is_not_deleted_while_somebody_has_it(cast: Guarded) -> None:
    role = make(cast)
    for number in range(7):
        given(cast, role, f"holder{number}")
    with pytest.raises(Refused) as error:
        roles.delete(cast.actor(cast.admin), cast.workspace, role.pk)
    assert str(error.value) == (
        "Members have the role “Night shift”: acme-holder0, acme-holder1, acme-holder2, acme-holder3, acme-holder4 and 2 "
        "more. Give them other roles first."
    )
    Member.objects.filter(roles__contains=[role.code]).delete()
    roles.delete(cast.actor(cast.admin), cast.workspace, role.pk)
    assert not WorkspaceRole.objects.exists()


def test_everything_is_in_the_audit_trail_in_words(cast: Guarded) -> None:
    from opscenter.operations.actions import ACTIONS

    role = make(cast, Permission.OPERATE_TASK, own=[Permission.TEST_TASK])
    values: dict[str, Any] = {"name": "Day shift", "description": "", "grants": [Permission.PUBLISH], "own_only": []}
    roles.change(cast.actor(cast.admin), cast.workspace, role.pk, **values)
    roles.change(cast.actor(cast.admin), cast.workspace, role.pk, **values)
    roles.delete(cast.actor(cast.admin), cast.workspace, role.pk)
    entries = list(AuditEntry.objects.filter(object_type="role").order_by("pk"))
    assert [entry.action for entry in entries] == ["role.create", "role.change", "role.delete"], "no change, no entry"
    words = [ACTIONS[entry.action].details(entry.params) for entry in entries]
    assert "Run tasks now (smoke test), backfill data (own tasks)" in words[0]
    assert words[1].startswith("Night shift → Day shift; + Publish to production; − Freeze, undeploy")
    assert words[2] == "View tasks, instances and logs; Publish to production"


# nobody gains


def manager(cast: Guarded, *grants: Permission, own: Sequence[Permission] = ()) -> User:
    """Somebody who manages members and may do little else."""
    return given(cast, make(cast, MEMBERS, *grants, own=own, name="Manager"), "manager")


@pytest.mark.parametrize("permission", [one for one in Permission if one not in (VIEW, MEMBERS)])
def test_nobody_makes_a_role_that_allows_more_than_they_may(cast: Guarded, permission: Permission) -> None:
    by = manager(cast)
    with pytest.raises(Invalid) as error:
        make(cast, permission, by=by)
    assert (error.value.reason.code, error.value.reason.params["field"]) == ("role.beyond", "grants")
    if permission in OWNABLE:
        with pytest.raises(Invalid) as error:
            make(cast, own=[permission], by=by)
        assert error.value.reason.params["field"] == "own_only"
    assert make(cast, MEMBERS, by=by).grants == ["workspace.view", "member.manage"]


def test_what_one_may_do_for_own_tasks_is_given_for_own_tasks_alone(cast: Guarded) -> None:
    by = manager(cast, own=[Permission.TRIGGER])
    assert make(cast, own=[Permission.TRIGGER], by=by).own_only == ["instance.trigger"]
    with pytest.raises(Invalid):
        make(cast, Permission.TRIGGER, name="More", by=by)


def test_nobody_extends_the_role_that_they_have(cast: Guarded) -> None:
    by = manager(cast)
    role = WorkspaceRole.objects.get()
    with pytest.raises(Invalid):
        roles.change(
            cast.actor(by), cast.workspace, role.pk, name="Manager", description="", grants=[*Permission], own_only=[]
        )
    role.refresh_from_db()
    assert role.grants == ["workspace.view", "member.manage"]


def test_nobody_changes_or_deletes_a_role_that_allows_more(cast: Guarded) -> None:
    role = make(cast, Permission.PUBLISH)
    by = manager(cast)
    for ask in asked(cast, role, by)[1:]:
        with pytest.raises(Refused) as error:
            ask()
        assert error.value.reason.code == "role.beyond"
    assert Permission.PUBLISH in WorkspaceRole.objects.get(pk=role.pk).grants


@pytest.mark.parametrize("role", [one.code for one in ROLES.values() if one.assignable and one.grants != {VIEW}])
def test_nobody_gives_a_role_that_allows_more(cast: Guarded, role: str) -> None:
    by = cast.actor(manager(cast))
    new = cast.user("new")
    for ask in (
        lambda: members.change_roles(by, cast.workspace, by.user.uid, [role]),
        lambda: members.change_roles(by, cast.workspace, cast.visitor.uid, [VISITOR, role]),
        lambda: members.add(by, cast.workspace, new.username, [role]),
    ):
        with pytest.raises(Invalid) as error:
            ask()
        assert error.value.reason.code == "role.beyond"
    members.add(by, cast.workspace, new.username, [VISITOR])
    assert membership(cast, new).roles == [VISITOR]


def test_nobody_takes_a_role_that_allows_more(cast: Guarded) -> None:
    """It stays with whoever has it, whatever else of theirs is changed."""
    by = cast.actor(manager(cast))
    members.change_roles(by, cast.workspace, cast.developer.uid, [VISITOR])
    assert membership(cast, cast.developer).roles == ["role_project_dev", VISITOR]
    members.change_roles(by, cast.workspace, cast.owner.uid, [VISITOR])
    assert membership(cast, cast.owner).roles == [OWNER, VISITOR]


def test_nobody_removes_who_may_do_more(cast: Guarded) -> None:
    by = cast.actor(manager(cast))
    for user, code in (
        (cast.admin, "member.beyond"),
        (cast.developer, "member.beyond"),
        (cast.owner, "member.last_owner"),
    ):
        with pytest.raises(Refused) as error:
            members.remove(by, cast.workspace, user.uid)
        assert error.value.reason.code == code
    members.remove(by, cast.workspace, cast.visitor.uid)
    assert not Member.objects.filter(user=cast.visitor).exists()


def test_administrators_may_all_that_they_could(cast: Guarded) -> None:
    for permission in Permission:
        assert not membership(cast, cast.admin).lacks(ROLES[ADMIN]), permission
    members.change_roles(cast.actor(cast.admin), cast.workspace, cast.visitor.uid, [ADMIN])
    assert membership(cast, cast.visitor).roles == [ADMIN]
