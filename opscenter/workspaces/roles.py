"""The one registry of permissions and built-in roles (spec/opscenter.md 7.2, 7.3).

Pages, API, docs and tests are derived from it. A role grants a permission for everything in the workspace, or, where
the matrix says "own only", for tasks whose owner the member is. Workspaces have roles of their own besides, made of
the same permissions (models.WorkspaceRole).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Permission(StrEnum):
    """What a member may do in a workspace."""

    VIEW = "workspace.view"
    OPERATE_TASK = "task.operate"
    TEST_TASK = "task.test"
    OPERATE_INSTANCE = "instance.operate"
    EMERGENCY = "instance.emergency"
    FORCE_RERUN = "instance.force_rerun"
    TRIGGER = "instance.trigger"
    DEVELOP = "workflow.develop"
    PUBLISH = "workflow.publish"
    MANAGE_RESOURCES = "resource.manage"
    MANAGE_DATA_SOURCES = "data_source.manage"
    MANAGE_MEMBERS = "member.manage"
    MANAGE_WORKSPACE = "workspace.manage"
    VIEW_AUDIT = "audit.view"
    DEVELOP_EXTENSIONS = "extension.develop"
    MANAGE_EXTENSIONS = "extension.manage"


PERMISSION_NAMES: dict[Permission, Promise] = {
    Permission.VIEW: _("View tasks, instances and logs"),
    Permission.OPERATE_TASK: _("Freeze, undeploy and change tasks"),
    Permission.TEST_TASK: _("Run tasks now (smoke test), backfill data"),
    Permission.OPERATE_INSTANCE: _("Stop, rerun, set to succeeded, freeze and unfreeze instances"),
    Permission.EMERGENCY: _("Remove dependencies, change priorities and resource groups of instances"),
    Permission.FORCE_RERUN: _("Force reruns of everything downstream"),
    Permission.TRIGGER: _("Trigger HTTP trigger nodes"),
    Permission.DEVELOP: _("Develop workflows"),
    Permission.PUBLISH: _("Publish to production"),
    Permission.MANAGE_RESOURCES: _("Upload and delete resources"),
    Permission.MANAGE_DATA_SOURCES: _("Add, change, test and delete data sources"),
    Permission.MANAGE_MEMBERS: _("Manage members and roles"),
    Permission.MANAGE_WORKSPACE: _("Change workspace settings"),
    Permission.VIEW_AUDIT: _("View the audit trail and the history of operations"),
    Permission.DEVELOP_EXTENSIONS: _("Register extensions"),
    Permission.MANAGE_EXTENSIONS: _("Enable extensions, mark their checks as passed"),
}


OWNABLE = frozenset(
    {
        Permission.OPERATE_TASK,
        Permission.TEST_TASK,
        Permission.OPERATE_INSTANCE,
        Permission.EMERGENCY,
        Permission.TRIGGER,
    }
)
"""What is done to a task or its instances, so that "own only" means something."""


@dataclass(frozen=True)
class Role:
    """A role: what it grants everywhere, and what for own tasks only."""

    code: str
    name: Promise | str
    grants: frozenset[Permission]
    own_only: frozenset[Permission] = frozenset()
    assignable: bool = True


_READ = frozenset({Permission.VIEW})
_OPERATIONS = frozenset(
    {
        Permission.OPERATE_TASK,
        Permission.TEST_TASK,
        Permission.OPERATE_INSTANCE,
        Permission.TRIGGER,
    }
)
_ALL = frozenset(Permission)

ROLES: dict[str, Role] = {
    role.code: role
    for role in (
        Role("role_project_owner", _("Workspace Owner"), _ALL, assignable=False),
        Role("role_project_admin", _("Workspace Administrator"), _ALL),
        Role(
            "role_project_dev",
            _("Develop"),
            _READ
            | {
                Permission.TRIGGER,
                Permission.DEVELOP,
                Permission.MANAGE_RESOURCES,
                Permission.DEVELOP_EXTENSIONS,
            },
            own_only=frozenset({Permission.OPERATE_TASK, Permission.TEST_TASK, Permission.OPERATE_INSTANCE}),
        ),
        Role(
            "role_project_pe",
            _("O&M"),
            _READ | _OPERATIONS | {Permission.EMERGENCY, Permission.PUBLISH, Permission.VIEW_AUDIT},
        ),
        Role("role_project_deploy", _("Deploy"), _READ | {Permission.PUBLISH}),
        Role("role_project_guest", _("Visitor"), _READ),
        Role("role_project_security", _("Security Administrator"), _READ),
        Role("role_project_data_analyst", _("Data Analyst"), _READ),
        Role("role_project_erd", _("Model Designer"), _READ),
        Role("role_project_tester", _("Experience"), _READ),
        Role("role_project_dg_admin", _("Data Governance Administrator"), _READ),
    )
}
OWNER = "role_project_owner"
ADMIN = "role_project_admin"


Custom = Mapping[str, Role]
"""A workspace's own roles by code."""
_NONE: Custom = {}


def roles_of(codes: Sequence[str], custom: Custom = _NONE) -> list[Role]:
    """The roles that the codes name; a code that names none any more is passed over."""
    return [role for code in codes if (role := ROLES.get(code) or custom.get(code)) is not None]


def granted(role_codes: Sequence[str], permission: Permission, *, own: bool, custom: Custom = _NONE) -> bool:
    """Whether any of these roles grants the permission; ``own``: the asker owns the task in question."""
    roles = roles_of(role_codes, custom)
    return any(permission in role.grants or (own and permission in role.own_only) for role in roles)


def holders(permission: Permission, custom: Custom = _NONE) -> list[Role]:
    """The roles that grant the permission for everything in the workspace."""
    return [role for role in (*ROLES.values(), *custom.values()) if permission in role.grants]
