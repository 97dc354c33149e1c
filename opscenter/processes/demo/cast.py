"""Who takes part in the demo: tenants, workspaces, one member for each role, access keys."""

import secrets
from dataclasses import dataclass

from opscenter.operations import access_keys, members, workspaces
from opscenter.operations.actor import Actor
from opscenter.workspaces.models import AuditEntry, User, Workspace
from opscenter.workspaces.roles import ADMIN, OWNER, ROLES

TIME_ZONE = "Asia/Shanghai"
TENANT_A, TENANT_B = "tenant-a", "tenant-b"


@dataclass(frozen=True)
class Account:
    """A user who can sign in."""

    user: User
    password: str
    role: str


@dataclass(frozen=True)
class Party:
    """One tenant of the demo.

    Attributes:
        admin: the Workspace Administrator; the access key is theirs.
        accounts: all of its users.
    """

    workspace: Workspace
    admin: Account
    accounts: tuple[Account, ...]
    access_key_id: str
    access_key_secret: str

    @property
    def actor(self) -> Actor:
        """The administrator, at the command line."""
        return actor_of(self.admin.user)


def make_tenant_b() -> Party:
    """The tenant whose workflow is triggered, with a member for each role."""
    roles = [role for role in ROLES if role != OWNER]
    return _make(TENANT_B, "retail", "Retail", "b", roles)


def make_tenant_a() -> Party:
    """The tenant that triggers."""
    return _make(TENANT_A, "logistics", "Logistics", "a", [ADMIN])


def _make(tenant_name: str, workspace_name: str, display_name: str, prefix: str, roles: list[str]) -> Party:
    owner = _owner(tenant_name, f"{prefix}-owner")
    workspace = workspaces.create(actor_of(owner.user), workspace_name, display_name=display_name)
    accounts = [owner]
    for role in roles:
        name = f"{prefix}-{role.removeprefix('role_project_').replace('_', '-')}"
        member, password = members.create_user(
            actor_of(owner.user), workspace, name, [role], display_name=f"{ROLES[role].name} ({prefix.upper()})"
        )
        accounts.append(Account(member.user, password, role))
    admin = next(account for account in accounts if account.role == ADMIN)
    key, secret = access_keys.create(actor_of(admin.user), "Demo")
    return Party(workspace, admin, tuple(accounts), key.key_id, secret)


def _owner(tenant_name: str, username: str) -> Account:
    password = secrets.token_urlsafe(12)
    _tenant, user = workspaces.create_tenant(tenant_name, TIME_ZONE, username, password)
    return Account(user, password, OWNER)


def actor_of(user: User) -> Actor:
    """A user, at the command line."""
    return Actor(user, AuditEntry.Face.COMMAND)
