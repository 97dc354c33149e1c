"""Which wire error a refusal of the product becomes: the one table.

Nobody documents codes for these; the names are ours, in the house pattern of spec/openapi.md 4.2.
"""

from typing import Any

from opscenter.base.reasons import Refused
from opscenter.openapi.errors import WireError, fault

WIRE_CODES: dict[str, str] = {
    "permission.missing": "ResourceNotAuthorized.Api",
    "workspace.unknown": "Invalid.Tenant.ProjectNotExists",
    "instance.unknown": "Invalid.TaskInstance.NotExist",
    "task.offline": "Invalid.Task.Offline",
    "trigger.task_unknown": "Invalid.Task.NotExist",
    "trigger.not_a_trigger_node": "Invalid.Task.NotTriggerNode",
    "trigger.instance_missing": "Invalid.TaskInstance.NotExist",
    "trigger.task_frozen": "Invalid.Task.Frozen",
    "trigger.instance_frozen": "Invalid.TaskInstance.Frozen",
    "trigger.task_offline": "Invalid.Task.Offline",
    "trigger.bypassed": "Invalid.TaskInstance.TriggerBypassed",
    "trigger.stopped": "Invalid.TaskInstance.Failed",
    "task.unknown": "Invalid.Task.NotExist",
    "task.frozen": "Invalid.Task.Frozen",
    "task.not_frozen": "Invalid.Task.NotFrozen",
    "task.is_root": "Invalid.Task.Root",
    "task.downstream": "Invalid.Task.Downstream",
    "operation.open_already": "Invalid.Operation.Open",
    "operation.blocked": "Invalid.Operation.Blocked",
    "backfill.unknown_task": "Invalid.Task.NotExist",
    "backfill.unknown_workspace": "Invalid.Tenant.ProjectNotExists",
    "backfill.barred": "Invalid.WorkflowInstance.Contradiction",
    "backfill.newest_first": "Invalid.WorkflowInstance.Contradiction",
    "resource_group.unknown": "Invalid.ResourceGroup.NotExist",
    "resource_group.in_use": "Invalid.ResourceGroup.InUse",
    "verdict.unknown_message": "Invalid.Check.MessageNotExist",
    "verdict.unknown_extension": "Invalid.Extension.NotExist",
    "verdict.not_asked": "Invalid.Check.NotAsked",
    "verdict.unknown_check": "Invalid.Check.NotExist",
    "verdict.foreign_key": "Forbidden.Check.ForeignKey",
    "verdict.requester": "Forbidden.Check.Requester",
    "verdict.forged": "Invalid.Check.Token",
    "verdict.contradiction": "Invalid.Check.Contradiction",
    "verdict.too_many_reports": "Invalid.Check.TooManyReports",
    "verdict.late": "Invalid.Check.Late",
    "verdict.over": "Invalid.Check.Over",
    "verdict.disabled": "Invalid.Check.ExtensionDisabled",
}

_BY_STATUS = {400: "Invalid.Operation.Request", 403: "ResourceNotAuthorized.Api", 404: "Invalid.Operation.NotFound"}


def wire_error(refused: Refused, asker: str) -> WireError:
    """The error to answer with; our sentence names the condition. ``asker`` is the caller's account id."""
    reason = refused.reason
    code = WIRE_CODES.get(reason.code) or _BY_STATUS.get(refused.status, "Invalid.Operation.Refused")
    error = fault(code, detail=str(refused))
    if code == "ResourceNotAuthorized.Api":
        error.detail = _access_denied(reason.params.get("permission", ""), reason.params.get("roles", []), asker)
    return error


def _access_denied(permission: str, roles: list[str], asker: str) -> dict[str, Any]:
    """AccessDeniedDetail: which right is missing, and who has it."""
    return {
        "AuthAction": permission,
        "AuthPrincipalType": "SubUser",
        "AuthPrincipalDisplayName": asker,
        "NoPermissionType": "ImplicitDeny",
        "PolicyType": "WorkspaceRole",
        "Roles": roles,
    }
