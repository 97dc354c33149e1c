"""Members and their roles. What is changed here holds from the next request on: roles are read with each."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from opscenter.base.reasons import Invalid, NotFound, Refused, sentence
from opscenter.operations.actor import Actor
from opscenter.operations.permits import require
from opscenter.operations.workspaces import check_name, require_tenant_admin
from opscenter.workspaces import audit
from opscenter.workspaces.models import Member, User, Workspace
from opscenter.workspaces.roles import OWNER, ROLES, Permission, roles_of

_PASSWORD_BYTES = 12


@transaction.atomic
def add(actor: Actor, workspace: Workspace, username: str, roles: Sequence[str]) -> Member:
    """Make a user of the tenant a member.

    Raises:
        NotFound, Forbidden: the actor may not manage members.
        Invalid: no such user in the tenant, a member already, or roles that cannot be given; ``field`` names which.
    """
    by = locked(actor, workspace)
    user = User.objects.filter(tenant=by.workspace.tenant_id, username=username, is_active=True).first()
    if user is None:
        raise Invalid("member.user_unknown", field="username", username=username)
    return _add(actor, by, user, roles)


@transaction.atomic
def create_user(
    actor: Actor, workspace: Workspace, username: str, roles: Sequence[str], *, display_name: str = "", email: str = ""
) -> tuple[Member, str]:
    """A new user of the tenant who is a member, and their first password, which cannot be shown again.

    Raises:
        NotFound, Forbidden: the actor may not manage members, or does not administer the tenant.
        Invalid: a name that is malformed or taken, or roles that cannot be given; ``field`` names which.
    """
    by = locked(actor, workspace)
    require_tenant_admin(actor)
    check_name(username, "username")
    if User.objects.filter(username=username).exists():
        raise Invalid("user.name_taken", field="username", name=username)
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    user = User.objects.create_user(
        username, password, tenant=by.workspace.tenant, display_name=display_name, email=email
    )
    audit.record(
        actor.user,
        actor.face,
        "user.create",
        workspace=workspace,
        obj=("user", user.uid, user.username),
        address=actor.address,
    )
    return _add(actor, by, user, roles), password


@transaction.atomic
def change_roles(actor: Actor, workspace: Workspace, uid: int, roles: Sequence[str]) -> Member:
    """Give a member other roles. The role of an owner can be neither given nor taken; an owner keeps it.

    So does everybody keep what allows more than the actor may do.

    Raises:
        NotFound, Forbidden: the actor may not manage members, or there is no such member.
        Invalid: roles that cannot be given.
    """
    by = locked(actor, workspace)
    member = _member(by.workspace, uid)
    before = list(member.roles)
    kept = [role.code for role in member.held_roles if not role.assignable or by.lacks(role)]
    given = [code for code in roles if code not in kept or code == OWNER]
    member.roles = _in_order([*kept, *_checked(given, by, at_least=0 if kept else 1)], by)
    if member.roles != before:
        member.save(update_fields=["roles"])
        names = _own_names(by, [*before, *member.roles])
        _record(actor, "member.change_roles", member, {"before": before, "after": member.roles, **names})
    return member


@transaction.atomic
def remove(actor: Actor, workspace: Workspace, uid: int) -> None:
    """End a membership. Tasks that the user owns stay theirs until somebody changes the owner.

    Raises:
        NotFound, Forbidden: the actor may not manage members, or there is no such member.
        Refused: it is the last owner, an owner whom only another owner may remove, or somebody who may do more.
    """
    by = locked(actor, workspace)
    member = _member(by.workspace, uid)
    if reason := why_not_removable(member, by=by):
        raise Refused(reason, member=str(member.user))
    _record(actor, "member.remove", member, {"roles": member.roles, **_own_names(by, member.roles)})
    member.delete()


def why_not_removable(member: Member, *, by: Member) -> str | None:
    """The code of the reason why ``by``, who manages members, cannot remove the member; None when they can."""
    if OWNER not in member.roles:
        return "member.beyond" if any(by.lacks(role) for role in member.held_roles) else None
    owners = Member.objects.filter(workspace=member.workspace_id, roles__contains=[OWNER])
    if not owners.exclude(pk=member.pk).exists():
        return "member.last_owner"
    return None if OWNER in by.roles else "member.owner_by_owner"


def locked(actor: Actor, workspace: Workspace) -> Member:
    """The actor as a member, with the workspace locked: changes of its members and roles come one after the other, each
    with the permission of that moment."""
    held = Workspace.objects.select_for_update(no_key=True, of=("self",)).select_related("tenant")
    return require(actor, held.get(pk=workspace.pk), Permission.MANAGE_MEMBERS)


def _member(workspace: Workspace, uid: int) -> Member:
    member = Member.objects.select_related("user", "workspace").filter(workspace=workspace, user__uid=uid).first()
    if member is None:
        raise NotFound("member.unknown", uid=uid)
    return member


def _add(actor: Actor, by: Member, user: User, roles: Sequence[str]) -> Member:
    workspace = by.workspace
    if Member.objects.filter(workspace=workspace, user=user).exists():
        raise Invalid("member.exists", field="username", username=user.username)
    member = Member.objects.create(workspace=workspace, user=user, roles=_checked(roles, by, at_least=1))
    _record(actor, "member.add", member, {"roles": member.roles, **_own_names(by, member.roles)})
    return member


def _checked(codes: Sequence[str], by: Member, *, at_least: int) -> list[str]:
    """The roles in order, each once; ``by`` gives none that allows more than they may do themselves."""
    for code in codes:
        found = roles_of([code], by.custom_roles)
        if not found or not found[0].assignable:
            raise Invalid("member.role_unassignable", field="roles", role=code)
        if lacking := by.lacks(found[0]):
            names = {} if code in ROLES else {"names": {code: str(found[0].name)}}
            raise Invalid("role.beyond", field="roles", role=code, permissions=[one.value for one in lacking], **names)
    if len(set(codes)) < at_least:
        raise Invalid("member.no_role", field="roles")
    return _in_order(codes, by)


def _in_order(codes: Sequence[str], by: Member) -> list[str]:
    """The registry's roles in its order, then the workspace's own."""
    return [code for code in (*ROLES, *by.custom_roles) if code in codes]


def _own_names(by: Member, codes: Sequence[str]) -> dict[str, Any]:
    """How the workspace's own roles among these are called now, for the audit trail."""
    names = {role.code: str(role.name) for role in roles_of(codes, by.custom_roles) if role.code not in ROLES}
    return {"names": names} if names else {}


