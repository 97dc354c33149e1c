"""How tasks, instances and workspaces look in answers; names and types are those of tests/openapi/contract."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import F, QuerySet

from opscenter.openapi.wording import (
    ATTEMPT_STATE,
    DAG_TYPE_2020,
    KIND_2020,
    STATUS_2020,
    STATUS_2024,
    day_milliseconds,
    given,
    milliseconds,
    recurrence,
    run_number,
)
from opscenter.production import explaining, selectors
from opscenter.production.http_settings import shown
from opscenter.production.models import Attempt, ProductionWorkflow, Task, TaskInstance, TaskVersion
from opscenter.production.node_types import NODE_TYPES
from opscenter.production.rules.states import Kind, State
from opscenter.workspaces.models import Workspace
from opscenter.workspaces.roles import OWNER

Json = dict[str, Any]
Attempts = Mapping[int, Attempt]

_ALWAYS = ("1970-01-01 00:00:00", "9999-01-01 00:00:00")


def with_details(instances: QuerySet[TaskInstance]) -> QuerySet[TaskInstance]:
    """The instances with all that their shapes need, in one query."""
    return instances.select_related(
        "task__owner",
        "version",
        "workflow_instance__workflow",
        "workflow_instance__created_by",
        "resource_group",
        "workspace__tenant",
    ).defer("version__content")


def current_attempts(instances: Sequence[TaskInstance]) -> Attempts:
    """The attempt that each instance's state tells of, by the instance's id."""
    numbers = {instance.pk: run_number(instance) for instance in instances}
    latest = Attempt.objects.filter(instance__in=numbers, number=F("instance__attempt"))
    return {attempt.instance_id: attempt for attempt in latest if attempt.number == numbers[attempt.instance_id]}


def zone_of(instance: TaskInstance) -> ZoneInfo:
    """The time zone of the instance's tenant."""
    return ZoneInfo(instance.workspace.tenant.time_zone)


def parameters_text(instance: TaskInstance, attempt: Attempt | None) -> str:
    """Parameters as the attempt resolved them; before it starts, as they were written."""
    if attempt is not None and attempt.parameters:
        return " ".join(f"{name}={value}" for name, value in attempt.parameters.items())
    return instance.version.parameters


def _instance(instance: TaskInstance, attempt: Attempt | None) -> Json:
    """What every 2024 answer says of an instance."""
    family, creator = instance.workflow_instance, instance.workflow_instance.created_by
    return given(
        {
            "Id": instance.pk,
            "TaskId": instance.task.number,
            "TaskName": instance.task.name,
            "TaskType": NODE_TYPES[instance.node_type].wire,
            "Description": instance.task.description,
            "Owner": str(instance.task.owner.uid),
            "ProjectId": instance.workspace_id,
            "Status": STATUS_2024[State(instance.state)],
            "Bizdate": day_milliseconds(instance.bizdate, zone_of(instance)),
            "TriggerTime": milliseconds(instance.scheduled_at),
            "TriggerType": "Manual" if instance.kind == Kind.MANUAL else "Scheduler",
            "TriggerRecurrence": recurrence(instance),
            "PeriodNumber": instance.period,
            "RunNumber": run_number(instance),
            "Priority": instance.priority,
            "RerunMode": instance.version.rerun_mode,
            "Timeout": instance.version.timeout,
            "RuntimeResource": {"ResourceGroupId": instance.resource_group.name},
            "DataSource": _named(instance.data_source),
            "Runtime": None if attempt is None else {"Gateway": attempt.host, "ProcessId": str(attempt.pk)},
            "WorkflowId": _workflow_number(family.workflow),
            "WorkflowName": family.workflow.name if family.workflow else None,
            "WorkflowInstanceId": family.pk,
            "WorkflowInstanceType": family.type,
            "CreateTime": milliseconds(instance.created_at),
            "CreateUser": str(creator.uid) if creator else None,
            "ModifyTime": milliseconds(instance.state_at),
            "StartedTime": milliseconds(instance.started_at),
            "FinishedTime": milliseconds(instance.finished_at),
        }
    )


def _named(name: str) -> Json | None:
    return {"Name": name} if name else None


def _workflow_number(workflow: ProductionWorkflow | None) -> int:
    return workflow.number if workflow else ProductionWorkflow.PLAIN


