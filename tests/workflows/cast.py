"""Who acts in these tests, and short ways to write documents."""

import json
from dataclasses import dataclass
from typing import Any

from opscenter.operations.actor import Actor
from opscenter.production.models import ResourceGroup, ResourceGroupAssociation
from opscenter.workspaces.models import AuditEntry, Member, Tenant, User, Workspace


@dataclass(frozen=True)
class Cast:
    """A workspace with its owner, a developer, a deployer and a visitor; and a stranger of the same tenant."""

    tenant: Tenant
    workspace: Workspace
    owner: Actor
    developer: Actor
    deployer: Actor
    visitor: Actor
    stranger: Actor


def make_cast(mode: str = Workspace.Mode.BASIC) -> Cast:
    """The cast, in a tenant of its own whose zone is Asia/Shanghai."""
    tenant = Tenant.objects.create(name="acme", time_zone="Asia/Shanghai")
    group = ResourceGroup.objects.create(tenant=tenant, name=ResourceGroup.DEFAULT)
    workspace = Workspace.objects.create(tenant=tenant, name="shop", mode=mode)
    ResourceGroupAssociation.objects.create(group=group, workspace=workspace)

    def actor(name: str, *roles: str) -> Actor:
        user = User.objects.create_user(name, tenant=tenant)
        if roles:
            Member.objects.create(workspace=workspace, user=user, roles=list(roles))
        return Actor(user, AuditEntry.Face.CONSOLE)

    return Cast(
        tenant,
        workspace,
        owner=actor("olga", "role_project_owner"),
        developer=actor("dan", "role_project_dev"),
        deployer=actor("dora", "role_project_deploy"),
        visitor=actor("vera", "role_project_guest"),
        stranger=actor("sam"),
    )


def node(key: str, *upstream: str, **fields: Any) -> dict[str, Any]:
    """A daily shell node with its key as id, name and output; ``upstream`` are output names."""
    return {
        "id": key,
        "name": key,
        "script": {"content": "true", "runtime": {"command": "DIDE_SHELL"}},
        "trigger": {"type": "Scheduler", "cron": "00 30 00 * * ?"},
        "inputs": {"nodeOutputs": [{"data": name} for name in upstream]},
        "outputs": {"nodeOutputs": [{"data": key}]},
    } | fields


def document(*nodes: dict[str, Any], flow: Any = (), **workflow: Any) -> str:
    """A document with one workflow of these nodes."""
    content = {"id": "w1", "name": "Nightly", "nodes": list(nodes), "dependencies": list(flow)} | workflow
    return json.dumps({"version": "1.1.0", "kind": "CycleWorkflow", "spec": {"workflows": [content]}})
