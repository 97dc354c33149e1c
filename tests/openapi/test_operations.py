"""What the operations do, and to whom they answer what."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from opscenter.production.models import Attempt, LogChunk, Task, TaskDependency, TaskInstance, WorkflowInstance
from opscenter.production.rules.states import Kind, State
from opscenter.workspaces.models import Member, Workspace
from tests.cast import BIZDATE, MIDNIGHT, Cast
from tests.openapi.wire import V2020, Wire

DAY = timedelta(days=1)


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def ids(body: dict, plural: str = "TaskInstances") -> list[int]:
    return [entry["Id"] for entry in body["PagingInfo"][plural]]


# reading


def test_list_filters(wire: Wire, cast: Cast) -> None:
    workflow = cast.workflow("nightly")
    shell, gate = cast.task("Report_A", workflow=workflow), cast.task("gate_b", "http_trigger", owner=cast.developer)
    done = cast.instance(shell, State.SUCCESS, started_at=MIDNIGHT, finished_at=MIDNIGHT + DAY)
    claimed = cast.instance(shell, State.CLAIMED, scheduled_at=MIDNIGHT + timedelta(hours=1))
    frozen = cast.instance(gate, State.WAIT_TRIGGER, frozen=True)
    dry = cast.instance(shell, State.SUCCESS, scheduled_at=MIDNIGHT + timedelta(hours=2), kind=Kind.SKIP_CYCLE)
    smoke = cast.instance(shell, State.NOT_RUN, kind_of_run=WorkflowInstance.Type.SMOKE_TEST)
    cast.instance(shell, State.SUCCESS, bizdate=BIZDATE - DAY)
    cast.instance(cast.task("dev", environment="Dev"), State.SUCCESS)

    def found(**filters: Any) -> list[int]:
        named = {"ProjectId": cast.workspace.pk, "Bizdate": ms(MIDNIGHT - DAY)}
        return ids(wire.call("ListTaskInstances", **(named | filters)))

    everything = [smoke.pk, dry.pk, frozen.pk, claimed.pk, done.pk]
    assert found() == everything, "the latest first"
    assert found(Bizdate=ms(MIDNIGHT - timedelta(seconds=1))) == everything, "any moment of the day"
    assert found(SortBy="Id") == everything[::-1]
    assert found(SortBy="TriggerTime desc")[0] == dry.pk
    assert found(SortBy="FinishedTime Desc")[0] == done.pk, "what has no time comes last"
    assert found(PageSize=2, PageNumber=2) == everything[2:4]
    assert found(Status="WaitResource") == [claimed.pk]
    assert found(Status="WaitTrigger") == [frozen.pk]
    assert found(TriggerRecurrence="Pause") == [frozen.pk]
    assert found(TriggerRecurrence="Skip") == [dry.pk]
    assert found(TriggerRecurrence="Normal") == [smoke.pk, claimed.pk, done.pk]
    assert found(TriggerType="Manual") == []
    assert found(TaskName="report") == [smoke.pk, dry.pk, claimed.pk, done.pk]
    assert (
        found(TaskType="SCHEDULER_TRIGGER") == found(TaskId=gate.number) == found(TaskIds=[gate.number]) == [frozen.pk]
    )
    assert found(TaskType="ODPS_SQL") == []
    assert found(Owner=str(cast.developer.uid)) == [frozen.pk]
    assert found(WorkflowInstanceType="SmokeTest") == found(WorkflowInstanceId=smoke.workflow_instance_id) == [smoke.pk]
    assert found(WorkflowId=1) == [frozen.pk]
    assert found(WorkflowId=workflow.number, Ids=[done.pk, frozen.pk]) == [done.pk]
    assert found(RuntimeResource="default") == everything
    assert found(RuntimeResource="other") == []
    assert found(Filter={"startedTimeEnd": str(ms(MIDNIGHT))}) == [done.pk]
    assert found(Filter={"finishedTimeStart": ms(MIDNIGHT + 2 * DAY)}) == []
    assert len(found(ProjectEnv="DEV")) == 1


def test_business_date_is_a_day_of_the_tenant(wire: Wire, cast: Cast) -> None:
    type(cast.tenant).objects.filter(pk=cast.tenant.pk).update(time_zone="Asia/Shanghai")
    instance = cast.instance(cast.task())
    midnight = datetime(2026, 11, 19, 16, tzinfo=UTC)
    found = wire.call("ListTaskInstances", ProjectId=cast.workspace.pk, Bizdate=ms(midnight))
    assert ids(found) == [instance.pk]
    assert found["PagingInfo"]["TaskInstances"][0]["Bizdate"] == ms(midnight)
    earlier = wire.call("ListTaskInstances", ProjectId=cast.workspace.pk, Bizdate=ms(midnight) - 1)
    assert ids(earlier) == []


@pytest.fixture
def rerun(cast: Cast) -> TaskInstance:
    """Failed in its second run."""
    instance = cast.instance(cast.task(), State.FAILURE, attempt=2)
    for number, state in ((1, "lost"), (2, "failure")):
        attempt = Attempt.objects.create(
            instance=instance,
            number=number,
            state=state,
            claimed_at=MIDNIGHT,
            host=f"h{number}",
            version=instance.version,
        )
        LogChunk.objects.create(attempt=attempt, seq=0, bizdate=BIZDATE, text=f"run {number}\n")
    return instance


def test_history(wire: Wire, cast: Cast, rerun: TaskInstance) -> None:
    def runs(**params: Any) -> list[tuple]:
        named = {"ProjectId": cast.workspace.pk, "Bizdate": ms(MIDNIGHT - DAY), "Id": rerun.pk}
        body = wire.call("ListTaskInstances", **(named | params))
        return [
            (e["RunNumber"], e["Status"], e.get("Runtime", {}).get("Gateway"))
            for e in body["PagingInfo"]["TaskInstances"]
        ]

    assert runs() == [(2, "Failure", "h2"), (1, "Failure", "h1")]
    assert runs(PageSize=1, PageNumber=2) == [(1, "Failure", "h1")]
    TaskInstance.objects.filter(pk=rerun.pk).update(state=State.WAIT_RESOURCE)
    assert runs() == [(3, "WaitResource", None), (2, "Failure", "h2"), (1, "Failure", "h1")]


def test_logs(wire: Wire, rerun: TaskInstance, cast: Cast) -> None:
    def log(**params: Any) -> str:
        return wire.call("GetTaskInstanceLog", Id=rerun.pk, **params)["TaskInstanceLog"]

    assert (log(), log(RunNumber=2), log(RunNumber=1)) == ("run 2\n", "run 2\n", "run 1\n")
    answer = wire.try_call("GetTaskInstanceLog", Id=rerun.pk, RunNumber=3)
    assert (answer.status, answer.code) == (404, "Invalid.TaskInstance.RunNotExist")
    older = wire.call("GetInstanceLog", V2020, InstanceId=rerun.pk, ProjectEnv="PROD", InstanceHistoryId=1)
    assert older["Data"] == "run 1\n"


def test_the_log_of_what_has_not_run_says_why(wire: Wire, rerun: TaskInstance, cast: Cast) -> None:
    never_ran = cast.instance(cast.task("other"), State.NOT_RUN, upstream=[rerun], frozen=True)
    log = wire.call("GetTaskInstanceLog", Id=never_ran.pk)["TaskInstanceLog"]
    frozen, upstream, group = log.splitlines()
    assert frozen.startswith("The instance is frozen.")
    assert upstream == "1 of 1 upstream instance has not succeeded: task (Failed)."
    assert "No live worker serves" in group
    assert wire.call("GetInstanceLog", V2020, InstanceId=never_ran.pk, ProjectEnv="PROD")["Data"] == log


def test_the_2020_list_says_why_what_failed_did(wire: Wire, rerun: TaskInstance, cast: Cast) -> None:
    TaskInstance.objects.filter(pk=rerun.pk).update(reason={"code": "attempt.exit_code", "params": {"exit_code": 7}})
    entries = wire.call("ListInstances", V2020, ProjectId=cast.workspace.pk, ProjectEnv="PROD")["Data"]["Instances"]
    said = {entry["InstanceId"]: entry["ErrorMessage"] for entry in entries if "ErrorMessage" in entry}
    assert said == {rerun.pk: "Attempt 2 failed. The process ended with exit code 7."}


def test_neighbours(wire: Wire, cast: Cast) -> None:
    first, second = cast.instance(cast.task("a"), State.SUCCESS), cast.instance(cast.task("b"), State.RUNNING)
    last = cast.instance(cast.task("c"), State.NOT_RUN, upstream=[first, second])
    up = wire.call("ListUpstreamTaskInstances", Id=last.pk)["PagingInfo"]
    assert [e["TaskInstance"]["Id"] for e in up["UpstreamTaskInstances"]] == [first.pk, second.pk]
    assert [(e["Id"], e["StepType"]) for e in up["TaskInstances"]] == [(first.pk, "Normal"), (second.pk, "Normal")]
    down = wire.call("ListDownstreamTaskInstances", Id=first.pk)["PagingInfo"]
    assert [e["TaskInstance"]["Id"] for e in down["DownstreamTaskInstances"]] == [last.pk]
    assert up["TotalCount"] == 2 and down["TotalCount"] == 1
    hidden = Workspace.objects.create(tenant=cast.tenant, name="hidden")
    TaskInstance.objects.filter(pk=first.pk).update(workspace=hidden)
    assert wire.call("ListUpstreamTaskInstances", Id=last.pk)["PagingInfo"]["TotalCount"] == 1


def test_tasks(wire: Wire, cast: Cast) -> None:
    upstream = cast.task("root", "virtual", workflow=cast.workflow())
    task = cast.task("Child", upstream=[upstream], version={"parameters": "a=$bizdate"}, recurrence="Pause")
    cast.task("gone", status="Offline")

    def found(**filters: Any) -> list[int]:
        return ids(wire.call("ListTasks", ProjectId=cast.workspace.pk, **filters), "Tasks")

    assert found() == [task.number, upstream.number]
    assert found(SortBy="Id Asc") == [upstream.number, task.number]
    assert found(Name="chi") == found(Ids=[task.number]) == found(TaskType="DIDE_SHELL") == [task.number]
    assert found(TriggerRecurrence="Pause") == found(WorkflowId=1) == [task.number]
    assert found(TriggerType="Manual") == found(Owner="1") == found(ProjectEnv="Dev") == []
    shown = wire.call("GetTask", Id=task.number)["Task"]
    assert shown["Dependencies"] == [
        {
            "Type": "Normal",
            "UpstreamOutput": f"acme_daily.{upstream.number}_out",
            "UpstreamTaskId": str(upstream.number),
        }
    ]
    assert shown["Script"] == {"Content": "echo hello", "Parameters": "a=$bizdate"}
    assert shown["Trigger"] == {
        "Type": "Scheduler",
        "Cron": "00 00 00 * * ?",
        "Recurrence": "Pause",
        "StartTime": "1970-01-01 00:00:00",
        "EndTime": "9999-01-01 00:00:00",
    }
    answer = wire.try_call("GetTask", Id=task.number, ProjectEnv="Dev")
    assert (answer.status, answer.code) == (404, "Invalid.Task.NotExist")


def test_projects(wire: Wire, cast: Cast) -> None:
    basic = Workspace.objects.create(tenant=cast.tenant, name="basic", mode="basic")
    Member.objects.create(workspace=basic, user=cast.admin, roles=["role_project_guest"])
    Workspace.objects.create(tenant=cast.tenant, name="not-mine")

    def found(**filters: Any) -> list[int]:
        return ids(wire.call("ListProjects", **filters), "Projects")

    assert found() == [basic.pk, cast.workspace.pk]
    assert found(DevRoleDisabled=True) == found(Names=["basic"]) == [basic.pk]
    assert found(DevRoleDisabled=False) == found(DevEnvironmentEnabled=True) == [cast.workspace.pk]
    assert found(Status="Frozen") == found(PaiTaskEnabled=True) == found(AliyunResourceGroupId="rg") == []
    assert len(found(PaiTaskEnabled=False, Status="available")) == 2
    shown = wire.call("GetProject", Id=cast.workspace.pk)["Project"]
    assert (shown["Owner"], shown["DevEnvironmentEnabled"]) == (str(cast.owner.uid), True)


def test_states_of_the_older_api(wire: Wire, cast: Cast) -> None:
    gate = cast.instance(cast.task("gate", "http_trigger"), State.WAIT_TRIGGER)
    soon = cast.instance(cast.task(), State.WAIT_TIME, frozen=True)

    def found(**filters: Any) -> list[tuple]:
        body = wire.call("ListInstances", V2020, ProjectId=cast.workspace.pk, ProjectEnv="PROD", **filters)
        return [(e["InstanceId"], e["Status"], e["TaskType"]) for e in body["Data"]["Instances"]]

    everything = [(soon.pk, "WAIT_TIME", "PAUSE"), (gate.pk, "WAIT_TIME", "NORMAL")]
    assert found() == found(Status="WAIT_TIME") == found(Bizdate="2026-11-20 00:00:00") == everything
    assert found(OrderBy="CREATE_TIME_DESC") == found(BeginBizdate="2026-11-20", EndBizdate="2026-11-20") == everything
    assert found(ProgramType="SCHEDULER_TRIGGER") == found(NodeName="gate") == [everything[1]]
    assert found(NodeId=soon.task.number) == [everything[0]]
    assert found(Status="RUNNING") == found(Bizdate="2026-11-19") == found(BizName="no such") == []
    mine = wire.call("GetInstance", V2020, InstanceId=gate.pk, ProjectEnv="prod")["Data"]
    assert (mine["DagType"], mine["PeriodNumber"], mine["Owner"]) == ("DAILY", 1, str(cast.owner.uid))
    assert wire.try_call("GetInstance", V2020, InstanceId=gate.pk, ProjectEnv="DEV").status == 404


# operating


def test_batch_answers_for_each_id(wire: Wire, cast: Cast) -> None:
    failed, running = cast.instance(cast.task("a"), State.FAILURE), cast.instance(cast.task("b"), State.RUNNING)
    dev = cast.instance(cast.task("c", environment="Dev"), State.FAILURE)
    body = wire.call("SetSuccessTaskInstances", Ids=[failed.pk, running.pk, dev.pk, failed.pk, 12345], Comment="ok")
    info = body["SuccessInfo"]
    assert {number: entry["Success"] for number, entry in info.items()} == {
        str(failed.pk): True,
        str(running.pk): False,
        str(dev.pk): True,
        "12345": False,
    }
    assert info[str(failed.pk)]["Message"] == ""
    assert "Running" in info[str(running.pk)]["Message"]
    assert info["12345"]["Message"] == "There is no such instance in this workspace and environment."
    failed.refresh_from_db()
    assert failed.state == State.SUCCESS
    last = wire.call("GetTaskInstance", Id=failed.pk)["TaskInstance"]
    assert (last["OperationType"], last["ModifyUser"]) == ("set_success", str(cast.admin.uid))


@pytest.mark.parametrize(
    "action",
    [
        "StopTaskInstances",
        "RerunTaskInstances",
        "SetSuccessTaskInstances",
        "SuspendTaskInstances",
        "ResumeTaskInstances",
    ],
)
def test_who_may_operate(cast: Cast, action: str) -> None:
    state = State.WAIT_RESOURCE if action == "StopTaskInstances" else State.FAILURE
    frozen = action == "ResumeTaskInstances"
    instance = cast.instance(cast.task(owner=cast.developer), state, frozen=frozen)
    refused = Wire(cast.visitor).try_call(action, Ids=[instance.pk])
    assert (refused.status, refused.code) == (403, "ResourceNotAuthorized.Api")
    assert "instance.operate" in refused.message
    stranger = Wire(cast.stranger).call(action, Ids=[instance.pk])["SuccessInfo"]
    assert stranger[str(instance.pk)]["Success"] is False, "to strangers it does not exist"
    foreign = cast.instance(cast.task("foreign"), state, frozen=frozen)
    info = Wire(cast.developer).call(action, Ids=[instance.pk, foreign.pk])["SuccessInfo"]
    assert [entry["Success"] for entry in info.values()] == [True, False], "developers: what they own"
    assert "instance.operate" in info[str(foreign.pk)]["Message"]


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ("RestartInstance", {"state": State.FAILURE}, {"state": State.WAIT_RESOURCE}),
        ("StopInstance", {"state": State.WAIT_RESOURCE}, {"state": State.FAILURE}),
        ("SetSuccessInstance", {"state": State.FAILURE}, {"state": State.SUCCESS}),
        ("SuspendInstance", {"state": State.WAIT_RESOURCE}, {"frozen": True}),
        ("ResumeInstance", {"state": State.WAIT_RESOURCE, "frozen": True}, {"frozen": False}),
    ],
)
def test_operations_of_the_older_api(cast: Cast, action: str, before: dict, after: dict) -> None:
    instance = cast.instance(cast.task(), **before)
    one: dict[str, Any] = {"InstanceId": instance.pk, "ProjectEnv": "PROD"}
    assert Wire(cast.visitor).try_call(action, V2020, **one).status == 403
    stranger = Wire(cast.stranger).try_call(action, V2020, **one)
    assert (stranger.status, stranger.code) == (404, "Invalid.TaskInstance.NotExist")
    wire = Wire(cast.operator)
    body = wire.call(action, V2020, **one)
    assert (body["Data"], body["Success"], body["HttpStatusCode"]) == (True, True, 200)
    instance.refresh_from_db()
    assert {name: getattr(instance, name) for name in after} == after
    again = wire.try_call(action, V2020, **one)
    assert (again.status, again.code) == (409, "Invalid.Operation.Refused"), "a refusal is an HTTP error"


# smoke tests


def smoke(cast: Cast, number: int, **changes: Any) -> dict:
    return {
        "ProjectId": cast.workspace.pk,
        "Name": "try",
        "Type": "SmokeTest",
        "WorkflowId": 1,
        "DefaultRunProperties": {"RootTaskIds": [number]},
        "Periods": {"BizDates": [{"StartBizDate": "2026-11-20", "EndBizDate": "2026-11-20"}]},
    } | changes


def test_smoke_test(wire: Wire, cast: Cast) -> None:
    task = cast.task(cron="00 30 06 * * ?")
    operation_id = wire.call("CreateWorkflowInstances", **smoke(cast, task.number))["OperationId"]
    result = wire.call("GetCreateWorkflowInstancesResult", OperationId=operation_id)["Result"]
    instance = TaskInstance.objects.get(pk=result["WorkflowTaskInstanceIds"][0])
    assert (instance.bizdate, instance.task_id) == (date(2026, 11, 20), task.pk)
    assert instance.scheduled_at == datetime(2026, 11, 21, 6, 30, tzinfo=UTC), "the task's own time of day"
    older = wire.call(
        "RunSmokeTest", V2020, NodeId=task.number, ProjectEnv="PROD", Bizdate="2026-11-20 00:00:00", Name="n"
    )
    assert WorkflowInstance.objects.get(pk=older["Data"]).type == "SmokeTest"
    for text in ("day=$bizdate b=2", f'{{{task.number}: "day=$bizdate b=2"}}'):
        with_parameters = wire.call(
            "RunSmokeTest", V2020, NodeId=task.number, ProjectEnv="PROD", Bizdate="2026-11-20 00:00:00", Name="n",
            NodeParams=text,
        )  # fmt: skip
        stored = WorkflowInstance.objects.get(pk=with_parameters["Data"]).parameters
        assert stored == {"tasks": {str(task.number): {"day": "$bizdate", "b": "2"}}}
    operation = wire.call("CreateWorkflowInstances", **smoke(cast, task.number, WorkflowParameters="day=1"))
    (made,) = wire.call("GetCreateWorkflowInstancesResult", OperationId=operation["OperationId"])["Result"][
        "WorkflowInstanceIds"
    ]
    assert WorkflowInstance.objects.get(pk=made).parameters == {"workflow": {"day": "1"}}
    hidden = Wire(cast.stranger).try_call("GetCreateWorkflowInstancesResult", OperationId=operation_id)
    assert (hidden.status, hidden.code) == (404, "Invalid.WorkflowInstance.OperationNotExist")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Type": "TriggerWorkflow"}, "InvalidType"),
        ({"AutoStartEnabled": False}, "InvalidAutoStartEnabled"),
        ({"TaskParameters": '{"1": "a=b"}'}, "Invalid.Operation.Request"),
        ({"TaskParameters": "a=b"}, "InvalidTaskParameters"),
        ({"DefaultRunProperties": {"RootTaskIds": [1, 2]}}, "InvalidDefaultRunProperties.RootTaskIds"),
        ({"DefaultRunProperties": {}}, "MissingDefaultRunProperties.RootTaskIds"),
        (
            {"Periods": {"BizDates": [{"StartBizDate": "2026-11-20", "EndBizDate": "2026-11-21"}]}},
            "InvalidPeriods.BizDates",
        ),
        (
            {"Periods": {"BizDates": [{"StartBizDate": "9999-12-31", "EndBizDate": "9999-12-31"}]}},
            "Invalid.Operation.Request",
        ),
        (
            {"Periods": {"BizDates": [{"StartBizDate": "0001-01-01", "EndBizDate": "0001-01-01"}]}},
            "Invalid.Operation.Request",
        ),
        ({"Periods": "2026-11-20"}, "InvalidPeriods"),
        ({"EnvType": "Dev"}, "Invalid.Task.NotExist"),
    ],
)
def test_smoke_tests_that_cannot_be(wire: Wire, cast: Cast, changes: dict, code: str) -> None:
    answer = wire.try_call("CreateWorkflowInstances", **smoke(cast, cast.task().number, **changes))
    assert answer.code == code
    assert not WorkflowInstance.objects.exists()


@pytest.mark.parametrize("bizdate", ["9999-12-31", "0001-01-01"])
def test_the_older_api_refuses_dates_out_of_reach_too(wire: Wire, cast: Cast, bizdate: str) -> None:
    answer = wire.try_call(
        "RunSmokeTest", V2020, NodeId=cast.task().number, ProjectEnv="PROD", Bizdate=bizdate, Name="n"
    )
    assert (answer.status, answer.code) == (400, "Invalid.Operation.Request")
    assert f"{bizdate} is more than ten years away" in answer.message


def test_who_may_test(cast: Cast) -> None:
    task = cast.task(owner=cast.developer)
    assert Wire(cast.visitor).try_call("CreateWorkflowInstances", **smoke(cast, task.number)).status == 403
    assert Wire(cast.stranger).try_call("CreateWorkflowInstances", **smoke(cast, task.number)).status == 404
    assert Wire(cast.developer).try_call("CreateWorkflowInstances", **smoke(cast, task.number)).status == 200


def test_strangers_learn_nothing(cast: Cast) -> None:
    instance = cast.instance(cast.task())
    stranger = Wire(cast.stranger)
    project: dict[str, Any] = {"ProjectId": cast.workspace.pk}
    calls: list[tuple[str, dict[str, Any], str]] = [
        ("GetProject", {"Id": cast.workspace.pk}, "Invalid.Tenant.ProjectNotExists"),
        ("ListTasks", project, "Invalid.Tenant.ProjectNotExists"),
        ("ListTaskInstances", project | {"Bizdate": ms(MIDNIGHT)}, "Invalid.Tenant.ProjectNotExists"),
        ("GetTask", {"Id": instance.task.number}, "Invalid.Task.NotExist"),
        ("GetTaskInstance", {"Id": instance.pk}, "Invalid.TaskInstance.NotExist"),
        ("GetTaskInstanceLog", {"Id": instance.pk}, "Invalid.TaskInstance.NotExist"),
        ("ListUpstreamTaskInstances", {"Id": instance.pk}, "Invalid.TaskInstance.NotExist"),
        ("ListDownstreamTaskInstances", {"Id": instance.pk}, "Invalid.TaskInstance.NotExist"),
    ]
    for action, params, code in calls:
        answer = stranger.try_call(action, **params)
        assert (answer.status, answer.code) == (404, code)
    assert stranger.call("ListProjects")["PagingInfo"]["TotalCount"] == 0


def test_a_sql_task_names_its_data_source(wire: Wire, cast: Cast) -> None:
    task = cast.task("report", "sql", version={"data_source": "warehouse"})
    shell = cast.task("other")
    instance = cast.instance(task)
    named: dict[str, Any] = {"ProjectId": cast.workspace.pk}
    expected = ("SQL", {"Name": "warehouse"})
    details = wire.call("GetTask", Id=task.number)["Task"]
    assert (details["Type"], details["DataSource"]) == expected
    listed = {entry["Id"]: entry for entry in wire.call("ListTasks", **named)["PagingInfo"]["Tasks"]}
    assert listed[task.number]["DataSource"] == expected[1] and "DataSource" not in listed[shell.number]
    shown = wire.call("GetTaskInstance", Id=instance.pk)["TaskInstance"]
    assert (shown["TaskType"], shown["DataSource"]) == expected
    (entry,) = wire.call("ListTaskInstances", **named, Bizdate=ms(MIDNIGHT - DAY))["PagingInfo"]["TaskInstances"]
    assert entry["DataSource"] == expected[1]
    old = wire.call("GetInstance", V2020, InstanceId=instance.pk, ProjectEnv="PROD")["Data"]
    assert old["Connection"] == "warehouse"


def test_neighbours_of_tasks(wire: Wire, cast: Cast) -> None:
    up, before = cast.task("up"), cast.task("before")
    task = cast.task("task", upstream=[up])
    kinds = TaskDependency.Type
    for upstream, kind in ((before, kinds.OTHER), (task, kinds.SELF), (task, kinds.CHILDREN)):
        TaskDependency.objects.create(task=task, upstream=upstream, type=kind, output="x")
    down = cast.task("down", upstream=[task])
    cast.task("gone", upstream=[task], status="Offline")

    def listed(action: str, of: Task, **params: Any) -> dict[str, str]:
        paging = wire.call(action, Id=of.number, **params)["PagingInfo"]
        plural = action.removeprefix("List")
        assert [entry["Task"]["Id"] for entry in paging[plural]] == [entry["Id"] for entry in paging["Tasks"]]
        assert [entry["DependencyType"] for entry in paging[plural]] == [entry["StepType"] for entry in paging["Tasks"]]
        assert paging["TotalCount"] == len(paging["Tasks"]) or "PageSize" in params
        return {entry["Task"]["Name"]: entry["DependencyType"] for entry in paging[plural]}

    assert listed("ListUpstreamTasks", task) == {"up": "Normal", "before": "CrossCycle", "down": "CrossCycle"}
    assert listed("ListDownstreamTasks", task) == {"down": "Normal"}
    assert listed("ListDownstreamTasks", before) == {"task": "CrossCycle"}
    assert listed("ListDownstreamTasks", down) == {"task": "CrossCycle"}
    assert listed("ListUpstreamTasks", down) == {"task": "Normal"}
    assert len(listed("ListUpstreamTasks", task, PageSize=1, PageNumber=2)) == 1
    assert wire.try_call("ListUpstreamTasks", Id=task.number, ProjectEnv="Dev").code == "Invalid.Task.NotExist"


def test_neighbours_of_tasks_elsewhere_are_not_told(wire: Wire, cast: Cast) -> None:
    other = Workspace.objects.create(tenant=cast.tenant, name="elsewhere")
    task = cast.task()
    cast.task("foreign", upstream=[task], workspace=other)
    assert wire.call("ListDownstreamTasks", Id=task.number)["PagingInfo"]["TotalCount"] == 0
    Member.objects.create(workspace=other, user=cast.admin, roles=["role_project_guest"])
    assert wire.call("ListDownstreamTasks", Id=task.number)["PagingInfo"]["TotalCount"] == 1
