"""One good call of each operation, on a small production."""

from datetime import UTC, datetime
from typing import Any

from opscenter.operations import backfills
from opscenter.operations.actor import Actor
from opscenter.operations.backfill_request import BackfillRequest
from opscenter.production.models import Attempt, Backfill, LogChunk, ResourceGroup, Task, TaskInstance, WorkflowInstance
from opscenter.production.rules.backfill import DateRange, Mode
from opscenter.production.rules.states import State
from opscenter.workspaces.models import AuditEntry
from tests.cast import BIZDATE, MIDNIGHT, Cast
from tests.openapi.guards import Guard, verdict
from tests.openapi.wire import V2020, V2024

Key = tuple[str, str]
LATER = {
    (V2024, "GetCreateWorkflowInstancesResult"): (V2024, "CreateWorkflowInstances"),
    (V2024, "GetRerunWorkflowInstancesResult"): (V2024, "RerunWorkflowInstances"),
}
"""Calls that need the OperationId of another one."""
VERDICTS = {(V2020, "UpdateWorkbenchEventResult"), (V2020, "CallbackExtension")}
"""Calls that the guard makes; all others an administrator."""


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def rerun_instance(cast: Cast) -> TaskInstance:
    """A shell instance in the middle of a small graph, rerun once, with a log."""
    workflow = cast.workflow()
    upstream = cast.task("gate", "http_trigger", workflow=workflow)
    task = cast.task("report", upstream=[upstream], workflow=workflow, version={"parameters": "day=$bizdate"})
    gate = cast.instance(upstream, State.SUCCESS)
    now = datetime.now(UTC)
    made = cast.instance(
        task, State.FAILURE, upstream=[gate], attempt=2, started_at=now, finished_at=now, waiting_resource_at=now
    )
    for number, state in ((1, "lost"), (2, "failure")):
        attempt = Attempt.objects.create(
            instance=made, number=number, state=state, claimed_at=now, started_at=now, host="h1",
            parameters={"day": "20261120"}, version=task.version,
        )  # fmt: skip
        LogChunk.objects.create(attempt=attempt, seq=0, bizdate=BIZDATE, text=f"run {number}\n")
    cast.instance(cast.task("mail", upstream=[task], workflow=workflow), State.NOT_RUN, upstream=[made])
    return made


def backfill(cast: Cast, task: Task, **how: Any) -> Backfill:
    """One that the administrator asked for, of one date."""
    day = DateRange(BIZDATE, BIZDATE)
    asked = BackfillRequest(mode=Mode.CURRENT, roots=(task.number,), ranges=(day,), **how)
    return backfills.job_of(
        backfills.ask(Actor(cast.admin, AuditEntry.Face.CONSOLE), cast.workspace, task.environment, asked)
    )


