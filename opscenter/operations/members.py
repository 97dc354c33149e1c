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
from opscenter.workspaces.roles import OWNER, ROLES, Permission

_PASSWORD_BYTES = 12


@transaction.atomic
def add(actor: Actor, workspace: Workspace, username: str, roles: Sequence[str]) -> Member:
    """Make a user of the tenant a member.

    Raises:
        NotFound, Forbidden: the actor may not manage members.
        Invalid: no such user in the tenant, a member already, or roles that cannot be given; ``field`` names which.
    """
    workspace = _locked(actor, workspace)
    user = User.objects.filter(tenant=workspace.tenant_id, username=username, is_active=True).first()
    if user is None:
        raise Invalid("member.user_unknown", field="username", username=username)
    return _add(actor, workspace, user, roles)


@transaction.atomic
def create_user(
    actor: Actor, workspace: Workspace, username: str, roles: Sequence[str], *, display_name: str = "", email: str = ""
) -> tuple[Member, str]:
    """A new user of the tenant who is a member, and their first password, which cannot be shown again.

    Raises:
        NotFound, Forbidden: the actor may not manage members, or does not administer the tenant.
        Invalid: a name that is malformed or taken, or roles that cannot be given; ``field`` names which.
    """
    workspace = _locked(actor, workspace)
    require_tenant_admin(actor)
    check_name(username, "username")
    if User.objects.filter(username=username).exists():
        raise Invalid("user.name_taken", field="username", name=username)
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    user = User.objects.create_user(username, password, tenant=workspace.tenant, display_name=display_name, email=email)
    audit.record(
        actor.user,
        actor.face,
        "user.create",
        workspace=workspace,
        obj=("user", user.uid, user.username),
        address=actor.address,
    )
    return _add(actor, workspace, user, roles), password


@transaction.atomic
def change_roles(actor: Actor, workspace: Workspace, uid: int, roles: Sequence[str]) -> Member:
    """Give a member other roles. The role of an owner can be neither given nor taken; an owner keeps it.

    Raises:
        NotFound, Forbidden: the actor may not manage members, or there is no such member.
        Invalid: roles that cannot be given.
    """
    member = _member(_locked(actor, workspace), uid)
    before = list(member.roles)
    kept = [OWNER] if OWNER in before else []
    member.roles = kept + _checked(roles, at_least=0 if kept else 1)
    if member.roles != before:
        member.save(update_fields=["roles"])
        _record(actor, "member.change_roles", member, {"before": before, "after": member.roles})
    return member


@transaction.atomic
def remove(actor: Actor, workspace: Workspace, uid: int) -> None:
    """End a membership. Tasks that the user owns stay theirs until somebody changes the owner.

    Raises:
        NotFound, Forbidden: the actor may not manage members, or there is no such member.
        Refused: it is the last owner, or an owner whom only another owner may remove.
    """
    workspace = _locked(actor, workspace)
    member = _member(workspace, uid)
    if reason := why_not_removable(member, by=actor.user):
        raise Refused(reason, member=str(member.user))
    _record(actor, "member.remove", member, {"roles": member.roles})
    member.delete()


def why_not_removable(member: Member, *, by: User) -> str | None:
    """The code of the reason why this user cannot remove the member; None when they can."""
    if OWNER not in member.roles:
        return None
    owners = Member.objects.filter(workspace=member.workspace_id, roles__contains=[OWNER])
    if not owners.exclude(pk=member.pk).exists():
        return "member.last_owner"
    return None if owners.filter(user=by).exists() else "member.owner_by_owner"


def _locked(actor: Actor, workspace: Workspace) -> Workspace:
    """The workspace, locked: changes of its members come one after the other, each with the permission of that moment."""
    locked = Workspace.objects.select_for_update(no_key=True, of=("self",)).select_related("tenant")
    found = locked.get(pk=workspace.pk)
    require(actor, found, Permission.MANAGE_MEMBERS)
    return found


def _member(workspace: Workspace, uid: int) -> Member:
    member = Member.objects.select_related("user", "workspace").filter(workspace=workspace, user__uid=uid).first()
    if member is None:
        raise NotFound("member.unknown", uid=uid)
    return member


def _add(actor: Actor, workspace: Workspace, user: User, roles: Sequence[str]) -> Member:
    if Member.objects.filter(workspace=workspace, user=user).exists():
        raise Invalid("member.exists", field="username", username=user.username)
    member = Member.objects.create(workspace=workspace, user=user, roles=_checked(roles, at_least=1))
    _record(actor, "member.add", member, {"roles": member.roles})
    return member


def _checked(codes: Sequence[str], *, at_least: int) -> list[str]:
    """The roles in the registry's order, each once."""
    for code in codes:
        if code not in ROLES or not ROLES[code].assignable:
            raise Invalid("member.role_unassignable", field="roles", role=code)
    if len(set(codes)) < at_least:
        raise Invalid("member.no_role", field="roles")
    return [code for code in ROLES if code in codes]


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


@sentence("member.owner_by_owner")
def _owner_by_owner(params: Mapping[str, Any]) -> str:
    return _("%(member)s is an owner; only another owner can remove them.") % params
