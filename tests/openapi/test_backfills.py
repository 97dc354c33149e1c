"""Backfills by both versions of the API, with the official clients and on the bare wire."""

import json
from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from alibabacloud_dataworks_public20200518 import models as m20
from alibabacloud_dataworks_public20200518.client import Client as Client20
from alibabacloud_dataworks_public20240518 import models as m24
from alibabacloud_dataworks_public20240518.client import Client as Client24

from opscenter.engine import advance, backfill_make
from opscenter.production.models import Backfill, Task, TaskInstance
from opscenter.production.rules.states import Kind, State
from tests.openapi.test_clients import config, no_proxies
from tests.openapi.wire import V2020, V2024, Wire
from tests.operations.guarded import Guarded, check_of, say

__all__ = ["no_proxies"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def cast(transactional_db: None) -> Guarded:
    return Guarded()


@pytest.fixture
def line(cast: Guarded) -> list[Task]:
    a = cast.task("a")
    b = cast.task("b", upstream=[a])
    return [a, b, cast.task("c", upstream=[b])]


@pytest.fixture
def wire(cast: Guarded) -> Wire:
    return Wire(cast.operator)


def call(cast: Guarded, *roots: Task, **properties: Any) -> dict[str, Any]:
    """A call of CreateWorkflowInstances for two business dates."""
    given = {"RootTaskIds": [task.number for task in roots], "Mode": "General", "Order": "Asc", "Parallelism": 1}
    return {
        "Type": "SupplementData", "ProjectId": cast.workspace.pk, "Name": "again", "WorkflowId": 1,
        "Periods": {"BizDates": [{"StartBizDate": "2026-11-01", "EndBizDate": "2026-11-02"}]},
        "DefaultRunProperties": {name: value for name, value in (given | properties).items() if value != []},
    }  # fmt: skip


def create(wire: Wire, **given: Any) -> tuple[dict[str, Any], Backfill]:
    answer = wire.call("CreateWorkflowInstances", **given)
    found = wire.call("GetCreateWorkflowInstancesResult", OperationId=answer["OperationId"])["Result"]
    return found, Backfill.objects.latest("pk")


def names(job: Backfill) -> dict[str, Kind]:
    turns = job.dates.exclude(turn=None).values("turn")
    found = TaskInstance.objects.filter(workflow_instance__backfill_date__backfill=job).exclude(pk__in=turns)
    return {one.task.name: Kind(one.kind) for one in found.select_related("task")}


def test_the_official_client_of_2024(cast: Guarded, line: list[Task], live_server: Any) -> None:
    client = Client24(config(Wire(cast.operator), live_server.url.removeprefix("http://")))
    asked = m24.CreateWorkflowInstancesRequest(
        project_id=cast.workspace.pk,
        name="lost week",
        type="SupplementData",
        workflow_id=1,
        env_type="Prod",
        comment="the source was late",
        periods=m24.CreateWorkflowInstancesRequestPeriods(
            biz_dates=[
                m24.CreateWorkflowInstancesRequestPeriodsBizDates(
                    start_biz_date="2026-11-01", end_biz_date="2026-11-03"
                )
            ],
            start_time="00:00:00",
            end_time="23:59:59",
        ),
        default_run_properties=m24.CreateWorkflowInstancesRequestDefaultRunProperties(
            mode="ManualSelection",
            order="Asc",
            parallelism=2,
            root_task_ids=[line[0].number],
            include_task_ids=[line[0].number, line[2].number],
            priority=5,
            analysis=m24.CreateWorkflowInstancesRequestDefaultRunPropertiesAnalysis(enabled=True, blocked=True),
        ),
        task_parameters=json.dumps({str(line[0].number): "day=$bizdate"}),
    )
    operation = client.create_workflow_instances(asked).body.operation_id
    result = client.get_create_workflow_instances_result(
        m24.GetCreateWorkflowInstancesResultRequest(operation_id=operation)
    ).body.result
    job = Backfill.objects.get()
    assert result.status == "Created"
    assert result.workflow_instance_ids == [one.family_id for one in job.dates.order_by("position")]
    assert len(result.workflow_task_instance_ids) == 9
    assert names(job) == {"a": Kind.NORMAL, "b": Kind.SKIP_UNCHOSEN, "c": Kind.NORMAL}
    family = job.dates.get(position=0).family
    assert family is not None
    assert family.parameters["tasks"] == {str(line[0].number): {"day": "$bizdate"}}
    shown = client.get_workflow_instance(m24.GetWorkflowInstanceRequest(id=family.pk)).body.workflow_instance
    assert (shown.name, shown.type, shown.status) == ("lost week", "SupplementData", "Running")
    advance.finish(
        list(family.task_instances.filter(state=State.WAIT_RESOURCE).values_list("pk", flat=True)),
        {State.WAIT_RESOURCE},
        State.SUCCESS,
    )
    advance.drain()
    listed = client.list_workflow_instances(
        m24.ListWorkflowInstancesRequest(
            project_id=cast.workspace.pk,
            biz_date=round(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1000),
            type="SupplementData",
        )
    ).body.paging_info
    assert [one.id for one in listed.workflow_instances] == [family.pk]
    inside = client.list_task_instances(
        m24.ListTaskInstancesRequest(
            project_id=cast.workspace.pk,
            bizdate=round(datetime(2026, 11, 3, tzinfo=UTC).timestamp() * 1000),
            workflow_instance_id=result.workflow_instance_ids[2],
        )
    ).body.paging_info.task_instances
    assert {one.task_name for one in inside} == {"a", "b", "c"}


def test_the_official_client_of_2020(cast: Guarded, line: list[Task], live_server: Any) -> None:
    client = Client20(config(Wire(cast.operator), live_server.url.removeprefix("http://")))
    answer = client.run_cycle_dag_nodes(
        m20.RunCycleDagNodesRequest(
            name="xm_test",
            project_env="PROD",
            root_node_id=line[0].number,
            include_node_ids=f"{line[0].number},{line[2].number}",
            exclude_node_ids=str(line[1].number),
            start_biz_date="2026-11-01 00:00:00",
            end_biz_date="2026-11-02 00:00:00",
            parallelism=False,
            node_params=f'{{{line[0].number}:"a=123 b=456"}}',
        )
    ).body
    assert answer.success is True
    job = Backfill.objects.get()
    assert answer.data == [one.family_id for one in job.dates.order_by("position")]
    assert names(job) == {"a": Kind.NORMAL, "b": Kind.SKIP_UNCHOSEN, "c": Kind.NORMAL}
    assert job.request["parameters"]["tasks"] == {str(line[0].number): {"a": "123", "b": "456"}}
    dag = client.get_dag(m20.GetDagRequest(dag_id=answer.data[0], project_env="PROD")).body.data
    assert (dag.type, dag.status, dag.name) == ("SUPPLY_DATA", "RUNNING", "xm_test")
    inside = client.list_instances(
        m20.ListInstancesRequest(project_id=cast.workspace.pk, project_env="PROD", dag_id=answer.data[1])
    ).body.data.instances
    assert {one.node_name for one in inside} == {"a", "b", "c"}
    dags = client.list_dags(m20.ListDagsRequest(op_seq=dag.op_seq, project_env="PROD")).body.data.dags
    assert [one.dag_id for one in dags] == answer.data
    assert [one.status for one in dags] == ["RUNNING", "CREATED"]


def test_modes(cast: Guarded, line: list[Task], wire: Wire) -> None:
    cast.task("aside", upstream=[line[0]])
    chain = call(cast, Mode="Chain", IncludeTaskIds=[line[0].number, line[2].number])
    assert set(names(create(wire, **chain)[1])) == {"a", "b", "c"}
    downstream = call(cast, line[0], Mode="AllDownstream", ExcludeTaskIds=[line[2].number])
    assert names(create(wire, **downstream)[1]) == {
        "a": Kind.NORMAL, "b": Kind.NORMAL, "c": Kind.SKIP_UNCHOSEN, "aside": Kind.NORMAL,
    }  # fmt: skip
    by_workspace = call(cast, line[0], Mode="AllDownstream", IncludeProjectIds=[cast.workspace.pk])
    assert set(names(create(wire, **by_workspace)[1])) == {"a", "b", "c", "aside"}
    assert set(names(create(wire, **call(cast, line[0]))[1])) == {"a"}
    several = call(cast, line[0], line[1], Mode="ManualSelection")
    assert set(names(create(wire, **several)[1])) == {"a", "b"}


def test_run_policy_alert_and_the_rest_are_kept(cast: Guarded, line: list[Task], wire: Wire) -> None:
    given = call(
        cast, line[0], Order="Desc", Parallelism=3, Alert={"Type": "Failure", "NoticeType": "Mail"},
        RunPolicy={"Type": "Weekend", "StartTime": "01:00:00", "EndTime": "05:00:00", "Immediately": True},
        RuntimeResource="default",
    )  # fmt: skip
    found, job = create(wire, **given, AutoStartEnabled=False, WorkflowParameters='{"x": "1"}')
    assert found["Status"] == "Created"
    assert job.state == Backfill.State.READY
    started = wire.call("StartWorkflowInstances", Ids=[*found["WorkflowInstanceIds"], 12])["SuccessInfo"]
    assert [one["Success"] for one in started.values()] == [True, True, False]
    job.refresh_from_db()
    assert job.state == Backfill.State.STARTED
    again = wire.call("StartWorkflowInstances", Ids=found["WorkflowInstanceIds"][:1])["SuccessInfo"]
    assert [one["Message"] for one in again.values()] == ["The backfill is not paused."]
    asked = job.request
    assert (asked["order"], asked["groups"], asked["immediately"]) == ("desc", 3, True)
    assert asked["run_window"] == [time(1).isoformat(), time(5).isoformat(), True]
    assert asked["alert"] == {"type": "Failure", "notice": "Mail"}
    assert asked["parameters"] == {"workflow": {"x": "1"}, "tasks": {}}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"WorkflowId": 7}, "InvalidWorkflowId"),
        ({"Periods": {"BizDates": [{"StartBizDate": "2026-11-03", "EndBizDate": "2026-11-01"}]}}, "Invalid.Operation.Request"),
        ({"TaskParameters": "a=b"}, "InvalidTaskParameters"),
        ({"TaskParameters": '{"x": "a=b"}'}, "InvalidTaskParameters"),
        ({"TaskParameters": '{"1": "a"}'}, "InvalidTaskParameters"),
        ({"Type": "Other"}, "InvalidType"),
    ],
)  # fmt: skip
def test_wrong_requests_name_their_parameter(
    cast: Guarded, line: list[Task], wire: Wire, change: dict[str, Any], code: str
) -> None:
    answer = wire.try_call("CreateWorkflowInstances", V2024, **(call(cast, line[0]) | change))
    assert (answer.status, answer.code) == (400, code)
    assert not Backfill.objects.exists()


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"Mode": "Chain"}, "InvalidDefaultRunProperties.IncludeTaskIds"),
        ({"RootTaskIds": [1, 2]}, "InvalidDefaultRunProperties.RootTaskIds"),
        ({"RootTaskIds": [123]}, "Invalid.Task.NotExist"),
        ({"Parallelism": 11}, "Invalid.Operation.Request"),
        ({"PriorityWeightStrategy": "Upstream"}, "InvalidDefaultRunProperties.PriorityWeightStrategy"),
        ({"Mode": "Every"}, "InvalidDefaultRunProperties.Mode"),
        ({"RunPolicy": {"StartTime": "01:00:00"}}, "MissingDefaultRunProperties.RunPolicy.EndTime"),
    ],
)
def test_wrong_properties_name_their_parameter(
    cast: Guarded, line: list[Task], wire: Wire, properties: dict[str, Any], code: str
) -> None:
    answer = wire.try_call("CreateWorkflowInstances", V2024, **call(cast, line[0], **properties))
    assert answer.code == code, answer.body
    assert not Backfill.objects.exists()


