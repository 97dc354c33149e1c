"""Extension points: the operations that an extension may stop, and the regular events, each listed once
(spec/extensions.md 3)."""

from dataclasses import dataclass
from enum import Enum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class About(Enum):
    """What the operations at an extension point are done to; their messages name it in the same way."""

    TASKS = "tasks"
    INSTANCES = "instances"
    DEPENDENCIES = "dependencies"
    REMOVED = "removed instances"
    BACKFILL = "backfill"
    STATUS = "status"
    WORKFLOW = "workflow"


@dataclass(frozen=True)
class Point:
    """One extension point, or a regular one: nobody waits, it is told of what has happened.

    Attributes:
        code: the messages' ``eventCode``.
        type: the envelope's ``type``; the casing is DataWorks' own.
        category: the API's ``CategoryCode``.
    """

    code: str
    type: str
    category: str
    name: Promise
    category_name: Promise
    about: About
    is_regular: bool = False


_NODE_CHANGE = ("node-change", _("Node change"), About.TASKS)
_BACKFILL = ("backfill-data-operate", _("Backfill operation"), About.BACKFILL)
_INSTANCE_CHANGE = ("instance-change", _("Instance change"), About.INSTANCES)
_DEPENDENCIES = (*_INSTANCE_CHANGE[:2], About.DEPENDENCIES)
_REMOVED = (*_INSTANCE_CHANGE[:2], About.REMOVED)
_STATUS_CHANGES = ("instance-status-changes", _("Instance status change"), About.STATUS)
_DAG_STATUS = ("dag-status-changes", _("Workflow status change"), About.WORKFLOW)


def _point(
    code: str, type: str, name: Promise, group: tuple[str, Promise, About], *, is_regular: bool = False
) -> Point:
    category, category_name, about = group
    return Point(code, f"dataworks:{type}", category, name, category_name, about, is_regular)


def _regular(code: str, type: str, name: Promise, group: tuple[str, Promise, About]) -> Point:
    return _point(code, type, name, group, is_regular=True)


POINTS: dict[str, Point] = {
    point.code: point
    for point in (
        _point("freeze-node", "NodeChange:FreezeNode", _("Before freezing tasks"), _NODE_CHANGE),
        _point("unfreeze-node", "NodeChange:UnFreezeNode", _("Before unfreezing tasks"), _NODE_CHANGE),
        _point("undeploy-node", "NodeChange:UndeployNode", _("Before undeploying tasks"), _NODE_CHANGE),
        _point("backfill-data", "BackfillDataOperate:BackfillData", _("Before a backfill"), _BACKFILL),
        _point(
            "pre-freeze-instance", "InstanceChange:PreFreezeInstance", _("Before freezing instances"), _INSTANCE_CHANGE
        ),
        _point(
            "pre-unfreeze-instance",
            "InstanceChange:PreUnfreezeInstance",
            _("Before unfreezing instances"),
            _INSTANCE_CHANGE,
        ),
        _point(
            "pre-rerun-instance", "InstanceChange:PreRerunInstance", _("Before rerunning instances"), _INSTANCE_CHANGE
        ),
        _point(
            "pre-set-instance-success",
            "InstanceChange:PreSetInstanceSuccess",
            _("Before setting instances to succeeded"),
            _INSTANCE_CHANGE,
        ),
        _point("pre-kill-instance", "InstanceChange:PreKillInstance", _("Before stopping instances"), _INSTANCE_CHANGE),
        _regular("node-change-created", "NodeChange:NodeChangeCreated", _("Tasks deployed"), _NODE_CHANGE),
        _regular("node-change-updated", "NodeChange:NodeChangeUpdated", _("Tasks changed"), _NODE_CHANGE),
        _regular("node-change-deleted", "NodeChange:NodeChangeDeleted", _("Tasks undeployed"), _NODE_CHANGE),
        _regular(
            "instance-status-changes",
            "InstanceStatusChanges:InstanceStatusChanges",
            _("Instances changed their status"),
            _STATUS_CHANGES,
        ),
        _regular(
            "dag-status-changes",
            "DagStatusChanges:DagStatusChanges",
            _("Workflow instances changed their status"),
            _DAG_STATUS,
        ),
        _regular("freeze-instance", "InstanceChange:FreezeInstance", _("Instances frozen"), _INSTANCE_CHANGE),
        _regular("unfreeze-instance", "InstanceChange:UnfreezeInstance", _("Instances unfrozen"), _INSTANCE_CHANGE),
        _regular("rerun-instance", "InstanceChange:RerunInstance", _("Instances rerun"), _INSTANCE_CHANGE),
        _regular(
            "set-instance-success",
            "InstanceChange:SetInstanceSuccess",
            _("Instances set to succeeded"),
            _INSTANCE_CHANGE,
        ),
        _regular("kill-instance", "InstanceChange:KillInstance", _("Instances stopped"), _INSTANCE_CHANGE),
        _regular(
            "delete-task-instance-dependencies",
            "InstanceChange:DeleteTaskInstanceDependencies",
            _("Dependencies of instances removed"),
            _DEPENDENCIES,
        ),
        _regular(
            "expired-task-instances-deleted",
            "InstanceChange:ExpiredTaskInstancesDeleted",
            _("Old instances removed"),
            _REMOVED,
        ),
    )
}

OF_STATUS = ("instance-status-changes", "dag-status-changes")
"""What the engine itself causes, without an operation."""
