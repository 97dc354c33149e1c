"""Resource groups: made and given slots by the tenant's administrators, and associated with workspaces."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from opscenter.base.reasons import Invalid, NotFound, Refused, sentence
from opscenter.operations.actor import Actor
from opscenter.operations.permits import member_of, require
from opscenter.operations.workspaces import require_tenant_admin
from opscenter.production.models import ResourceGroup, ResourceGroupAssociation, Task
from opscenter.workspaces import audit
from opscenter.workspaces.models import Tenant, User, Workspace
from opscenter.workspaces.roles import Permission

MOST_SLOTS = 10_000
MOST_DESCRIPTION = 200
TASKS_TOLD = 10
"""Tasks of a refusal told by name; the rest is counted."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{1,62}")


@transaction.atomic
def create(
    actor: Actor, name: str, *, slots: int, description: str = "", workspace: Workspace | None = None
) -> ResourceGroup:
    """A group of the actor's tenant, associated with no workspace yet.

    Args:
        workspace: on whose page it was asked for; its audit trail tells of it.

    Raises:
        Forbidden: the actor does not administer the tenant.
        Invalid: a name that is malformed or taken, a number of slots that cannot be; ``field`` names which.
    """
    require_tenant_admin(actor)
    if not _NAME.fullmatch(name):
        raise Invalid("name.malformed", field="name", name=name)
    tenant = _hold(actor.user.tenant_id)
    if ResourceGroup.objects.filter(tenant=tenant, name=name).exists():
        raise Invalid("resource_group.name_taken", field="name", name=name)
    group = ResourceGroup.objects.create(
        tenant=tenant,
        name=name,
        slots=_checked(slots),
        description=_described(description),
        created_by=actor.user,
    )
    _record(actor, "resource_group.create", group, workspace, slots=slots)
    return group


@transaction.atomic
def update(
    actor: Actor, name: str, *, slots: int, description: str = "", workspace: Workspace | None = None
) -> ResourceGroup:
    """Change a group's slots. What runs goes on; with fewer slots nothing starts until enough of it has ended.

    Args:
        workspace: as for ``create``.

    Raises:
        Forbidden: the actor does not administer the tenant.
        NotFound: the tenant has no such group.
        Invalid: a number of slots that cannot be.
    """
    require_tenant_admin(actor)
    group = find(actor.user.tenant_id, name, lock=True)
    changed = {
        field: [getattr(group, field), value]
        for field, value in (("slots", _checked(slots)), ("description", _described(description)))
        if getattr(group, field) != value
    }
    if changed:
        group.slots, group.description = slots, description
        group.save(update_fields=list(changed))
        _record(actor, "resource_group.update", group, workspace, changed=changed)
    return group


@transaction.atomic
def associate(actor: Actor, workspace: Workspace, name: str) -> ResourceGroup:
    """Let the tasks of a workspace run on a group. Once more changes nothing.

    Raises:
        NotFound, Forbidden: the actor neither manages the workspace nor administers its tenant.
        NotFound: the tenant has no such group.
    """
    _require(actor, workspace)
    group = find(workspace.tenant_id, name)
    if ResourceGroupAssociation.objects.get_or_create(group=group, workspace=workspace)[1]:
        _record(actor, "resource_group.associate", group, workspace)
    return group


@transaction.atomic
def dissociate(actor: Actor, workspace: Workspace, name: str) -> ResourceGroup:
    """Take a group away from a workspace, none of whose tasks may be using it. Once more changes nothing.

    Raises:
        NotFound, Forbidden: the actor neither manages the workspace nor administers its tenant.
        NotFound: the tenant has no such group.
        Refused: tasks of the workspace use it; they are named.
    """
    _require(actor, workspace)
    _hold(workspace.tenant_id)  # publishing holds it: no task joins now
    group = find(workspace.tenant_id, name)
    tasks = users(workspace, group)
    if tasks:
        raise Refused("resource_group.in_use", **in_use(group, workspace, tasks))
    if ResourceGroupAssociation.objects.filter(group=group, workspace=workspace).delete()[0]:
        _record(actor, "resource_group.dissociate", group, workspace)
    return group