def test_while_extensions_are_asked_it_is_being_created(cast: Guarded, line: list[Task], wire: Wire) -> None:
    cast.extension(points=["backfill-data"])
    found, job = create(wire, **call(cast, line[0]))
    assert found == {"Status": "Creating"}
    answer = wire.call(
        "RunCycleDagNodes", V2020, Name="n", ProjectEnv="PROD", RootNodeId=line[1].number, Parallelism="false",
        IncludeNodeIds=str(line[1].number), StartBizDate="2026-11-01 00:00:00", EndBizDate="2026-11-01 00:00:00",
    )  # fmt: skip
    assert (answer["Data"], answer["Status"], answer["Success"]) == ([], "Creating", True)
    from opscenter.operations.models import Operation

    say(check_of(Operation.objects.get(pk=job.operation or 0)), "FAIL", "Not at night")
    told = wire.call("GetCreateWorkflowInstancesResult", OperationId=answer["OperationId"])["Result"]
    assert told == {"Status": "Creating"}
    from opscenter.openapi.operations.backfills import operation_id

    told = wire.call("GetCreateWorkflowInstancesResult", OperationId=operation_id(job))["Result"]
    assert told["Status"] == "CreateFailure"
    assert "Not at night" in told["FailureMessage"]


def test_a_large_one_is_created_later(
    cast: Guarded, line: list[Task], wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill_make, "AT_ONCE", 0)
    answer = wire.call("CreateWorkflowInstances", **call(cast, line[0]))
    ask = {"OperationId": answer["OperationId"]}
    assert wire.call("GetCreateWorkflowInstancesResult", **ask)["Result"] == {"Status": "Creating"}
    backfill_make.make(Backfill.objects.get().pk)
    assert wire.call("GetCreateWorkflowInstancesResult", **ask)["Result"]["Status"] == "Created"


