"""The audit trail: written in the transaction that did what it tells."""

from collections.abc import Mapping
from typing import Any

from opscenter.workspaces.models import AuditEntry, Tenant, User, Workspace


def record(
    actor: User | None,
    face: AuditEntry.Face | str,
    action: str,
    *,
    tenant: Tenant | None = None,
    workspace: Workspace | None = None,
    obj: tuple[str, Any, str],
    params: Mapping[str, Any] | None = None,
    address: str | None = None,
) -> AuditEntry:
    """Write one entry.

    Args:
        action: what was done, as a stable code such as ``member.add``.
        obj: type, id and name of what it was done to.
        tenant: needed only where there is no workspace.
    """
    owner = workspace.tenant if workspace is not None else tenant
    assert owner is not None, "an audit entry belongs to a workspace or a tenant"
    return AuditEntry.objects.create(
        actor=actor,
        face=face,
        action=action,
        tenant=owner,
        workspace=workspace,
        object_type=obj[0],
        object_id=str(obj[1]),
        object_name=obj[2][:255],
        params=dict(params or {}),
        address=address,
    )
