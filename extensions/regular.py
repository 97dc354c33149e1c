"""What regular events say: of instances and workflow instances whose status changed, of operations that were done, of tasks
that were deployed, changed and undeployed (spec/extensions.md 4.5 to 4.9, 4.11)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from extensions.points import About, Point
from opscenter.production.models import Environment, ProductionWorkflow, Recurrence, Task, TaskVersion, WorkflowInstance
from opscenter.production.node_types import NODE_TYPES, SHELL
from opscenter.production.rules.states import Kind, State
from opscenter.workspaces.models import User, Workspace

STATUS: Mapping[State, int] = {
    **{state: int(state) for state in State if state <= State.CHECKING_CONDITION},
    State.WAIT_TRIGGER: int(State.WAIT_TIME),  # DataWorks has eight
    State.CLAIMED: int(State.WAIT_RESOURCE),
}
"""The messages' number of a state."""
_SCHEDULER_TYPE = {Recurrence.NORMAL: "NORMAL", Recurrence.PAUSE: "PAUSE", Recurrence.SKIP: "SKIP"}
_DAG_TYPE = {
    WorkflowInstance.Type.NORMAL: 0,
    WorkflowInstance.Type.MANUAL: 1,
    WorkflowInstance.Type.SMOKE_TEST: 2,
    WorkflowInstance.Type.BACKFILL: 3,
    WorkflowInstance.Type.MANUAL_WORKFLOW: 5,
}
_PLAIN_FLOW = "ATCLOUD_FLOW"
"""DataWorks' name of the workflow of what is in none."""


@dataclass(frozen=True)
class Family:
    """A workflow instance, as messages name it."""

    id: int
    type: str
    environment: str
    name: str
    bizdate: Any
    created_at: datetime
    flow: int | None
    flow_name: str | None
    creator: int | None

    @property
    def dag_type(self) -> int:
        return _DAG_TYPE[WorkflowInstance.Type(self.type)]

    @property
    def flow_number(self) -> int:
        return ProductionWorkflow.PLAIN if self.flow is None else self.flow


@dataclass(frozen=True)
class StatusChange:
    """One change of an instance's state.

    Attributes:
        at: when.
        began_waiting_at: when it began to wait for its time, if it did.
    """

    instance: int
    node: int
    family: Family
    kind: int
    frozen: bool
    after: State
    at: datetime
    created_at: datetime
    began_waiting_at: datetime | None
    waiting_resource_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None


def instance_status(change: StatusChange, workspace: int, tenant: int) -> dict[str, Any]:
    """instance-status-changes: the workspace is ``appId``; moments that have not come are left out."""
    moments = {
        "createTime": change.created_at,
        "modifyTime": change.at,
        "beginWaitTimeTime": change.began_waiting_at,
        "beginWaitResTime": change.waiting_resource_at,
        "beginRunningTime": change.started_at,
        "finishTime": change.finished_at,
    }
    return {
        "taskId": change.instance,
        "nodeId": change.node,
        "dagId": change.family.id,
        "dagType": change.family.dag_type,
        "taskType": int(Kind.PAUSE) if change.frozen else Kind(change.kind).wire,
        "status": STATUS[change.after],
        "flowId": change.family.flow_number,
        "appId": workspace,
        "tenantId": tenant,
        "opCode": 0,
        **{name: _milliseconds(at) for name, at in moments.items() if at is not None},
    }


def dag_status(family: Family, status: int, workspace: int, tenant: int, zone: ZoneInfo) -> dict[str, Any]:
    """dag-status-changes; moments are text in the tenant's time."""
    return {
        "dagId": family.id,
        "dagName": family.name,
        "dagType": family.dag_type,
        "status": status,
        "bizDate": f"{datetime.combine(family.bizdate, time()):%Y-%m-%d %H:%M:%S}",
        "createTime": f"{family.created_at.astimezone(zone):%Y-%m-%d %H:%M:%S}",
        "flowId": family.flow_number,
        "flowName": family.flow_name or _PLAIN_FLOW,
        "operator": "" if family.creator is None else str(family.creator),
        "projectEnv": family.environment.upper(),
        "projectId": workspace,
        "tenantId": tenant,
    }