def _record(actor: Actor, action: str, member: Member, params: Mapping[str, Any]) -> None:
    audit.record(
        actor.user,
        actor.face,
        action,
        workspace=member.workspace,
        obj=("user", member.user.uid, member.user.username),
        params=params,
        address=actor.address,
    )


@sentence("member.unknown")
def _unknown(params: Mapping[str, Any]) -> str:
    return _("This workspace has no such member. Somebody may have removed them just now.")


@sentence("member.user_unknown")
def _user_unknown(params: Mapping[str, Any]) -> str:
    return (
        _("There is no active user “%(username)s” in this tenant. Look at the spelling, or create the user.") % params
    )


@sentence("member.exists")
def _exists(params: Mapping[str, Any]) -> str:
    return _("“%(username)s” is a member already. Change their roles in the list.") % params


@sentence("member.role_unassignable")
def _role_unassignable(params: Mapping[str, Any]) -> str:
    return _("The role %(role)s does not exist or cannot be given.") % params


@sentence("member.no_role")
def _no_role(params: Mapping[str, Any]) -> str:
    return _("Choose at least one role.")


@sentence("member.last_owner")
def _last_owner(params: Mapping[str, Any]) -> str:
    return _("%(member)s is the only owner; a workspace cannot be without one.") % params


@sentence("member.beyond")
def _beyond(params: Mapping[str, Any]) -> str:
    return _("%(member)s may do what you may not; only somebody who may do all of it can remove them.") % params


@sentence("member.owner_by_owner")
def _owner_by_owner(params: Mapping[str, Any]) -> str:
    return _("%(member)s is an owner; only another owner can remove them.") % params
