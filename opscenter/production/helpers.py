"""Who can do what helps: the people behind rules.remedies.Who, found for several targets by one query."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from opscenter.production.rules.remedies import Who
from opscenter.workspaces.models import Member, User
from opscenter.workspaces.roles import ROLES, Permission

SHOWN = 4
"""People told by name; the rest is counted."""

PERMISSIONS: Mapping[Who, Permission] = {
    Who.OPERATORS: Permission.OPERATE_INSTANCE,
    Who.TASK_OPERATORS: Permission.OPERATE_TASK,
    Who.CALLERS: Permission.TRIGGER,
    Who.PUBLISHERS: Permission.PUBLISH,
}
"""Where a role in the target's workspace decides."""


@dataclass(frozen=True)
class People:
    """Some people by name, and how many there are besides; where it is nobody, the roles that somebody would need."""

    names: tuple[str, ...]
    more: int = 0
    roles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """Where a target is: its workspace, and whose it is."""

    workspace: int
    owner: int


class Helpers:
    """The members of these workspaces, and the administrators of the tenant; read when first asked for."""

    def __init__(self, places: Iterable[Place], tenant: int) -> None:
        self._tenant = tenant
        members = Member.objects.filter(workspace__in={place.workspace for place in places}, user__is_active=True)
        self._members: dict[int, list[Member]] = {}
        for member in members.select_related("user").order_by("user__username"):
            self._members.setdefault(member.workspace_id, []).append(member)
        self._admins: list[User] | None = None

    def people(self, who: Who, places: Collection[Place]) -> People | None:
        """Who can do it at one of the places, owners first; None where it is nobody's to do in the product."""
        if who is Who.TENANT_ADMINS:
            if self._admins is None:
                found = User.objects.filter(tenant=self._tenant, is_active=True, is_tenant_admin=True)
                self._admins = list(found.order_by("username"))
            return _shown(self._admins, "")
        if who not in PERMISSIONS:
            return None
        permission, owners = PERMISSIONS[who], {place.owner for place in places}
        able = {
            member.user_id: member.user
            for workspace in dict.fromkeys(place.workspace for place in places)
            for member in self._members.get(workspace, ())
            if member.may(permission, own=member.user_id in owners)
        }
        return _shown(sorted(able.values(), key=lambda user: (user.pk not in owners, user.username)), permission)


def _shown(users: list[User], permission: Permission | str) -> People:
    names = tuple(str(user) for user in users[:SHOWN])
    roles = tuple(role.code for role in ROLES.values() if permission in role.grants) if not users else ()
    return People(names, len(users) - len(names), roles)
