"""The check that every operation makes first: a stranger learns nothing, a member learns which permission is missing."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from opscenter.base.reasons import Forbidden, NotFound, sentence
from opscenter.operations.actor import Actor
from opscenter.workspaces.models import Member, User, Workspace
from opscenter.workspaces.roles import PERMISSION_NAMES, ROLES, Permission, holders


def member_of(user: User, workspace_id: int) -> Member:
    """The user's membership in a workspace.

    Raises:
        NotFound: the workspace does not exist, or the user is a stranger to it.
    """
    member = (
        Member.objects.select_related("workspace__tenant", "user")
        .filter(user=user, user__is_active=True, workspace_id=workspace_id)
        .first()
    )
    if member is None:
        raise NotFound("workspace.unknown", workspace=workspace_id)
    return member


def membership(user: User, workspace_id: int) -> Member | None:
    """The same of somebody who may have left: None when they are no member any more."""
    try:
        return member_of(user, workspace_id)
    except NotFound:
        return None


def require(actor: Actor, workspace: Workspace, permission: Permission, *, own: bool = False) -> Member:
    """Make sure that the actor may do this in the workspace; ``own``: to a task that they own.

    Raises:
        NotFound: the actor is a stranger to the workspace.
        Forbidden: the actor is a member without the permission, which the reason names.
    """
    member = member_of(actor.user, workspace.pk)
    if not member.may(permission, own=own):
        raise Forbidden("permission.missing", **missing(permission, member))
    return member


def missing(permission: Permission, member: Member | None = None) -> dict[str, Any]:
    """The parameters of the reason "permission.missing"; ``member`` is who lacks it. Without one the workspace's own roles
    are not named."""
    found = holders(permission, member.custom_roles if member else {})
    own = {role.code: str(role.name) for role in found if role.code not in ROLES}
    return {"permission": permission.value, "roles": [role.code for role in found], **({"names": own} if own else {})}


def role_names(codes: Sequence[str], names: Mapping[str, str] | None = None) -> str:
    """Roles by name, as reasons and the audit trail store them: by code, and those of a workspace's own by their name then."""
    own = names or {}
    return ", ".join(str(ROLES[code].name) if code in ROLES else own.get(code, code) for code in codes)


@sentence("workspace.unknown")
def _unknown(params: Mapping[str, Any]) -> str:
    return _("There is no workspace %(workspace)s, or you are not a member of it.") % params


@sentence("permission.missing")
def _missing(params: Mapping[str, Any]) -> str:
    return _("You lack the permission “%(name)s” (%(code)s). These roles have it: %(roles)s.") % {
        "name": PERMISSION_NAMES[Permission(params["permission"])],
        "code": params["permission"],
        "roles": role_names(params["roles"], params.get("names")),
    }
