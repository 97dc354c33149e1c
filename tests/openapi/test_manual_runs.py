"""Running what is triggered manually, by either version of the API, and reading what came of it."""

from datetime import date, timedelta
from typing import Any

import pytest

from opscenter.base import clock
from opscenter.production.models import TaskInstance, WorkflowInstance
from opscenter.production.rules.states import Kind
from tests.cast import Cast
from tests.openapi.wire import V2020, Wire

DAY = {"BizDates": [{"StartBizDate": "2026-11-20", "EndBizDate": "2026-11-20"}]}


@pytest.fixture
def scene(cast: Cast) -> dict[str, Any]:
    """A manual workflow a -> b -> c, and a manual task outside of it."""
    workflow = cast.workflow("by_hand")
    a = cast.task("a", trigger="Manual", cron="", workflow=workflow)
    b = cast.task("b", trigger="Manual", cron="", workflow=workflow, upstream=[a])
    c = cast.task("c", trigger="Manual", cron="", workflow=workflow, upstream=[b])
    return {"workflow": workflow, "a": a, "b": b, "c": c, "loose": cast.task("loose", trigger="Manual", cron="")}


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Without what is None: clients send nothing for it."""
    return {name: value for name, value in values.items() if value is not None}


def create(wire: Wire, cast: Cast, kind: str, **values: Any) -> list[TaskInstance]:
    asked = {"ProjectId": cast.workspace.pk, "Name": "try", "Type": kind, "WorkflowId": 1, "Periods": DAY} | values
    operation = wire.call("CreateWorkflowInstances", **given(asked))["OperationId"]
    result = wire.call("GetCreateWorkflowInstancesResult", OperationId=operation)["Result"]
    assert result["Status"] == "Created" and len(result["WorkflowInstanceIds"]) == 1
    return list(TaskInstance.objects.filter(pk__in=result["WorkflowTaskInstanceIds"]).order_by("task__name"))


def test_a_workflow(wire: Wire, cast: Cast, scene: dict[str, Any]) -> None:
    made = create(wire, cast, "ManualWorkflow", WorkflowId=scene["workflow"].number, Comment="again")
    assert [one.task.name for one in made] == ["a", "b", "c"]
    assert {(one.bizdate, one.kind) for one in made} == {(date(2026, 11, 20), Kind.MANUAL)}
    (entry,) = wire.call("ListTaskInstances", ProjectId=cast.workspace.pk, Bizdate=1795132800000, Id=made[0].pk)[
        "PagingInfo"
    ]["TaskInstances"]
    assert (entry["WorkflowInstanceType"], entry["TriggerType"], entry["WorkflowId"]) == (
        "ManualWorkflow", "Manual", scene["workflow"].number
    )  # fmt: skip
    some = create(
        wire, cast, "manualworkflow", WorkflowId=scene["workflow"].number,
        DefaultRunProperties={"RootTaskIds": [scene["b"].number]},
    )  # fmt: skip
    assert [one.task.name for one in some] == ["b", "c"]


def test_tasks_of_yesterday_where_no_date_is_named(wire: Wire, cast: Cast, scene: dict[str, Any]) -> None:
    (made,) = create(wire, cast, "Manual", DefaultRunProperties={"RootTaskIds": [scene["loose"].number]}, Periods=None)
    assert made.bizdate == clock.now().date() - timedelta(days=1)
    assert made.workflow_instance.type == "Manual"


def test_the_older_api_runs_a_workflow_or_some_of_its_nodes(wire: Wire, cast: Cast, scene: dict[str, Any]) -> None:
    asked = {"ProjectName": cast.workspace.name, "ProjectEnv": "PROD", "FlowName": "by_hand"}
    days = {"StartBizDate": "2026-11-20 00:00:00", "EndBizDate": "2026-11-20 00:00:00"}
    some = {"IncludeNodeIds": f"{scene['a'].number}, {scene['c'].number}", "ExcludeNodeIds": str(scene["b"].number)}
    answer = wire.call("RunManualDagNodes", V2020, **asked, **days, **some)
    made = WorkflowInstance.objects.get(pk=answer["DagId"])
    kinds = {one.task.name: one.kind for one in made.task_instances.all()}
    assert kinds == {"a": Kind.MANUAL, "b": Kind.SKIP_UNCHOSEN, "c": Kind.MANUAL}
    listed = wire.call("ListInstances", V2020, ProjectId=cast.workspace.pk, ProjectEnv="PROD", DagId=made.pk)
    assert {entry["DagType"] for entry in listed["Data"]["Instances"]} == {"BUSINESS_PROCESS_DAG"}


def test_parameters_of_one_run(wire: Wire, cast: Cast, scene: dict[str, Any]) -> None:
    number, workflow = scene["a"].number, scene["workflow"].number
    given = {"WorkflowParameters": '{"day": "${yyyymm}"}', "TaskParameters": f'{{"{number}": "a=1 b=\'two words\'"}}'}
    stored = {"workflow": {"day": "${yyyymm}"}, "tasks": {str(number): {"a": "1", "b": "two words"}}}
    made = create(wire, cast, "ManualWorkflow", WorkflowId=workflow, **given)
    assert made[0].workflow_instance.parameters == stored
    days = {"BizDate": "2026-11-20 00:00:00"}
    asked = {"ProjectName": cast.workspace.name, "ProjectEnv": "PROD", "FlowName": "by_hand", **days}
    older = wire.call(
        "RunManualDagNodes",
        V2020,
        **asked,
        DagParameters=given["WorkflowParameters"],
        NodeParameters=f"{{{number}: \"a=1 b='two words'\"}}",
    )
    assert WorkflowInstance.objects.get(pk=older["DagId"]).parameters == stored


def test_tasks_say_how_they_are_triggered(wire: Wire, cast: Cast, scene: dict[str, Any]) -> None:
    daily = cast.task("daily")

    def names(**filters: Any) -> set[str]:
        found = wire.call("ListTasks", ProjectId=cast.workspace.pk, **filters)["PagingInfo"]["Tasks"]
        return {entry["Name"] for entry in found}

    assert names(TriggerType="Manual") == {"a", "b", "c", "loose"}
    assert names(TriggerType="Scheduler") == {"daily"}
    assert wire.call("GetTask", Id=daily.number)["Task"]["Trigger"]["Type"] == "Scheduler"
    assert wire.call("GetTask", Id=scene["a"].number)["Task"]["Trigger"]["Type"] == "Manual"


@pytest.mark.parametrize(
    ("kind", "changes", "code"),
    [
        ("ManualWorkflow", {"WorkflowId": 1}, "Invalid.Workflow.NotExist"),
        ("ManualWorkflow", {"EnvType": "Dev"}, "Invalid.Workflow.NotExist"),
        ("Manual", {"DefaultRunProperties": {"RootTaskIds": [1]}}, "Invalid.Task.NotExist"),
        ("Manual", {"DefaultRunProperties": None}, "MissingDefaultRunProperties.RootTaskIds"),
        ("Manual", {"Periods": DAY | {"StartTime": "01:00:00"}}, "InvalidPeriods.StartTime"),
        ("Manual", {"TaskParameters": '{"1": "a=b"}'}, "Invalid.Operation.Request"),
        ("Manual", {"TaskParameters": '{"1": "a"}'}, "InvalidTaskParameters"),
        ("Manual", {"TaskParameters": '["a=b"]'}, "InvalidTaskParameters"),
        ("Manual", {"TaskParameters": '{"a": "a=b"}'}, "InvalidTaskParameters"),
        ("ManualWorkflow", {"WorkflowParameters": '{"a": 1}'}, "InvalidWorkflowParameters"),
        ("ManualWorkflow", {"WorkflowParameters": "a"}, "InvalidWorkflowParameters"),
        ("ManualWorkflow", {"WorkflowParameters": '{"a": "$nonsense"}'}, "Invalid.Operation.Request"),
    ],
)
def test_runs_that_cannot_be(
    wire: Wire, cast: Cast, scene: dict[str, Any], kind: str, changes: dict[str, Any], code: str
) -> None:
    asked = {"WorkflowId": scene["workflow"].number, "DefaultRunProperties": {"RootTaskIds": [scene["a"].number]}}
    named = {"ProjectId": cast.workspace.pk, "Name": "try", "Type": kind, "Periods": DAY}
    answer = wire.try_call("CreateWorkflowInstances", **given(named | asked | changes))
    assert answer.code == code
    assert not WorkflowInstance.objects.exists()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"FlowName": "nowhere"}, "Invalid.Workflow.NotExist"),
        ({"ProjectName": "nowhere"}, "Invalid.Tenant.ProjectNotExists"),
        ({"ProjectId": 1}, "Invalid.Tenant.ProjectNotExists"),
        ({"BizDate": None}, "InvalidBizDate"),
        ({"EndBizDate": "2026-11-22 00:00:00"}, "InvalidBizDate"),
        ({"ExcludeNodeIds": "1"}, "InvalidExcludeNodeIds"),
        ({"IncludeNodeIds": "one"}, "InvalidIncludeNodeIds"),
        ({"IncludeNodeIds": "1"}, "Invalid.Operation.Request"),
        ({"NodeParameters": '{"1": "a=b"}'}, "Invalid.Operation.Request"),
        ({"NodeParameters": "a=b"}, "InvalidNodeParameters"),
        ({"DagParameters": '{"a": null}'}, "InvalidDagParameters"),
    ],
)
def test_older_runs_that_cannot_be(
    wire: Wire, cast: Cast, scene: dict[str, Any], changes: dict[str, Any], code: str
) -> None:
    asked = {"ProjectName": cast.workspace.name, "ProjectEnv": "PROD", "FlowName": "by_hand"}
    answer = wire.try_call("RunManualDagNodes", V2020, **(asked | {"BizDate": "2026-11-20 00:00:00"} | changes))
    assert answer.code == code
    assert not WorkflowInstance.objects.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Priority", 5),
        ("PriorityWeightStrategy", "Upstream"),
        ("RuntimeResource", "default"),
        ("Alert", {"Type": "Success"}),
        ("DataSourceNameMappings", {"a": "b"}),
    ],
)
@pytest.mark.parametrize("kind", ["Manual", "SmokeTest"])
def test_what_only_backfills_know_is_refused_not_ignored(
    cast: Cast, wire: Wire, kind: str, name: str, value: object
) -> None:
    task = cast.task("by_hand", trigger="Manual", cron="") if kind == "Manual" else cast.task("scheduled")
    answer = wire.try_call(
        "CreateWorkflowInstances", Type=kind, ProjectId=cast.workspace.pk, Name="now", WorkflowId=1,
        DefaultRunProperties={"RootTaskIds": [task.number], name: value},
        Periods={"BizDates": [{"StartBizDate": "2026-11-20", "EndBizDate": "2026-11-20"}]},
    )  # fmt: skip
    assert (answer.status, answer.code) == (400, f"InvalidDefaultRunProperties.{name}")
