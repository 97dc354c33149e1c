"""Resource groups: who makes them, who associates them, and what may not be taken away."""

from importlib import import_module
from typing import Any

import pytest
from django.db import connection

from opscenter.base import heartbeat
from opscenter.base.models import Process
from opscenter.base.reasons import Forbidden, Invalid, NotFound, Refused
from opscenter.operations import resource_groups, workspaces
from opscenter.operations.actor import Actor
from opscenter.production import groups
from opscenter.production.models import ResourceGroup, ResourceGroupAssociation, Task
from opscenter.production.rules.states import State
from opscenter.workspaces.models import AuditEntry, User, Workspace
from tests.cast import Cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    made = Cast()
    User.objects.filter(pk=made.owner.pk).update(is_tenant_admin=True)
    made.owner.refresh_from_db()
    return made


def by(user: User) -> Actor:
    return Actor(user, AuditEntry.Face.CONSOLE)


def fast(cast: Cast, slots: int = 4) -> ResourceGroup:
    return resource_groups.create(by(cast.owner), "fast", slots=slots, workspace=cast.workspace)


def usable(workspace: Workspace) -> set[str]:
    return set(ResourceGroup.objects.usable_in(workspace).values_list("name", flat=True))


def test_an_administrator_of_the_tenant_adds_a_group_that_nobody_uses_yet(cast: Cast) -> None:
    group = fast(cast)
    assert (group.tenant, group.slots, group.created_by) == (cast.tenant, 4, cast.owner)
    assert usable(cast.workspace) == {"default"}
    entry = AuditEntry.objects.get(action="resource_group.create")
    assert (entry.workspace, entry.object_name, entry.params) == (cast.workspace, "fast", {"slots": 4})


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": "9x"}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "default"}, "name"),
        ({"slots": -1}, "slots"),
        ({"slots": 10_001}, "slots"),
        ({"description": "x" * 201}, "description"),
    ],
)
def test_what_cannot_be_is_told_at_its_field(cast: Cast, values: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as error:
        wrong: dict[str, Any] = {"name": "fast", "slots": 4} | values
        resource_groups.create(by(cast.owner), **wrong)
    assert error.value.reason.params["field"] == field
    assert not AuditEntry.objects.filter(action="resource_group.create").exists()


def test_slots_are_the_tenants_to_give_and_the_change_is_in_the_trail(cast: Cast) -> None:
    fast(cast)
    resource_groups.update(by(cast.owner), "fast", slots=9)
    assert ResourceGroup.objects.get(name="fast").slots == 9
    entry = AuditEntry.objects.get(action="resource_group.update")
    assert entry.params == {"changed": {"slots": [4, 9]}}
    resource_groups.update(by(cast.owner), "fast", slots=9)
    assert AuditEntry.objects.filter(action="resource_group.update").count() == 1, "nothing was changed"
    for user in (cast.admin, cast.operator, cast.stranger):
        with pytest.raises(Forbidden, match="administrators of the tenant"):
            resource_groups.update(by(user), "fast", slots=1)
    with pytest.raises(NotFound):
        resource_groups.update(by(cast.owner), "none", slots=1)


def test_a_workspace_is_associated_by_who_manages_it_or_administers_the_tenant(cast: Cast) -> None:
    fast(cast)
    resource_groups.associate(by(cast.admin), cast.workspace, "fast")
    resource_groups.associate(by(cast.admin), cast.workspace, "fast")
    assert usable(cast.workspace) == {"default", "fast"}
    assert AuditEntry.objects.filter(action="resource_group.associate").count() == 1
    other = Workspace.objects.create(tenant=cast.tenant, name="other")
    resource_groups.associate(by(cast.owner), other, "fast")  # no member there
    assert usable(other) == {"fast"}
    with pytest.raises(NotFound):
        resource_groups.associate(by(cast.admin), other, "fast")
    for user in (cast.operator, cast.developer, cast.visitor):
        with pytest.raises(Forbidden, match=r"workspace\.manage"):
            resource_groups.associate(by(user), cast.workspace, "fast")


def test_an_administrator_of_another_tenant_is_a_stranger(cast: Cast) -> None:
    User.objects.filter(pk=cast.stranger.pk).update(is_tenant_admin=True)
    cast.stranger.refresh_from_db()
    for do in (resource_groups.associate, resource_groups.dissociate):
        with pytest.raises(NotFound):
            do(by(cast.stranger), cast.workspace, "default")
    with pytest.raises(NotFound):
        resource_groups.workspace_of(by(cast.stranger), cast.workspace.pk)


def test_a_group_that_tasks_use_is_not_taken_away_and_they_are_named(cast: Cast) -> None:
    group = fast(cast)
    resource_groups.associate(by(cast.admin), cast.workspace, "fast")
    task = cast.task("nightly", resource_group=group)
    cast.task("nightly", resource_group=group, environment="Dev", number=task.number)
    with pytest.raises(Refused, match="A task of the workspace acme_daily runs on “fast”: nightly"):
        resource_groups.dissociate(by(cast.admin), cast.workspace, "fast")
    for number in range(12):
        cast.task(f"more_{number:02}", resource_group=group)
    with pytest.raises(Refused, match="more_09 and 3 more"):
        resource_groups.dissociate(by(cast.admin), cast.workspace, "fast")
    Task.objects.filter(resource_group=group).update(status=Task.Status.OFFLINE)
    resource_groups.dissociate(by(cast.admin), cast.workspace, "fast")
    resource_groups.dissociate(by(cast.admin), cast.workspace, "fast")
    assert usable(cast.workspace) == {"default"}
    assert AuditEntry.objects.filter(action="resource_group.dissociate").count() == 1


def test_a_new_workspace_has_the_default_group_which_its_root_does_not_hold_fast(cast: Cast) -> None:
    made = workspaces.create(by(cast.owner), "fresh")
    assert usable(made) == {"default"}
    assert Task.objects.filter(workspace=made, is_root=True, resource_group__name="default").exists()
    resource_groups.dissociate(by(cast.owner), made, "default")
    assert usable(made) == set()


def test_the_migration_takes_nothing_from_anybody(cast: Cast) -> None:
    ResourceGroup.objects.create(tenant=cast.tenant, name="fast")
    other = Workspace.objects.create(tenant=cast.tenant, name="other")
    ResourceGroupAssociation.objects.all().delete()
    statement = import_module("opscenter.production.migrations.0010_resource_groups").ASSOCIATE
    with connection.cursor() as cursor:
        cursor.execute(statement)
    assert usable(cast.workspace) == usable(other) == {"default", "fast"}
    crossed = ResourceGroupAssociation.objects.exclude(workspace__tenant=cast.tenant)
    assert not crossed.exists(), "no group of another tenant"


def test_a_groups_use_is_told_by_who_runs_and_who_waits(cast: Cast) -> None:
    other = Workspace.objects.create(tenant=cast.tenant, name="other")
    oldest = cast.instance(cast.task("first"), State.WAIT_RESOURCE)
    cast.instance(cast.task("second"), State.WAIT_RESOURCE)
    cast.instance(cast.task("frozen"), State.WAIT_RESOURCE, frozen=True)
    cast.instance(cast.task("root", "virtual"), State.WAIT_RESOURCE)
    cast.instance(cast.task("running"), State.RUNNING)
    cast.instance(cast.task("theirs", workspace=other), State.RUNNING)
    (use,) = groups.uses([cast.group], cast.workspace)
    assert (use.used, use.here, use.tasks, use.is_usable, use.workers) == (2, 1, 5, True, ())
    assert (use.queue.count, use.queue.here, use.queue.oldest) == (2, 2, oldest.pk)
    (theirs,) = groups.uses([cast.group], other)
    assert (theirs.used, theirs.here, theirs.tasks, theirs.is_usable) == (2, 1, 1, False)
    assert (theirs.queue.count, theirs.queue.here, theirs.queue.oldest) == (2, 0, None)


def test_workers_serve_all_groups_or_those_they_were_given(cast: Cast) -> None:
    group = fast(cast)
    heartbeat.register(Process.Kind.WORKER, {"groups": None, "children": 3})
    heartbeat.register(Process.Kind.WORKER, {"groups": [group.pk]})
    served = {
        use.group.name: [one.children for one in use.workers]
        for use in groups.uses([cast.group, group], cast.workspace)
    }
    assert served == {"default": [3], "fast": [3, None]}
