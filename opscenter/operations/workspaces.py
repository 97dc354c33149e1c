"""Tenants and workspaces: made and changed."""

from collections.abc import Mapping
from typing import Any
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from opscenter.base.reasons import Forbidden, Invalid, sentence
from opscenter.engine.generate import default_group, ensure_root
from opscenter.operations.actor import Actor
from opscenter.operations.permits import require
from opscenter.operations.sessions import check_password_strength
from opscenter.production.models import Environment, ResourceGroupAssociation
from opscenter.workspaces import audit
from opscenter.workspaces.models import AuditEntry, Member, Tenant, User, Workspace, name_validator
from opscenter.workspaces.roles import OWNER, Permission

RETENTION = ("keep_instances", "keep_logs", "keep_events", "keep_receipts")
"""Fields of a workspace that say for how many days something is kept."""


def require_tenant_admin(actor: Actor) -> None:
    """Raises Forbidden unless the actor administers their tenant; whoever runs commands owns the whole installation."""
    if not actor.user.is_tenant_admin and actor.face != AuditEntry.Face.COMMAND:
        raise Forbidden("tenant.admin_required", tenant=str(actor.user.tenant))


def check_name(name: str, field: str = "name") -> None:
    """Raises Invalid unless it can be the name of a tenant, a workspace or a user."""
    try:
        name_validator(name)
    except ValidationError as error:
        raise Invalid("name.malformed", field=field, name=name) from error


@transaction.atomic
def create_tenant(name: str, time_zone: str, admin: str, password: str) -> tuple[Tenant, User]:
    """A tenant with its first user, who administers it. For commands alone.

    Raises:
        Invalid: a name that is malformed or taken, an unknown time zone, a weak password; ``field`` names which.
    """
    check_name(name)
    check_name(admin, "admin")
    if time_zone not in available_timezones():
        raise Invalid("tenant.time_zone", field="time_zone", zone=time_zone)
    if Tenant.objects.filter(name=name).exists():
        raise Invalid("tenant.name_taken", field="name", name=name)
    if User.objects.filter(username=admin).exists():
        raise Invalid("user.name_taken", field="admin", name=admin)
    tenant = Tenant.objects.create(name=name, time_zone=time_zone)
    check_password_strength(password, User(tenant=tenant, username=admin))
    user = User.objects.create_user(admin, password, tenant=tenant, is_tenant_admin=True)
    default_group(tenant)
    audit.record(
        user,
        AuditEntry.Face.COMMAND,
        "tenant.create",
        tenant=tenant,
        obj=("tenant", tenant.pk, tenant.name),
        params={"time_zone": time_zone, "admin": admin},
    )
    return tenant, user


@transaction.atomic
def create(
    actor: Actor,
    name: str,
    *,
    display_name: str = "",
    description: str = "",
    mode: str = Workspace.Mode.STANDARD,
) -> Workspace:
    """A workspace of the actor's tenant with its root tasks; the actor becomes its owner.

    Raises:
        Forbidden: the actor does not administer the tenant.
        Invalid: the name is malformed or taken.
    """
    require_tenant_admin(actor)
    check_name(name)
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=actor.user.tenant_id)
    if Workspace.objects.filter(tenant=tenant, name=name).exists():
        raise Invalid("workspace.name_taken", field="name", name=name)
    workspace = Workspace.objects.create(
        tenant=tenant, name=name, display_name=display_name, description=description, mode=mode
    )
    Member.objects.create(workspace=workspace, user=actor.user, roles=[OWNER])
    ResourceGroupAssociation.objects.create(group=default_group(tenant), workspace=workspace)
    for environment in environments(workspace):
        ensure_root(workspace, environment, actor.user)
    _record(actor, "workspace.create", workspace, {"mode": mode})
    return workspace


@transaction.atomic
def update(
    actor: Actor, workspace: Workspace, *, display_name: str, description: str, periodic_scheduling: bool, **keep: int
) -> Workspace:
    """Change a workspace's settings. Without periodic scheduling no instances are generated from the next night on.

    Args:
        keep: days of retention, by the names of the workspace's fields; what is not given stays.

    Raises:
        NotFound, Forbidden: the actor may not manage the workspace.
        Invalid: a number of days below 1 or above 36,500.
    """
    require(actor, workspace, Permission.MANAGE_WORKSPACE)
    workspace = Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)
    wanted: dict[str, Any] = {"display_name": display_name, "description": description}
    wanted |= {"periodic_scheduling": periodic_scheduling, **_checked_days(keep)}
    changed = {name: [getattr(workspace, name), value] for name, value in wanted.items()}
    changed = {name: pair for name, pair in changed.items() if pair[0] != pair[1]}
    if changed:
        for name in changed:
            setattr(workspace, name, wanted[name])
        workspace.save(update_fields=list(changed))
        _record(actor, "workspace.update", workspace, {"changed": changed})
    return workspace


def _checked_days(keep: Mapping[str, int]) -> Mapping[str, int]:
    for field, days in keep.items():
        if field not in RETENTION or not 1 <= days <= 36500:
            raise Invalid("workspace.retention", field=field, days=days)
    return keep


def environments(workspace: Workspace) -> list[Environment]:
    """The environments that a workspace's mode gives it."""
    if workspace.mode == Workspace.Mode.BASIC:
        return [Environment.PROD]
    return [Environment.PROD, Environment.DEV]


def _record(actor: Actor, action: str, workspace: Workspace, params: Mapping[str, Any]) -> None:
    audit.record(
        actor.user,
        actor.face,
        action,
        workspace=workspace,
        obj=("workspace", workspace.pk, workspace.name),
        params=params,
        address=actor.address,
    )


@sentence("tenant.admin_required")
def _admin_required(params: Mapping[str, Any]) -> str:
    return _("Only administrators of the tenant “%(tenant)s” may do this. Ask one of them.") % params


@sentence("tenant.name_taken")
def _tenant_name_taken(params: Mapping[str, Any]) -> str:
    return _("There is a tenant “%(name)s” already. Choose another name.") % params


@sentence("tenant.time_zone")
def _time_zone(params: Mapping[str, Any]) -> str:
    return _("“%(zone)s” is no time zone. Use an IANA name such as Asia/Shanghai or Europe/Berlin.") % params


@sentence("workspace.name_taken")
def _workspace_name_taken(params: Mapping[str, Any]) -> str:
    return _("There is a workspace “%(name)s” already. Choose another name.") % params


@sentence("workspace.retention")
def _retention(params: Mapping[str, Any]) -> str:
    return _("Days of retention are a number from 1 to 36500, not %(days)s.") % params


@sentence("user.name_taken")
def _user_name_taken(params: Mapping[str, Any]) -> str:
    return _("The user name “%(name)s” is taken. Choose another one.") % params


@sentence("name.malformed")
def _malformed(params: Mapping[str, Any]) -> str:
    return str(name_validator.message)