def _waits(instance: TaskInstance) -> Json:
    return given(
        {
            "ProjectEnv": instance.environment,
            "UnifiedWorkflowInstanceId": instance.workflow_instance_id,
            "WaitingTriggerTime": milliseconds(instance.waiting_trigger_at),
            "WaitingResourceTime": milliseconds(instance.waiting_resource_at),
        }
    )


def listed_instances(instances: Sequence[TaskInstance]) -> list[Json]:
    """Entries of ListTaskInstances."""
    attempts = current_attempts(instances)
    return [_listed(instance, attempts.get(instance.pk)) for instance in instances]


def _listed(instance: TaskInstance, attempt: Attempt | None) -> Json:
    return _instance(instance, attempt) | _waits(instance) | {"ScriptParameters": parameters_text(instance, attempt)}


def instance_history(instance: TaskInstance) -> list[Json]:
    """An instance and its earlier runs as entries of ListTaskInstances, the latest run first."""
    number = run_number(instance)
    runs = {attempt.number: attempt for attempt in instance.attempts.all()}
    earlier = sorted((n for n in runs if n < number), reverse=True)
    return [_listed(instance, runs.get(number)), *(_earlier_run(instance, runs[n]) for n in earlier)]


def _earlier_run(instance: TaskInstance, attempt: Attempt) -> Json:
    entry = _listed(instance, attempt)
    for name in ("StartedTime", "FinishedTime", "WaitingTriggerTime", "WaitingResourceTime"):
        entry.pop(name, None)
    return entry | given(
        {
            "RunNumber": attempt.number,
            "Status": STATUS_2024[ATTEMPT_STATE[attempt.state]],
            "StartedTime": milliseconds(attempt.started_at),
            "FinishedTime": milliseconds(attempt.finished_at),
        }
    )


def instance_details(instance: TaskInstance, attempt: Attempt | None, version: TaskVersion) -> Json:
    """GetTaskInstance; ``version`` is the one that the current attempt runs, or would run."""
    return (
        _instance(instance, attempt)
        | _waits(instance)
        | {
            "Script": {
                "Content": shown(instance.node_type, version.content),
                "Parameters": parameters_text(instance, attempt),
            },
            "Inputs": {"Variables": []},
            "Outputs": outputs(instance.task),
            "Tags": [],
        }
    )


def related_instances(instances: Sequence[TaskInstance]) -> list[Json]:
    """Upstream or downstream instances."""
    attempts = current_attempts(instances)
    return [
        {"DependencyType": "Normal", "TaskInstance": _instance(i, attempts.get(i.pk)) | {"EnvType": i.environment}}
        for i in instances
    ]


def instances_2020(instances: Sequence[TaskInstance]) -> list[Json]:
    """Entries of the 2020 API's ListInstances."""
    attempts, failures = current_attempts(instances), explaining.failures(instances)
    return [
        instance_2020(one, attempts.get(one.pk)) | given({"ErrorMessage": failures.get(one.pk)}) for one in instances
    ]


def log(instance: TaskInstance, attempt: Attempt | None) -> str:
    """The log of an attempt; where there is none, why the instance is in its state."""
    if attempt is not None:
        return selectors.log_text(attempt)
    return explaining.told(selectors.explain_instance(instance))


def instance_2020(instance: TaskInstance, attempt: Attempt | None) -> Json:
    """What both instance answers of the 2020 API share."""
    family, creator = instance.workflow_instance, instance.workflow_instance.created_by
    workflow = _workflow_number(family.workflow)
    return given(
        {
            "InstanceId": instance.pk,
            "NodeId": instance.task.number,
            "NodeName": instance.task.name,
            "DagId": family.pk,
            "DagType": DAG_TYPE_2020[family.type],
            "BusinessId": workflow,
            "RelatedFlowId": workflow,
            "Status": STATUS_2020[State(instance.state)],
            "TaskType": KIND_2020[Kind.PAUSE if instance.frozen else Kind(instance.kind)],
            "Bizdate": day_milliseconds(instance.bizdate, zone_of(instance)),
            "CycTime": milliseconds(instance.scheduled_at),
            "Priority": instance.priority,
            "Repeatability": instance.version.rerun_mode != TaskVersion.RerunMode.ALL_DENIED,
            "RepeatInterval": instance.version.rerun_interval * 1000,
            "TaskRerunTime": instance.reruns_left,
            "ParamValues": parameters_text(instance, attempt),
            "Connection": instance.data_source or None,
            "CreateTime": milliseconds(instance.created_at),
            "CreateUser": str(creator.uid) if creator else None,
            "ModifyTime": milliseconds(instance.state_at),
            "BeginWaitResTime": milliseconds(instance.waiting_resource_at),
            "BeginRunningTime": milliseconds(instance.started_at),
            "FinishTime": milliseconds(instance.finished_at),
        }
    )