def calls(cast: Cast, instance: TaskInstance, guard: Guard) -> dict[Key, dict[str, Any]]:
    """One good call of each operation, in an order in which each succeeds; only the two that ask for
    a result (LATER) need what another one answers."""
    gate = instance.upstream_edges.get().upstream
    one, many = {"InstanceId": instance.pk, "ProjectEnv": "PROD"}, {"Ids": [instance.pk], "Comment": "because"}
    project, day = cast.workspace.pk, ms(MIDNIGHT) - 86_400_000
    smoke = {"Type": "SmokeTest", "ProjectId": project, "Name": "try", "WorkflowId": 1} | {
        "DefaultRunProperties": {"RootTaskIds": [instance.task.number]},
        "Periods": {"BizDates": [{"StartBizDate": "2026-11-20", "EndBizDate": "2026-11-20"}]},
    }
    trigger = {"TaskId": gate.task.number, "TriggerTime": ms(gate.scheduled_at)}
    run = {"NodeId": gate.task.number, "CycleTime": ms(gate.scheduled_at), "BizDate": day, "AppId": project}
    flow = cast.workflow("by_hand")
    by_hand = cast.task("by_hand", trigger="Manual", cron="", workflow=flow)
    cast.instance(by_hand, State.FAILURE, kind_of_run=WorkflowInstance.Type.MANUAL_WORKFLOW)
    first, second, third, fourth, fifth = (cast.task(name) for name in ("first", "second", "third", "fourth", "fifth"))
    passed, failed = (verdict(guard.asked()), verdict(guard.asked(), "FAIL"))
    failed["CheckMessage"] = "Not at night"
    job, ready = backfill(cast, cast.task("sixth")), backfill(cast, cast.task("seventh"), autostart=False)
    freeze = {"Trigger": {"Recurrence": "Pause"}}
    spare = ResourceGroup.objects.create(tenant=cast.tenant, name="spare", slots=2, created_by=cast.admin)
    spare.associations.create(workspace=cast.workspace)
    return {
        (V2024, "GetProject"): {"Id": project},
        (V2024, "ListProjects"): {"Names": [cast.workspace.name]},
        (V2024, "GetResourceGroup"): {"Id": spare.name},
        (V2024, "ListResourceGroups"): {"ProjectId": project, "Name": "spare"},
        (V2024, "AssociateProjectToResourceGroup"): {"ProjectId": project, "ResourceGroupId": spare.name},
        (V2024, "DissociateProjectFromResourceGroup"): {"ProjectId": project, "ResourceGroupId": spare.name},
        (V2024, "GetTask"): {"Id": instance.task.number},
        (V2024, "ListTasks"): {"ProjectId": project},
        (V2024, "ListUpstreamTasks"): {"Id": instance.task.number},
        (V2024, "ListDownstreamTasks"): {"Id": instance.task.number},
        (V2024, "ListTaskInstances"): {"ProjectId": project, "Bizdate": day},
        (V2024, "GetTaskInstance"): {"Id": instance.pk},
        (V2024, "GetTaskInstanceLog"): {"Id": instance.pk},
        (V2024, "ListUpstreamTaskInstances"): {"Id": instance.pk},
        (V2024, "ListDownstreamTaskInstances"): {"Id": instance.pk},
        (V2024, "TriggerSchedulerTaskInstance"): trigger,
        (V2024, "UpdateTaskInstances"): {"TaskInstances": [{"Id": instance.pk, "Priority": 7}], "Comment": "because"},
        (V2024, "RemoveTaskInstanceDependencies"): {"Id": instance.pk, "UpstreamTaskInstanceIds": [gate.pk]},
        (V2024, "RerunTaskInstances"): many | {"UseLatestConfig": True},
        (V2024, "SuspendTaskInstances"): many,
        (V2024, "ResumeTaskInstances"): many,
        (V2024, "StopTaskInstances"): many,
        (V2024, "SetSuccessTaskInstances"): many,
        (V2024, "RerunWorkflowInstances"): {
            "ProjectId": project, "Type": "ManualWorkflow", "WorkflowId": flow.number,
            "Filter": {"RerunDownstreamEnabled": True, "TaskInstanceStatuses": ["Failure"]},
        },
        (V2024, "CreateWorkflowInstances"): smoke,
        (V2024, "GetWorkflowInstance"): {"Id": instance.workflow_instance_id},
        (V2024, "ListWorkflowInstances"): {"ProjectId": project, "BizDate": day},
        (V2024, "StartWorkflowInstances"): {"Ids": [ready.dates.get().family_id]},
        (V2024, "StopWorkflowInstances"): {"Ids": [job.dates.get().family_id], "Comment": "because"},
        (V2020, "GetDag"): {"DagId": job.dates.get().family_id, "ProjectEnv": "PROD"},
        (V2020, "ListDags"): {"OpSeq": job.operation, "ProjectEnv": "PROD"},
        (V2020, "RunCycleDagNodes"): {
            "Name": "again", "ProjectEnv": "PROD", "RootNodeId": instance.task.number, "Parallelism": False,
            "IncludeNodeIds": str(instance.task.number),
            "StartBizDate": "2026-11-20 00:00:00", "EndBizDate": "2026-11-20 00:00:00",
        },
        (V2020, "GetInstance"): one,
        (V2020, "ListInstances"): {"ProjectId": project, "ProjectEnv": "PROD"},
        (V2020, "GetInstanceLog"): one,
        (V2020, "RunTriggerNode"): run,
        (V2020, "RestartInstance"): one,
        (V2020, "SuspendInstance"): one,
        (V2020, "ResumeInstance"): one,
        (V2020, "StopInstance"): one,
        (V2020, "SetSuccessInstance"): one,
        (V2020, "RunSmokeTest"): {
            "NodeId": instance.task.number, "ProjectEnv": "PROD", "Bizdate": "2026-11-20 00:00:00", "Name": "try",
        },
        (V2020, "RunManualDagNodes"): {
            "ProjectName": cast.workspace.name, "ProjectEnv": "PROD", "FlowName": flow.name, "BizDate": "2026-11-20 00:00:00",
        },
        (V2024, "UpdateTask"): {"Id": first.number} | freeze,
        (V2024, "BatchUpdateTasks"): {"Tasks": [{"Id": second.number} | freeze], "Comment": "because"},
        (V2024, "ListTaskOperationLogs"): {"Id": first.number},
        (V2020, "UpdateNodeRunMode"): {"NodeId": third.number, "ProjectEnv": "PROD", "SchedulerType": 2},
        (V2020, "UpdateNodeOwner"): {"NodeId": third.number, "ProjectEnv": "PROD", "UserId": str(cast.operator.uid)},
        (V2020, "OfflineNode"): {"NodeId": fourth.number, "ProjectId": project},
        (V2024, "DeleteTask"): {"Id": fifth.number},
        (V2020, "UpdateWorkbenchEventResult"): passed,
        (V2020, "CallbackExtension"): failed,
        (V2020, "GetExtension"): {"ExtensionCode": guard.code},
        (V2020, "GetOptionValueForProject"): {"ExtensionCode": guard.code, "ProjectId": project},
        (V2020, "ListExtensions"): {},
        (V2020, "ListEnabledExtensionsForProject"): {"ProjectId": project, "EventCode": "freeze-node"},
    }  # fmt: skip
