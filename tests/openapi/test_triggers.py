"""Opening HTTP trigger nodes through the wire, by both versions."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from opscenter.production.models import Recurrence, TaskInstance, TriggerCommand
from opscenter.production.rules.states import Kind, State
from opscenter.workspaces.models import AuditEntry
from tests.cast import MIDNIGHT, Cast
from tests.openapi.wire import V2020, V2024, Wire

DAY = timedelta(days=1)


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


@pytest.fixture
def gate(cast: Cast) -> TaskInstance:
    """An HTTP trigger that waits, its upstream done and its time come."""
    return cast.instance(cast.task("gate", "http_trigger"), State.WAIT_TRIGGER)


def trigger(wire: Wire, gate: TaskInstance, **params: Any):
    named = {"TaskId": gate.task.number, "TriggerTime": ms(gate.scheduled_at)} | params
    return wire.try_call("TriggerSchedulerTaskInstance", V2024, **named)


def run_trigger_node(wire: Wire, gate: TaskInstance, **params: Any):
    named = {
        "NodeId": gate.task.number,
        "CycleTime": ms(gate.scheduled_at),
        "BizDate": ms(MIDNIGHT - DAY),
        "AppId": gate.workspace_id,
    }
    return wire.try_call("RunTriggerNode", V2020, **(named | params))


def test_trigger(wire: Wire, gate: TaskInstance) -> None:
    answer = trigger(wire, gate)
    assert (answer.status, answer.body["Success"]) == (200, True)
    receipt = TriggerCommand.objects.get(instance=gate)
    assert receipt.request_id == answer.body["RequestId"]
    assert receipt.access_key_id == wire.key.key_id
    assert receipt.api == "TriggerSchedulerTaskInstance 2024-05-18"
    assert (receipt.face, receipt.address) == (AuditEntry.Face.API, "127.0.0.1")
    again = trigger(wire, gate)
    assert (again.status, again.body["Success"]) == (200, True)
    assert TriggerCommand.objects.filter(instance=gate).latest("pk").status == "no_effect"


def test_run_trigger_node(wire: Wire, gate: TaskInstance) -> None:
    assert run_trigger_node(wire, gate).body["Success"] is True
    receipt = TriggerCommand.objects.get(instance=gate)
    assert receipt.api == "RunTriggerNode 2020-05-18"


@pytest.mark.parametrize("call", [trigger, run_trigger_node])
@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"frozen": True}, 409, "Invalid.TaskInstance.Frozen"),
        ({"state": State.FAILURE}, 409, "Invalid.TaskInstance.Failed"),
        ({"kind": Kind.SKIP}, 409, "Invalid.TaskInstance.TriggerBypassed"),
        ({"scheduled_at": MIDNIGHT + DAY}, 404, "Invalid.TaskInstance.NotExist"),
    ],
)
def test_refused_by_the_instance(wire: Wire, gate: TaskInstance, call, change: dict, status: int, code: str) -> None:
    TaskInstance.objects.filter(pk=gate.pk).update(**change)
    answer = call(wire, gate)
    assert (answer.status, answer.code) == (status, code)
    assert "trigger." not in answer.message, "a sentence, not a code"
    assert TriggerCommand.objects.get().status == "refused"


@pytest.mark.parametrize("call", [trigger, run_trigger_node])
@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"recurrence": Recurrence.PAUSE}, 409, "Invalid.Task.Frozen"),
        ({"status": "Offline"}, 409, "Invalid.Task.Offline"),
        ({"node_type": "shell"}, 400, "Invalid.Task.NotTriggerNode"),
        ({"number": 999}, 404, "Invalid.Task.NotExist"),
    ],
)
def test_refused_by_the_task(wire: Wire, gate: TaskInstance, call, change: dict, status: int, code: str) -> None:
    type(gate.task).objects.filter(pk=gate.task_id).update(**change)
    answer = call(wire, gate)
    assert (answer.status, answer.code) == (status, code)
    assert "trigger." not in answer.message, "a sentence, not a code"


def test_older_api_checks_what_it_is_given(wire: Wire, gate: TaskInstance) -> None:
    assert run_trigger_node(wire, gate, BizDate=ms(MIDNIGHT)).code == "Invalid.TaskInstance.NotExist"
    assert run_trigger_node(wire, gate, AppId=1).code == "Invalid.Task.NotExist"


def test_dev_is_another_task(wire: Wire, gate: TaskInstance) -> None:
    assert trigger(wire, gate, EnvType="Dev").code == "Invalid.Task.NotExist"
    assert trigger(wire, gate, EnvType="prod").status == 200


def test_moments_are_said_in_the_tenants_zone(wire: Wire, cast: Cast, gate: TaskInstance) -> None:
    type(cast.tenant).objects.filter(pk=cast.tenant.pk).update(time_zone="Asia/Shanghai")
    answer = trigger(wire, gate, TriggerTime=ms(MIDNIGHT + timedelta(hours=1)))
    assert "2026-11-21 09:00" in answer.message
    assert timezone.get_current_timezone_name() == "UTC"


@pytest.mark.parametrize("call", [trigger, run_trigger_node])
def test_who_may_trigger(cast: Cast, gate: TaskInstance, call) -> None:
    for who in (cast.visitor, cast.deployer):
        answer = call(Wire(who), gate)
        assert (answer.status, answer.code) == (403, "ResourceNotAuthorized.Api")
        assert "instance.trigger" in answer.message
        assert answer.body["AccessDeniedDetail"]["AuthAction"] == "instance.trigger"
        assert "role_project_dev" in answer.body["AccessDeniedDetail"]["Roles"]
    answer = call(Wire(cast.stranger), gate)
    assert (answer.status, answer.code) == (404, "Invalid.Task.NotExist")
    for who in (cast.developer, cast.operator, cast.owner):
        assert call(Wire(who), gate).status == 200


def test_a_refusal_names_who_can_put_it_right(wire: Wire, gate: TaskInstance, cast: Cast) -> None:
    TaskInstance.objects.filter(pk=gate.pk).update(frozen=True)
    answer = trigger(wire, gate)
    assert answer.code == "Invalid.TaskInstance.Frozen"
    assert answer.message.endswith("These people can: acme-owner, acme-admin, acme-operator.")
    assert "who" not in TriggerCommand.objects.get(instance=gate).reason["params"], "of that moment alone"