def instances_operated(
    ids: Sequence[int], operator: User, workspace: int, tenant: int, environment: str
) -> dict[str, Any]:
    """freeze-, unfreeze-, kill-, rerun-instance and set-instance-success: all instances of an operation."""
    return {
        "operator": str(operator.uid),
        "projectId": workspace,
        "projectType": environment.upper(),
        "taskIds": list(ids),
        "tenantId": tenant,
    }


def dependencies_removed(
    instance: int, upstream: Sequence[int], operator: User, workspace: int, tenant: int, at: datetime
) -> dict[str, Any]:
    """delete-task-instance-dependencies: one instance, and what it does not wait for any more."""
    return {
        "taskInstanceId": instance,
        "upstreamTaskInstanceIds": list(upstream),
        "operator": str(operator.uid),
        "operationTime": _milliseconds(at),
        "appId": workspace,
        "tenantId": tenant,
        "blockBusiness": False,
    }


def instances_removed(ids: Sequence[int], owner: int, workspace: int, tenant: int, at: datetime) -> dict[str, Any]:
    """expired-task-instances-deleted: old instances of one owner's tasks.

    Args:
        owner: the owner's uid.
    """
    return {
        "deletedTaskInstanceIds": list(ids),
        "owner": str(owner),
        "operationTime": _milliseconds(at),
        "appId": workspace,
        "tenantId": tenant,
        "blockBusiness": False,
    }


def node(task: Task, operator: User | None) -> dict[str, Any]:
    """node-change-created, -updated and -deleted: a task as it is now. There are no baselines: their id is 0."""
    version = task.version
    return {
        "nodeId": task.number,
        "nodeName": task.name,
        "programType": NODE_TYPES[task.node_type].wire,
        "cronExpress": version.cron if version else "",
        "schedulerType": _scheduler_type(task),
        "ownerId": str(task.owner.uid),
        "operator": "" if operator is None else str(operator.uid),
        "priority": task.priority,
        "baselineId": 0,
        "repeatability": version is not None and version.rerun_mode != TaskVersion.RerunMode.ALL_DENIED,
        "createTime": _milliseconds(task.created_at),
        "modifyTime": _milliseconds(task.modified_at),
        "projectId": task.workspace_id,
        "tenantId": task.workspace.tenant_id,
        "blockBusiness": False,
    }


def _scheduler_type(task: Task) -> str:
    """A manual task that is not frozen has a word of its own."""
    is_manual = task.trigger == Task.Trigger.MANUAL and task.recurrence != Recurrence.PAUSE
    return "MANUAL" if is_manual else _SCHEDULER_TYPE[Recurrence(task.recurrence)]


def _milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def sample(point: Point, workspace: Workspace, operator: User, at: datetime) -> dict[str, Any]:
    """What a message at a regular point says, about nothing: its members and their kinds."""
    family = Family(0, WorkflowInstance.Type.BACKFILL, PRODUCTION, "", at.date(), at, None, None, operator.uid)
    match point.about:
        case About.TASKS:
            task = Task(number=0, name="", node_type=SHELL.code, owner=operator, workspace=workspace)
            task.created_at = task.modified_at = at
            return node(task, operator)
        case About.STATUS:
            change = StatusChange(0, 0, family, Kind.NORMAL, False, State.SUCCESS, at, at, at, at, at, at)
            return instance_status(change, workspace.pk, workspace.tenant_id)
        case About.WORKFLOW:
            zone = ZoneInfo(workspace.tenant.time_zone)
            return dag_status(family, State.SUCCESS, workspace.pk, workspace.tenant_id, zone)
        case About.DEPENDENCIES:
            return dependencies_removed(0, [], operator, workspace.pk, workspace.tenant_id, at)
        case About.REMOVED:
            return instances_removed([], operator.uid, workspace.pk, workspace.tenant_id, at)
        case _:
            return instances_operated([], operator, workspace.pk, workspace.tenant_id, PRODUCTION)


PRODUCTION = Environment.PROD
"""Of tasks and of instances' status, only production is told of: those messages do not name an environment."""
