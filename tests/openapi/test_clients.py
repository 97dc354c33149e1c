"""The official clients, unchanged, against a real HTTP server."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alibabacloud_dataworks_public20200518 import models as m20
from alibabacloud_dataworks_public20200518.client import Client as Client20
from alibabacloud_dataworks_public20240518 import models as m24
from alibabacloud_dataworks_public20240518.client import Client as Client24
from alibabacloud_tea_openapi.utils_models import Config
from darabonba.exceptions import DaraException

from extensions.models import Check, Enablement, Extension
from opscenter.operations.models import Operation
from opscenter.production.models import Task, TaskInstance, TriggerCommand
from opscenter.production.rules.states import State
from tests.cast import MIDNIGHT, Cast
from tests.openapi.guards import Guard, verdict
from tests.openapi.wire import Wire

ROOT = Path(__file__).resolve().parents[2]
LEGACY = {name: ROOT / ".venv" / "legacy" / name for name in ("newest", "v2_1_2")}
TIME = round(MIDNIGHT.timestamp() * 1000)
BIZDATE = round((MIDNIGHT - timedelta(days=1)).timestamp() * 1000)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    return Cast()


@pytest.fixture
def gate(cast: Cast) -> TaskInstance:
    return cast.instance(cast.task("gate", "http_trigger"), State.WAIT_TRIGGER)


@pytest.fixture
def address(live_server) -> str:
    """host:port, the documented form of an endpoint."""
    return live_server.url.removeprefix("http://")


def config(wire: Wire, endpoint: str, **how: Any) -> Config:
    return Config(
        **{
            "access_key_id": wire.key.key_id,
            "access_key_secret": wire.secret,
            "endpoint": endpoint,
            "protocol": "HTTP",
        }
        | how
    )


SCHEMES: list[dict[str, str]] = [{}, {"signature_algorithm": "v2"}, {"signature_algorithm": "ACS3-HMAC-SM3"}]


@pytest.mark.parametrize("scheme", SCHEMES, ids=["acs3", "v1", "sm3"])
def test_client_of_2024(wire: Wire, cast: Cast, gate: TaskInstance, address: str, scheme: dict) -> None:
    client = Client24(config(wire, address, **scheme))
    number = gate.task.number
    fired = client.trigger_scheduler_task_instance(
        m24.TriggerSchedulerTaskInstanceRequest(task_id=number, trigger_time=TIME, env_type="Prod")
    )
    assert fired.body.success is True
    assert TriggerCommand.objects.get().request_id == fired.body.request_id
    listed = client.list_task_instances(
        m24.ListTaskInstancesRequest(project_id=cast.workspace.pk, bizdate=BIZDATE, ids=[gate.pk], task_ids=[number])
    ).body.paging_info
    assert (listed.total_count, listed.task_instances[0].task_id) == (1, number)
    one = client.get_task_instance(m24.GetTaskInstanceRequest(id=gate.pk)).body.task_instance
    assert (one.id, one.trigger_time, one.task_type, one.project_env) == (gate.pk, TIME, "SCHEDULER_TRIGGER", "Prod")
    log = client.get_task_instance_log(m24.GetTaskInstanceLogRequest(id=gate.pk)).body.task_instance_log
    assert log.startswith("No live worker serves the resource group “default”.")
    task = client.get_task(m24.GetTaskRequest(id=number)).body.task
    assert (task.name, task.trigger.cron) == ("gate", "00 00 00 * * ?")
    tasks = client.list_tasks(m24.ListTasksRequest(project_id=cast.workspace.pk)).body.paging_info.tasks
    assert [t.id for t in tasks] == [number]
    project = client.list_projects(m24.ListProjectsRequest(names=["acme_daily"])).body.paging_info.projects[0]
    assert project.id == cast.workspace.pk
    assert client.get_project(m24.GetProjectRequest(id=project.id)).body.project.name == "acme_daily"


def test_operating_by_the_client_of_2024(wire: Wire, cast: Cast, address: str) -> None:
    client = Client24(config(wire, address))
    up = cast.instance(cast.task("up"), State.FAILURE)
    down = cast.instance(cast.task("down"), State.NOT_RUN, upstream=[up])
    info = client.set_success_task_instances(
        m24.SetSuccessTaskInstancesRequest(ids=[up.pk, 1], comment="by hand")
    ).body.success_info
    assert (info[str(up.pk)].success, info["1"].success) == (True, False)
    assert "no such instance" in info["1"].message
    found = client.list_upstream_task_instances(m24.ListUpstreamTaskInstancesRequest(id=down.pk)).body.paging_info
    assert [(e.dependency_type, e.task_instance.status) for e in found.upstream_task_instances] == [
        ("Normal", "Success")
    ]
    for request, operation in (
        (m24.SuspendTaskInstancesRequest, client.suspend_task_instances),
        (m24.ResumeTaskInstancesRequest, client.resume_task_instances),
        (m24.StopTaskInstancesRequest, client.stop_task_instances),
    ):
        assert operation(request(ids=[down.pk])).body.success_info[str(down.pk)].success is True
    rerun = client.rerun_task_instances(m24.RerunTaskInstancesRequest(ids=[down.pk], use_latest_config=True))
    assert rerun.body.success_info[str(down.pk)].success is True
    made = client.create_workflow_instances(
        m24.CreateWorkflowInstancesRequest(
            project_id=cast.workspace.pk, name="try", type="SmokeTest", workflow_id=1, env_type="Prod",
            default_run_properties=m24.CreateWorkflowInstancesRequestDefaultRunProperties(
                root_task_ids=[down.task.number]
            ),
            periods=m24.CreateWorkflowInstancesRequestPeriods(
                biz_dates=[
                    m24.CreateWorkflowInstancesRequestPeriodsBizDates(
                        start_biz_date="2026-11-20", end_biz_date="2026-11-20"
                    )
                ]
            ),
        )
    )  # fmt: skip
    result = client.get_create_workflow_instances_result(
        m24.GetCreateWorkflowInstancesResultRequest(operation_id=made.body.operation_id)
    ).body.result
    assert result.status == "Created" and len(result.workflow_task_instance_ids) == 1


def test_client_of_2024_runs_by_hand_and_changes_instances(wire: Wire, cast: Cast, address: str) -> None:
    client = Client24(config(wire, address, **SCHEMES[0]))
    workflow = cast.workflow("by_hand")
    first = cast.task("first", trigger="Manual", cron="", workflow=workflow)
    cast.task("then", trigger="Manual", cron="", workflow=workflow, upstream=[first])
    made = client.create_workflow_instances(
        m24.CreateWorkflowInstancesRequest(
            project_id=cast.workspace.pk,
            name="try",
            type="ManualWorkflow",
            workflow_id=workflow.number,
            env_type="Prod",
        )
    )
    result = client.get_create_workflow_instances_result(
        m24.GetCreateWorkflowInstancesResultRequest(operation_id=made.body.operation_id)
    ).body.result
    up, down = TaskInstance.objects.filter(pk__in=result.workflow_task_instance_ids).order_by("task__name")
    changed = client.update_task_instances(
        m24.UpdateTaskInstancesRequest(
            task_instances=[m24.UpdateTaskInstancesRequestTaskInstances(id=up.pk, priority=8)], comment="urgent"
        )
    )
    assert changed.body.success_info[str(up.pk)].success is True
    removed = client.remove_task_instance_dependencies(
        m24.RemoveTaskInstanceDependenciesRequest(id=down.pk, upstream_task_instance_ids=[up.pk])
    )
    assert removed.body.success is True
    down.refresh_from_db()
    assert down.state == State.WAIT_RESOURCE
    TaskInstance.objects.update(state=State.FAILURE)
    rerun = client.rerun_workflow_instances(
        m24.RerunWorkflowInstancesRequest(
            project_id=cast.workspace.pk, type="ManualWorkflow", workflow_id=workflow.number,
            filter=m24.RerunWorkflowInstancesRequestFilter(task_name="first", rerun_downstream_enabled=True),
        )
    )  # fmt: skip
    answer = client.get_rerun_workflow_instances_result(
        m24.GetRerunWorkflowInstancesResultRequest(operation_id=rerun.body.operation_id)
    )
    assert answer.body.result.status == "Success"


def test_client_of_2020_runs_by_hand(wire: Wire, cast: Cast, address: str) -> None:
    cast.task("first", trigger="Manual", cron="", workflow=cast.workflow("by_hand"))
    client = Client20(config(wire, address, **SCHEMES[0]))
    made = client.run_manual_dag_nodes(
        m20.RunManualDagNodesRequest(
            project_name=cast.workspace.name, project_env="PROD", flow_name="by_hand", biz_date="2026-11-20 00:00:00"
        )
    )
    assert TaskInstance.objects.get(workflow_instance=made.body.dag_id).task.name == "first"


@pytest.mark.parametrize("scheme", SCHEMES[:2], ids=["acs3", "v1"])
def test_client_of_2020(wire: Wire, cast: Cast, gate: TaskInstance, address: str, scheme: dict) -> None:
    client = Client20(config(wire, address, **scheme))
    fired = client.run_trigger_node(
        m20.RunTriggerNodeRequest(node_id=gate.task.number, cycle_time=TIME, biz_date=BIZDATE, app_id=cast.workspace.pk)
    )
    assert fired.body.success is True
    one = client.get_instance(m20.GetInstanceRequest(instance_id=gate.pk, project_env="PROD")).body
    assert (one.success, one.http_status_code, one.data.cyc_time) == (True, 200, TIME)
    listed = client.list_instances(m20.ListInstancesRequest(project_id=cast.workspace.pk, project_env="PROD")).body
    assert [i.instance_id for i in listed.data.instances] == [gate.pk]
    failed = cast.instance(cast.task(), State.FAILURE)
    done = client.set_success_instance(m20.SetSuccessInstanceRequest(instance_id=failed.pk, project_env="PROD"))
    assert done.body.data is True
    log = client.get_instance_log(m20.GetInstanceLogRequest(instance_id=failed.pk, project_env="PROD"))
    assert log.body.data == "A person set it to succeeded.\n"


@pytest.mark.parametrize("endpoint", ["{}/", "{}/openapi", "http://{}"])
def test_spellings_of_the_endpoint(wire: Wire, address: str, endpoint: str) -> None:
    client = Client24(config(wire, endpoint.format(address)))
    assert client.list_projects(m24.ListProjectsRequest()).body.paging_info.total_count == 1


def test_errors_as_the_client_shows_them(wire: Wire, cast: Cast, gate: TaskInstance, address: str) -> None:
    def error(who: Wire, request: Any, **how: Any) -> DaraException:
        with pytest.raises(DaraException) as caught:
            Client24(config(who, address, **how)).trigger_scheduler_task_instance(request)
        return caught.value

    good = m24.TriggerSchedulerTaskInstanceRequest(task_id=gate.task.number, trigger_time=TIME)
    nothing = error(wire, m24.TriggerSchedulerTaskInstanceRequest())
    assert (nothing.code, nothing.data["statusCode"]) == ("MissingTaskId", 400)
    assert "TaskId is mandatory for this action." in nothing.message
    assert nothing.data["RequestId"]
    for scheme in SCHEMES:
        assert error(wire, good, access_key_secret="wrong", **scheme).code == "SignatureDoesNotMatch"
    assert error(wire, good, access_key_id="LTAI5tNobody").data["statusCode"] == 404
    assert error(wire, good, security_token="token").code == "InvalidSecurityToken.Malformed"
    forbidden = error(Wire(cast.visitor), good)
    assert forbidden.code == "ResourceNotAuthorized.Api"
    assert forbidden.data["AccessDeniedDetail"]["AuthAction"] == "instance.trigger"
    other = m24.TriggerSchedulerTaskInstanceRequest(task_id=gate.task.number, trigger_time=TIME + 60_000)
    assert error(wire, other).code == "Invalid.TaskInstance.NotExist"


def test_throttled_client_learns_how_long_to_wait(wire: Wire, address: str, settings) -> None:
    settings.OPENAPI_CALLS_PER_SECOND = 1
    client = Client24(config(wire, address))
    client.list_projects(m24.ListProjectsRequest())
    with pytest.raises(DaraException) as caught:
        client.list_projects(m24.ListProjectsRequest())
    assert caught.value.code == "Throttling.User"
    assert 0 < caught.value.retry_after <= 1000


def legacy(sdk: str, wire: Wire, address: str, calls: list[dict[str, Any]], secret: str = "") -> list[dict[str, Any]]:
    host, _, port = address.partition(":")
    job = {"host": host, "port": int(port), "key": wire.key.key_id, "secret": secret or wire.secret, "calls": calls}
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("legacy_client.py"))],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        timeout=60,
        env=environment | {"PYTHONPATH": str(LEGACY[sdk])},
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("sdk", LEGACY)
def test_legacy_client(wire: Wire, cast: Cast, gate: TaskInstance, address: str, sdk: str) -> None:
    failed = cast.instance(cast.task(), State.FAILURE)
    restart = {"InstanceId": failed.pk, "ProjectEnv": "PROD"}
    calls = [
        {"module": "v20200518", "request": "GetInstance", "params": restart},
        {"module": "v20200518", "request": "SetSuccessInstance", "params": restart},
        {"module": "v20200518", "request": "SetSuccessInstance", "params": restart},
        {"request": "TriggerSchedulerTaskInstance", "params": {"TaskId": gate.task.number, "TriggerTime": TIME}},
        {"request": "TriggerSchedulerTaskInstance", "params": {"TaskId": 1, "TriggerTime": TIME}},
        {"request": "NoSuchAction", "params": {}},
    ]
    got, done, again, fired, unknown, no_action = legacy(sdk, wire, address, calls)
    assert got["body"]["Data"]["Status"] == "FAILURE"
    assert done["body"]["Success"] is True
    assert (again["code"], again["status"]) == ("Invalid.Operation.Refused", 409)
    assert fired["body"]["Success"] is True
    assert (unknown["code"], unknown["status"]) == ("Invalid.Task.NotExist", 404)
    assert no_action["code"] == "InvalidApi.NotFound"


@pytest.mark.parametrize("sdk", LEGACY)
def test_legacy_client_with_a_wrong_secret(wire: Wire, address: str, sdk: str) -> None:
    params = {"InstanceId": 1, "ProjectEnv": "PROD"}
    call = {"module": "v20200518", "request": "GetInstance", "params": params}
    [answer] = legacy(sdk, wire, address, [call], secret="wrong")
    assert answer["code"] == "InvalidAccessKeySecret"


@pytest.mark.parametrize("sdk", LEGACY)
def test_legacy_client_triggers(wire: Wire, cast: Cast, gate: TaskInstance, address: str, sdk: str) -> None:
    named = {"NodeId": gate.task.number, "CycleTime": TIME, "BizDate": BIZDATE, "AppId": cast.workspace.pk}
    call = {"module": "v20200518", "request": "RunTriggerNode", "params": named}
    first, again = legacy(sdk, wire, address, [call, call])
    assert first["body"]["Success"] is again["body"]["Success"] is True
    assert TriggerCommand.objects.filter(instance=gate, api="RunTriggerNode 2020-05-18").count() == 2


# freezing, and the verdicts of extensions


@pytest.mark.parametrize("scheme", SCHEMES, ids=["acs3", "v1", "sm3"])
def test_freezing_by_the_client_of_2024(wire: Wire, cast: Cast, address: str, scheme: dict) -> None:
    client = Client24(config(wire, address, **scheme))
    one, other = cast.task("one"), cast.task("other")
    pause = m24.UpdateTaskRequestTrigger(recurrence="Pause")
    assert client.update_task(m24.UpdateTaskRequest(id=one.number, trigger=pause)).body.success is True
    assert client.get_task(m24.GetTaskRequest(id=one.number)).body.task.trigger.recurrence == "Pause"
    tasks = [
        m24.BatchUpdateTasksRequestTasks(
            id=number, trigger=m24.BatchUpdateTasksRequestTasksTrigger(recurrence="Pause"), owner=str(cast.owner.uid)
        )
        for number in (one.number, other.number, 1)
    ]
    info = client.batch_update_tasks(m24.BatchUpdateTasksRequest(tasks=tasks, comment="stock-taking")).body.success_info
    assert [info[str(task.id)].success for task in tasks] == [True, True, False]
    assert "There is no task 1 in Prod" in info["1"].message
    logs = client.list_task_operation_logs(m24.ListTaskOperationLogsRequest(id=other.number)).body.paging_info
    assert [entry.operation_content for entry in logs.operation_logs] == ["Freeze (Applied): stock-taking"]
    assert set(Task.objects.filter(recurrence="Pause")) == {one, other}


def test_a_whole_task_by_the_client_of_2024(wire: Wire, cast: Cast, address: str) -> None:
    """Read, change one thing, send it all: nothing else counts as a change."""
    client = Client24(config(wire, address))
    task = cast.task("down", upstream=[cast.task("up")], version={"parameters": "a=$bizdate"})
    read = client.get_task(m24.GetTaskRequest(id=task.number)).body.task
    whole = m24.UpdateTaskRequest().from_map(read.to_map())
    whole.trigger.recurrence = "Pause"
    assert client.update_task(whole).body.success is True
    whole.script.content = "rm -rf /"
    with pytest.raises(DaraException) as caught:
        client.update_task(whole)
    assert caught.value.code == "InvalidScript.Content"
    task.refresh_from_db()
    assert task.recurrence == "Pause"


@pytest.mark.parametrize("scheme", SCHEMES, ids=["acs3", "v1", "sm3"])
def test_verdicts_by_the_client_of_2020(cast: Cast, address: str, scheme: dict) -> None:
    guard = Guard(cast)
    client = Client20(config(guard.narrow_wire(), address, **scheme))
    operator = Client20(config(Wire(cast.operator), address, **scheme))
    task = cast.task()
    freeze = m20.UpdateNodeRunModeRequest(node_id=task.number, project_env="PROD", scheduler_type=2)
    assert operator.update_node_run_mode(freeze).body.success is True
    check = Check.objects.select_related("extension").get()
    request = m20.UpdateWorkbenchEventResultRequest(
        message_id=str(check.event_id),
        extension_code=guard.code,
        check_result="Fail",
        check_result_tip="夜间不行 & more",
    )
    for _ in range(2):
        assert client.update_workbench_event_result(request).body.success is True
    check.refresh_from_db()
    assert (check.state, check.words) == ("failed", "夜间不行 & more")
    request.check_result = "OK"
    with pytest.raises(DaraException) as caught:
        client.update_workbench_event_result(request)
    assert (caught.value.code, caught.value.data["statusCode"]) == ("Invalid.Check.Contradiction", 409)
    with pytest.raises(DaraException) as caught:
        client.update_node_run_mode(freeze)
    assert caught.value.code == "Forbidden.AccessKey.Scope"
    assert operator.update_node_run_mode(freeze).body.success is True
    check = Check.objects.latest("pk")
    warned = client.callback_extension(
        m20.CallbackExtensionRequest(
            message_id=str(check.event_id),
            extension_code=guard.code,
            check_result="WARN",
            check_message="mind the load",
        )
    )
    assert warned.body.success == "true"
    task.refresh_from_db()
    assert task.recurrence == "Pause"
    assert sorted(Operation.objects.values_list("status", flat=True)) == ["applied", "blocked"]


def test_extensions_by_the_client_of_2020(wire: Wire, cast: Cast, address: str) -> None:
    guard = Guard(cast)
    client = Client20(config(wire, address))
    listed = client.list_extensions(m20.ListExtensionsRequest(page_number=1, page_size=10)).body.paging_info
    assert [(one.extension_code, one.status) for one in listed.extensions] == [(guard.code, 1)]
    one = client.get_extension(m20.GetExtensionRequest(extension_code=guard.code)).body.extension
    assert (one.extension_name, one.project_testing) == ("Guard", cast.workspace.pk)
    assert [event.event_code for event in one.bind_event_list] == ["freeze-node", "unfreeze-node"]
    enabled = client.list_enabled_extensions_for_project(
        m20.ListEnabledExtensionsForProjectRequest(project_id=cast.workspace.pk, event_code="freeze-node")
    ).body.extensions
    assert [(one.extension_name, one.tenant_id) for one in enabled] == [("Guard", cast.tenant.pk)]


def test_options_and_parameters_by_the_client_of_2020(wire: Wire, cast: Cast, address: str) -> None:
    guard = Guard(cast)
    form = {"type": "object", "properties": {"cuNumber": {"title": "CUs", "x-component": "Input", "default": "1"}}}
    Extension.objects.filter(pk=guard.extension.pk).update(
        options=json.dumps(form), parameters="extension.fileType.6.unfreeze-node.enabled=false\nmine=1"
    )
    client = Client20(config(guard.narrow_wire(), address))
    asked = m20.GetOptionValueForProjectRequest(extension_code=guard.code, project_id=str(cast.workspace.pk))
    assert json.loads(client.get_option_value_for_project(asked).body.option_value) == {"cuNumber": "1"}
    Enablement.objects.update(option_values={"cuNumber": "0", "of another time": "x"})
    assert client.get_option_value_for_project(asked).body.option_value == '{"cuNumber":"0"}'
    one = client.get_extension(m20.GetExtensionRequest(extension_code=guard.code)).body.extension
    assert one.parameter_setting == "extension.fileType.6.unfreeze-node.enabled=false\nmine=1"
    assert json.loads(one.option_setting) == form
    theirs = Client20(config(wire, address))
    for file_type, point, names in (
        (None, "unfreeze-node", ["Guard"]),
        ("6", "unfreeze-node", []),
        ("1322", "unfreeze-node", ["Guard"]),
        ("6", "freeze-node", ["Guard"]),
    ):
        enabled = theirs.list_enabled_extensions_for_project(
            m20.ListEnabledExtensionsForProjectRequest(
                project_id=cast.workspace.pk, event_code=point, file_type=file_type
            )
        ).body.extensions
        assert [found.extension_name for found in enabled] == names, (file_type, point)


@pytest.mark.parametrize("sdk", LEGACY)
def test_verdicts_by_legacy_clients(cast: Cast, address: str, sdk: str) -> None:
    """The older one knows neither call and goes through CommonRequest."""
    guard = Guard(cast)
    check, other = guard.asked(), guard.asked()
    by_model = {"module": "v20200518"} if sdk == "newest" else {"version": "2020-05-18", "in": "query"}
    by_form = by_model | ({} if sdk == "newest" else {"in": "form"})
    failed = verdict(check, "FAIL", CheckResultTip="too many tasks: 3 > 2")
    warned = verdict(other, "WARN", CheckMessage="mind the load")
    calls = [
        *2 * [by_model | {"request": "UpdateWorkbenchEventResult", "params": failed}],
        by_model | {"request": "UpdateWorkbenchEventResult", "params": failed | {"CheckResult": "OK"}},
        by_model | {"request": "UpdateWorkbenchEventResult", "params": failed | {"MessageId": "unknown"}},
        by_form | {"request": "CallbackExtension", "params": warned},
    ]
    first, again, other_way, unknown, warning = legacy(sdk, guard.narrow_wire(), address, calls)
    assert first["body"]["Success"] is again["body"]["Success"] is True
    assert (other_way["code"], other_way["status"]) == ("Invalid.Check.Contradiction", 409)
    assert (unknown["code"], unknown["status"]) == ("Invalid.Check.MessageNotExist", 404)
    assert warning["body"]["Success"] == "true"
    check.refresh_from_db()
    assert (check.verdict, check.words) == ("FAIL", "too many tasks: 3 > 2")