def test_others_learn_nothing(cast: Guarded, line: list[Task], wire: Wire) -> None:
    answer = wire.call("CreateWorkflowInstances", **call(cast, line[0]))
    family = Backfill.objects.get().dates.get(bizdate=date(2026, 11, 1)).family_id
    stranger = Wire(cast.stranger)
    for action, version, given in (
        ("GetCreateWorkflowInstancesResult", V2024, answer),
        ("GetWorkflowInstance", V2024, {"Id": family}),
        ("GetDag", V2020, {"DagId": family, "ProjectEnv": "PROD"}),
        ("ListDags", V2020, {"OpSeq": Backfill.objects.get().operation, "ProjectEnv": "PROD"}),
    ):
        known = {name: value for name, value in given.items() if name != "RequestId"}
        assert stranger.try_call(action, version, **known).status == 404


def stop(wire: Wire, *ids: int | None) -> list[tuple[bool, str]]:
    """What StopWorkflowInstances says of each."""
    info = wire.call("StopWorkflowInstances", Ids=list(ids), Comment="the source is wrong")["SuccessInfo"]
    assert list(info) == [str(one) for one in ids]
    return [(one["Success"], one["Message"]) for one in info.values()]


def states_of(family: int | None) -> set[State]:
    found = TaskInstance.objects.filter(workflow_instance=family, turn_of=None)
    return {State(state) for state in found.values_list("state", flat=True)}