def visible_to(user: User) -> QuerySet[ResourceGroup]:
    """The groups that the user may know of: those of their workspaces; to the tenant's administrators all of it."""
    if user.is_tenant_admin:
        return ResourceGroup.objects.filter(tenant=user.tenant_id)
    mine = ResourceGroupAssociation.objects.filter(workspace__members__user=user).values("group")
    return ResourceGroup.objects.filter(pk__in=mine)


def may_associate(user: User, workspace: Workspace) -> bool:
    """Whether the user may associate groups with the workspace."""
    if user.is_tenant_admin and user.tenant_id == workspace.tenant_id:
        return True
    member = workspace.members.filter(user=user).first()
    return member is not None and member.may(Permission.MANAGE_WORKSPACE)


def find(tenant: int, name: str, *, lock: bool = False) -> ResourceGroup:
    """A group of a tenant by its name; raises NotFound."""
    found = ResourceGroup.objects.filter(tenant=tenant, name=name)
    group = (found.select_for_update(no_key=True) if lock else found).first()
    if group is None:
        raise unknown(name)
    return group


def unknown(name: str) -> NotFound:
    """The error that says that there is no such group for the asker."""
    return NotFound("resource_group.unknown", name=name[:63])


def workspace_of(actor: Actor, workspace_id: int) -> Workspace:
    """A workspace that the actor is a member of, or whose tenant they administer; raises NotFound."""
    own = Workspace.objects.filter(tenant=actor.user.tenant_id, pk=workspace_id).first()
    if own is not None and actor.user.is_tenant_admin:
        return own
    return member_of(actor.user, workspace_id).workspace


def users(workspace: Workspace, group: ResourceGroup) -> list[Task]:
    """The online tasks of a workspace, in both environments, that run on a group. Its roots run nowhere."""
    online = Task.objects.filter(workspace=workspace, resource_group=group, status=Task.Status.ONLINE, is_root=False)
    return list(online.order_by("name", "environment"))


def in_use(group: ResourceGroup, workspace: Workspace, tasks: list[Task]) -> dict[str, Any]:
    """The parameters of the reason "resource_group.in_use"."""
    names = list(dict.fromkeys(task.name for task in tasks))
    return {"name": group.name, "workspace": str(workspace), "tasks": names[:TASKS_TOLD], "count": len(names)}


def _require(actor: Actor, workspace: Workspace) -> None:
    if not (actor.user.is_tenant_admin and actor.user.tenant_id == workspace.tenant_id):
        require(actor, workspace, Permission.MANAGE_WORKSPACE)


def _hold(tenant: int) -> Tenant:
    return Tenant.objects.select_for_update(no_key=True).get(pk=tenant)


def _checked(slots: int) -> int:
    if not 0 <= slots <= MOST_SLOTS:
        raise Invalid("resource_group.slots", field="slots", most=MOST_SLOTS)
    return slots


def _described(description: str) -> str:
    if len(description) > MOST_DESCRIPTION:
        raise Invalid("resource_group.description", field="description", most=MOST_DESCRIPTION)
    return description


def _record(actor: Actor, action: str, group: ResourceGroup, workspace: Workspace | None, **params: Any) -> None:
    audit.record(
        actor.user,
        actor.face,
        action,
        tenant=group.tenant,
        workspace=workspace,
        obj=("resource_group", group.pk, group.name),
        params=params,
        address=actor.address,
    )


def _sentence(code: str, text: Callable[[], str]) -> None:
    sentence(code)(lambda params: text() % params)


_sentence("resource_group.unknown", lambda: _("The tenant has no resource group “%(name)s”."))
_sentence("resource_group.name_taken", lambda: _("There is a resource group “%(name)s” already. Choose another name."))
_sentence("resource_group.slots", lambda: _("Slots are a number from 0 to %(most)s. With 0 nothing runs on the group."))
_sentence("resource_group.description", lambda: _("A description has at most %(most)s characters."))


@sentence("resource_group.in_use")
def _in_use(params: Mapping[str, Any]) -> str:
    names, more = ", ".join(params["tasks"]), params["count"] - len(params["tasks"])
    if more > 0:
        names += " " + _("and %(more)s more") % {"more": more}
    return ngettext(
        "A task of the workspace %(workspace)s runs on “%(name)s”: %(tasks)s. Publish it with another group, then dissociate it.",
        "Tasks of the workspace %(workspace)s run on “%(name)s”: %(tasks)s. Publish them with another group, then dissociate it.",
        params["count"],
    ) % {**params, "tasks": names}
