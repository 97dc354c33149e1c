"""The roles of a workspace's own. Nobody makes one that allows more than they may do themselves."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from opscenter.base import clock, ids
from opscenter.base.reasons import Invalid, NotFound, Reason, Refused, sentence
from opscenter.operations.actor import Actor
from opscenter.operations.members import locked
from opscenter.operations.permits import role_names
from opscenter.workspaces import audit
from opscenter.workspaces.models import Member, Workspace, WorkspaceRole
from opscenter.workspaces.roles import OWNABLE, PERMISSION_NAMES, ROLES, Permission

MOST = 50
"""Roles of one workspace's own."""
_LONGEST = {"name": 63, "description": 200}
_NAMED = 5


@transaction.atomic
def create(
    actor: Actor, workspace: Workspace, *, name: str, description: str, grants: Sequence[str], own_only: Sequence[str]
) -> WorkspaceRole:
    """Make a role.

    Args:
        grants: codes of what it allows for everything in the workspace; viewing is always among it.
        own_only: of what it allows for tasks whose owner the member is; what is granted anyway is left out.

    Raises:
        NotFound, Forbidden: the actor may not manage members.
        Invalid: a name that is taken or too long, no such permission, or one that the actor lacks; ``field`` names which.
        Refused: the workspace has as many as it can have.
    """
    by = locked(actor, workspace)
    if WorkspaceRole.objects.filter(workspace=workspace).count() >= MOST:
        raise Refused("role.too_many", most=MOST)
    role = WorkspaceRole(workspace=by.workspace, code=f"role_custom_{ids.next_value('workspace_role')[0]}")
    _fill(role, by, name, description, grants, own_only)
    role.save()
    _record(actor, "role.create", role, _facts(role))
    return role


@transaction.atomic
def change(
    actor: Actor,
    workspace: Workspace,
    pk: int,
    *,
    name: str,
    description: str,
    grants: Sequence[str],
    own_only: Sequence[str],
) -> WorkspaceRole:
    """Change a role, for everybody who has it, from their next request on. Raises as ``create``.

    Raises:
        Refused: it allows what the actor may not do.
    """
    by = locked(actor, workspace)
    role = _find(by, pk)
    if reason := why_not_changeable(role, by=by):
        raise Refused(reason.code, **reason.params)
    before = _facts(role)
    _fill(role, by, name, description, grants, own_only)
    role.save()
    if (after := _facts(role)) != before:
        _record(actor, "role.change", role, {"before": before, "after": after})
    return role


@transaction.atomic
def delete(actor: Actor, workspace: Workspace, pk: int) -> None:
    """Delete a role that nobody has.

    Raises:
        NotFound, Forbidden: the actor may not manage members, or there is no such role.
        Refused: members have it, whom the reason names.
    """
    by = locked(actor, workspace)
    role = _find(by, pk)
    if reason := why_not_deletable(role, by=by):
        raise Refused(reason.code, **reason.params)
    _record(actor, "role.delete", role, _facts(role))
    role.delete()


def why_not_changeable(role: WorkspaceRole, *, by: Member) -> Reason | None:
    """Why ``by``, who manages members, cannot change the role; None when they can."""
    lacking = by.lacks(role.role)
    return _beyond(role, lacking) if lacking else None


def why_not_deletable(role: WorkspaceRole, *, by: Member) -> Reason | None:
    """Why the role cannot be deleted; None when it can."""
    if reason := why_not_changeable(role, by=by):
        return reason
    names = [str(member.user) for member in having(role)]
    if not names:
        return None
    return Reason("role.assigned", {"name": role.name, "members": names[:_NAMED], "more": len(names[_NAMED:])})


def having(role: WorkspaceRole) -> list[Member]:
    """The members who have the role, by name."""
    found = Member.objects.filter(workspace=role.workspace_id, roles__contains=[role.code])
    return list(found.select_related("user").order_by("user__username"))


def _find(by: Member, pk: int) -> WorkspaceRole:
    role = WorkspaceRole.objects.filter(workspace=by.workspace_id, pk=pk).first()
    if role is None:
        raise NotFound("role.unknown", role=pk)
    return role