def three_dates(cast: Guarded, wire: Wire, *roots: Task, **properties: Any) -> tuple[Backfill, list[int | None]]:
    """A backfill of three dates, two of them side by side, and their workflow instances."""
    given = call(cast, *roots, Mode="AllDownstream", Parallelism=2, **properties)
    given["Periods"] = {"BizDates": [{"StartBizDate": "2026-11-01", "EndBizDate": "2026-11-03"}]}
    _found, job = create(wire, **given)
    return job, [date.family_id for date in job.dates.order_by("position")]


def test_some_dates_of_a_backfill_are_stopped_and_the_others_go_on(cast: Guarded, line: list[Task], wire: Wire) -> None:
    job, families = three_dates(cast, wire, line[0])
    unknown = (False, "There is no such workflow instance, or you are not a member of its workspace.")
    assert stop(wire, families[0], 12) == [(True, ""), unknown]
    assert states_of(families[0]) == {State.FAILURE, State.NOT_RUN}
    assert states_of(families[1]) == {State.WAIT_RESOURCE, State.NOT_RUN}
    job.refresh_from_db()
    assert job.state == Backfill.State.STARTED
    nothing = (False, "None of its instances runs, or waits for its time, its trigger or resources.")
    assert stop(wire, families[0], families[2]) == [nothing, nothing]
    assert stop(Wire(cast.stranger), families[1]) == [unknown]
    lacking = Wire(cast.visitor).try_call("StopWorkflowInstances", V2024, Ids=[families[1]])
    assert (lacking.status, lacking.body["AccessDeniedDetail"]["AuthAction"]) == (403, "instance.operate")
    assert State.WAIT_RESOURCE in states_of(families[1])


def test_all_dates_that_are_left_are_the_backfill(cast: Guarded, line: list[Task], wire: Wire) -> None:
    job, families = three_dates(cast, wire, line[0])
    first = TaskInstance.objects.filter(workflow_instance=families[0])
    first.update(state=State.SUCCESS)
    assert stop(wire, families[1], families[2]) == [(True, ""), (True, "")]
    job.refresh_from_db()
    assert job.state == Backfill.State.STOPPED
    assert states_of(families[1]) == states_of(families[2]) == {State.FAILURE}
    assert states_of(families[0]) == {State.SUCCESS}
    again = stop(wire, *families)
    assert [well for well, _why in again] == [False] * 3
    assert "“Stopped”" in again[0][1]