def outputs(task: Task) -> Json:
    """The output names of a task."""
    return {"TaskOutputs": [{"Output": output.name} for output in task.outputs.all()], "Variables": []}


def task(task: Task, zone: ZoneInfo) -> Json:
    """What GetTask and ListTasks share."""
    version = task.version
    if version is None:
        raise ValueError(f"task {task.number} was never published")
    return given(
        {
            "Id": task.number,
            "Name": task.name,
            "Description": task.description,
            "Type": task.type.wire,
            "Owner": str(task.owner.uid),
            "ProjectId": task.workspace_id,
            "ProjectEnv": task.environment,
            "WorkflowId": _workflow_number(task.workflow),
            "InstanceMode": version.instance_mode,
            "Priority": task.priority,
            "RerunMode": version.rerun_mode,
            "RerunTimes": version.rerun_times,
            "RerunInterval": version.rerun_interval,
            "Timeout": version.timeout,
            "RuntimeResource": {"ResourceGroupId": task.resource_group.name},
            "DataSource": _named(version.data_source),
            "Trigger": {
                "Type": task.trigger,
                "Cron": version.cron,
                "Recurrence": task.recurrence,
                "StartTime": _local(version.start_at, zone) or _ALWAYS[0],
                "EndTime": _local(version.end_at, zone) or _ALWAYS[1],
            },
            "CreateTime": milliseconds(task.created_at),
            "ModifyTime": milliseconds(task.modified_at),
            "ModifyUser": str(task.modified_by.uid) if task.modified_by else None,
        }
    )


def _local(moment: datetime | None, zone: ZoneInfo) -> str | None:
    return None if moment is None else f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def listed_task(row: Task, zone: ZoneInfo) -> Json:
    """An entry of ListTasks."""
    return task(row, zone) | {"ScriptParameters": row.version.parameters if row.version else ""}


def related_task(row: Task, zone: ZoneInfo) -> Json:
    """An upstream or downstream task."""
    shown = task(row, zone) | {"EnvType": row.environment}
    del shown["ProjectEnv"]
    return shown


def _script(row: Task, version: TaskVersion) -> Json:
    return {"Content": shown(row.node_type, version.content), "Parameters": version.parameters}


def task_details(row: Task, zone: ZoneInfo) -> Json:
    """GetTask."""
    return task(row, zone) | {
        "EnvType": row.environment,
        "Script": _script(row, row.version) if row.version else {},
        "Inputs": {"Variables": []},
        "Outputs": outputs(row),
        "Dependencies": [
            {"Type": edge.type, "UpstreamOutput": edge.output, "UpstreamTaskId": str(edge.upstream.number)}
            for edge in row.dependencies.select_related("upstream")
        ],
        "Tags": [],
    }


def projects(workspaces: Iterable[Workspace]) -> list[Json]:
    """Workspaces, whose members must be prefetched."""
    return [project(workspace) for workspace in workspaces]


def project(workspace: Workspace) -> Json:
    """A workspace as GetProject and ListProjects show it."""
    standard = workspace.mode == Workspace.Mode.STANDARD
    owner = next((member.user.uid for member in workspace.members.all() if OWNER in member.roles), None)
    return given(
        {
            "Id": workspace.pk,
            "Name": workspace.name,
            "DisplayName": workspace.display_name or workspace.name,
            "Description": workspace.description,
            "Owner": None if owner is None else str(owner),
            "Status": "Available",
            "DevEnvironmentEnabled": standard,
            "DevRoleDisabled": not standard,
            "PaiTaskEnabled": False,
            "AliyunResourceTags": [],
        }
    )