def _fill(
    role: WorkspaceRole, by: Member, name: str, description: str, grants: Sequence[str], own_only: Sequence[str]
) -> None:
    role.name, role.description = name.strip(), description.strip()
    for field, longest in _LONGEST.items():
        if len(getattr(role, field)) > longest:
            raise Invalid("role.too_long", field=field, most=longest)
    if not role.name:
        raise Invalid("role.no_name", field="name")
    others = WorkspaceRole.objects.filter(workspace=by.workspace_id).exclude(pk=role.pk)
    built_in = {str(one.name).lower() for one in ROLES.values()} | set(ROLES)
    if role.name.lower() in built_in or others.filter(name__iexact=role.name).exists():
        raise Invalid("role.name_taken", field="name", name=role.name)
    everywhere = {Permission.VIEW, *_permissions(grants, "grants")}
    own = set(_permissions(own_only, "own_only")) - everywhere
    if wrong := own - OWNABLE:
        raise Invalid(
            "role.not_ownable", field="own_only", permissions=[one.value for one in Permission if one in wrong]
        )
    role.grants = [one.value for one in Permission if one in everywhere]
    role.own_only = [one.value for one in Permission if one in own]
    role.modified_at, role.modified_by = clock.now(), by.user
    if lacking := by.lacks(role.role):
        reason = _beyond(role, lacking)
        raise Invalid(reason.code, field="grants" if set(lacking) & everywhere else "own_only", **reason.params)


def _permissions(codes: Sequence[str], field: str) -> list[Permission]:
    try:
        return [Permission(code) for code in codes]
    except ValueError:
        raise Invalid("role.permission_unknown", field=field, codes=", ".join(codes)[:200]) from None


def _beyond(role: WorkspaceRole, lacking: Sequence[Permission]) -> Reason:
    return Reason(
        "role.beyond",
        {"role": role.code, "permissions": [one.value for one in lacking], "names": {role.code: role.name}},
    )


def _facts(role: WorkspaceRole) -> dict[str, Any]:
    return {
        "name": role.name,
        "description": role.description,
        "grants": list(role.grants),
        "own_only": list(role.own_only),
    }


def _record(actor: Actor, action: str, role: WorkspaceRole, params: Mapping[str, Any]) -> None:
    audit.record(
        actor.user,
        actor.face,
        action,
        workspace=role.workspace,
        obj=("role", role.pk, role.name),
        params=params,
        address=actor.address,
    )


@sentence("role.beyond")
def _says_beyond(params: Mapping[str, Any]) -> str:
    return _("The role “%(role)s” allows what you may not do yourself: %(permissions)s. Ask somebody who may.") % {
        "role": role_names([params["role"]], params.get("names")),
        "permissions": ", ".join(f"“{PERMISSION_NAMES[Permission(code)]}”" for code in params["permissions"]),
    }


@sentence("role.assigned")
def _assigned(params: Mapping[str, Any]) -> str:
    names = ", ".join(params["members"])
    if params["more"]:
        names = _("%(names)s and %(n)s more") % {"names": names, "n": params["more"]}
    return _("Members have the role “%(name)s”: %(members)s. Give them other roles first.") % {
        "name": params["name"],
        "members": names,
    }


@sentence("role.unknown")
def _unknown(params: Mapping[str, Any]) -> str:
    return _("This workspace has no such role. Somebody may have deleted it just now.")


@sentence("role.too_many")
def _too_many(params: Mapping[str, Any]) -> str:
    return _("A workspace has at most %(most)s roles of its own. Change or delete one.") % params


@sentence("role.too_long")
def _too_long(params: Mapping[str, Any]) -> str:
    return _("Use at most %(most)s characters.") % params


@sentence("role.no_name")
def _no_name(params: Mapping[str, Any]) -> str:
    return _("Give the role a name.")


@sentence("role.name_taken")
def _name_taken(params: Mapping[str, Any]) -> str:
    return _("There is a role “%(name)s” already. Choose another name.") % params


@sentence("role.not_ownable")
def _not_ownable(params: Mapping[str, Any]) -> str:
    return _("It is not about a task, so nobody owns what it is done to: %(permissions)s.") % {
        "permissions": ", ".join(f"“{PERMISSION_NAMES[Permission(code)]}”" for code in params["permissions"])
    }


@sentence("role.permission_unknown")
def _permission_unknown(params: Mapping[str, Any]) -> str:
    return _("These are no permissions: %(codes)s.") % params