def test_a_run_of_a_manual_workflow_is_stopped_in_all_its_parts(cast: Guarded, wire: Wire) -> None:
    flow = cast.workflow("by_hand")
    tasks = [cast.task(f"part_{n}", trigger="Manual", cron="", workflow=flow) for n in range(3)]
    made = wire.call(
        "CreateWorkflowInstances",
        Type="ManualWorkflow",
        ProjectId=cast.workspace.pk,
        Name="now",
        WorkflowId=flow.number,
    )
    (family,) = wire.call("GetCreateWorkflowInstancesResult", OperationId=made["OperationId"])["Result"][
        "WorkflowInstanceIds"
    ]
    assert TaskInstance.objects.filter(workflow_instance=family).count() == len(tasks)
    assert stop(wire, family) == [(True, "")]
    assert states_of(family) == {State.FAILURE}


def test_extensions_are_asked_before_runs_are_stopped(cast: Guarded, line: list[Task], wire: Wire) -> None:
    _job, families = three_dates(cast, wire, line[0])
    cast.extension(name="night guard", points=["pre-kill-instance"])
    info = wire.call("StopWorkflowInstances", Ids=[families[0]])["SuccessInfo"][str(families[0])]
    assert info["Success"] is True
    assert "Waits for the verdict of night guard" in info["Message"]
    assert int(info["OperationId"]) > 0
    assert State.WAIT_RESOURCE in states_of(families[0])


def test_workflow_instances_by_their_status(cast: Guarded, line: list[Task], wire: Wire) -> None:
    _job, families = three_dates(cast, wire, line[0])
    other, _ = three_dates(cast, wire, line[2])
    TaskInstance.objects.filter(workflow_instance=families[0]).update(state=State.SUCCESS)
    day = round(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1000)
    asked: dict[str, Any] = {"ProjectId": cast.workspace.pk, "BizDate": day, "Type": "SupplementData"}

    def found(**given: Any) -> list[int]:
        answer = wire.call("ListWorkflowInstances", **asked, **given)["PagingInfo"]
        assert answer["TotalCount"] == len(answer["WorkflowInstances"])
        return [one["Id"] for one in answer["WorkflowInstances"]]

    running = other.dates.get(position=0).family_id
    assert found(Filter='{"status": "Success"}') == [families[0]]
    assert found(Filter='{"status": "Running"}') == [running]
    assert found(Filter='{"status": "WaitTime"}') == found(Tags='["nightly"]') == []
    TaskInstance.objects.filter(workflow_instance=families[0]).update(started_at=datetime(2026, 11, 2, tzinfo=UTC))
    assert found(SortBy="StartedTime") == found(SortBy="FinishedTime Asc") == [families[0], running]
    assert found(SortBy="TriggerTime Desc") == found() == [running, families[0]]
    for wrong, code in (
        ('{"status": "Done"}', "InvalidFilter.status"),
        ('{"executionDate": "1763481600000"}', "InvalidFilter.executionDate"),
        ("[1]", "InvalidFilter"),
        ("success", "InvalidFilter"),
    ):
        answer = wire.try_call("ListWorkflowInstances", V2024, **asked, Filter=wrong)
        assert (answer.status, answer.code) == (400, code)


def test_parameters_of_a_whole_run_are_told(cast: Guarded, line: list[Task], wire: Wire) -> None:
    found, _job = create(wire, **call(cast, line[0]), WorkflowParameters='{"x": "1"}')
    shown = wire.call("GetWorkflowInstance", Id=found["WorkflowInstanceIds"][0])["WorkflowInstance"]
    assert json.loads(shown["WorkflowParameters"]) == {"x": "1"}


def test_the_official_client_stops_and_filters(cast: Guarded, line: list[Task], live_server: Any) -> None:
    client = Client24(config(Wire(cast.operator), live_server.url.removeprefix("http://")))
    _job, families = three_dates(cast, Wire(cast.operator), line[0])
    stopped = client.stop_workflow_instances(
        m24.StopWorkflowInstancesRequest(ids=[families[0], families[2]], comment="again")
    ).body.success_info
    assert {number: one.success for number, one in stopped.items()} == {str(families[0]): True, str(families[2]): False}
    listed = client.list_workflow_instances(
        m24.ListWorkflowInstancesRequest(
            project_id=cast.workspace.pk,
            biz_date=round(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1000),
            filter='{"status": "Failure"}',
        )
    ).body.paging_info
    assert [one.id for one in listed.workflow_instances] == [families[0]]
