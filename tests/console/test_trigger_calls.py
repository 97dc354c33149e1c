"""Receipts of trigger calls on pages: in the workspace's list, on the task's page, and of calls that named no known task."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from opscenter.base import clock
from opscenter.base.reasons import Refused
from opscenter.engine.wiring import cut_loose
from opscenter.operations.actor import Actor
from opscenter.operations.trigger import trigger
from opscenter.production.models import Task, TriggerCommand
from opscenter.production.rules.states import State
from opscenter.workspaces.models import AuditEntry, User
from tests.cast import MIDNIGHT, Cast
from tests.console.visits import as_user, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return Cast()


@pytest.fixture
def gate(cast: Cast) -> Task:
    return cast.task("gate", "http_trigger")


def call(user: User, number: int, at: datetime = MIDNIGHT, environment: str = "Prod") -> None:
    actor = Actor(user, AuditEntry.Face.API, access_key_id="LTAI5tKey", address="203.0.113.9", request_id="REQ-1")
    try:
        trigger(actor, task_number=number, environment=environment, scheduled_at=at)
    except Refused:
        pass


def calls(cast: Cast, who: str = "visitor", env: str = "prod", **query: Any) -> str:
    answer = as_user(getattr(cast, who)).get(url(cast, "trigger_call_list", env=env), query)
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_receipt_whose_instance_vanished_says_so_on_the_list_and_on_the_tasks_page(cast: Cast, gate: Task) -> None:
    instance = cast.instance(gate, State.WAIT_TIME)
    TriggerCommand.objects.create(
        tenant=cast.tenant, workspace=cast.workspace, instance=instance, task_number=gate.number, environment="Prod",
        scheduled_at=MIDNIGHT, caller=cast.operator, face="api", status="held", held_until=clock.now() + timedelta(hours=9),
        reason={"code": "trigger.held", "params": {}},
    )  # fmt: skip
    cut_loose([], [instance.pk])
    of_task = as_user(cast.visitor).get(url(cast, "task", number=gate.number)).content.decode()
    for html in (calls(cast), of_task):
        assert "the instance that the command was held for is gone" in html
        assert "were not met within 24 hours" not in html
        assert f"{MIDNIGHT:%Y-%m-%d %H:%M:%S}" in html


def test_a_refused_call_is_found_by_the_task_its_result_and_its_day(cast: Cast, gate: Task) -> None:
    nightly = cast.task("nightly")
    call(cast.operator, gate.number)
    call(cast.operator, nightly.number)
    both = calls(cast)
    assert "has no instance with the scheduled time" in both and "is not an HTTP Trigger node" in both
    assert "LTAI5tKey" in both and "203.0.113.9" in both and "REQ-1" in both
    for narrowed in ({"q": "gate"}, {"q": gate.number}):
        html = calls(cast, **narrowed)
        assert "has no instance" in html and "is not an HTTP Trigger node" not in html
    assert "is not an HTTP Trigger node" in calls(cast, status="refused")
    assert "No trigger call fits these filters" in calls(cast, status="fired")
    today = clock.now().date()
    assert "has no instance" in calls(cast, since=today, until=today)
    assert "No trigger call fits" in calls(cast, until=today - timedelta(days=1))


def test_a_call_leads_to_its_task_and_to_its_instance_while_there_is_one(cast: Cast, gate: Task) -> None:
    instance = cast.instance(gate, State.WAIT_TRIGGER)
    call(cast.operator, gate.number)
    html = calls(cast)
    assert url(cast, "task", number=gate.number) in html and url(cast, "instance", pk=instance.pk) in html
    of_task = as_user(cast.visitor).get(url(cast, "task", number=gate.number)).content.decode()
    assert url(cast, "instance", pk=instance.pk) in of_task
    assert f"{url(cast, 'trigger_call_list')}?q={gate.number}" in of_task


def test_each_environment_has_its_own(cast: Cast, gate: Task) -> None:
    cast.task("gate_dev", "http_trigger", environment="Dev")
    call(cast.operator, gate.number)
    assert "Nobody has called yet" in calls(cast, env="dev")


def test_a_call_that_names_no_known_task_is_shown_to_its_caller_and_to_the_tenants_administrators(
    cast: Cast, gate: Task
) -> None:
    boss = cast.user("boss", "role_project_guest")
    User.objects.filter(pk=boss.pk).update(is_tenant_admin=True)
    cast.boss = boss  # type: ignore[attr-defined]  # looked up by name as the others
    call(cast.operator, 424242)
    call(cast.stranger, gate.number)
    assert "Nobody has called yet" in calls(cast), "it belongs to no workspace"
    assert "There is no task 424242" in calls(cast, "operator", scope="unknown")
    assert "There is no task 424242" in calls(cast, "boss", scope="unknown")
    assert "No call went astray" in calls(cast, "visitor", scope="unknown")
    assert str(gate.number) not in calls(cast, "boss", scope="unknown"), "of another tenant's user"


def test_a_filter_that_cannot_be_read_is_told(cast: Cast) -> None:
    answer = as_user(cast.visitor).get(url(cast, "trigger_call_list"), {"since": "2026-11-02", "until": "2026-11-01"})
    assert answer.status_code == 422 and b"Exchange the two dates" in answer.content
    assert as_user(cast.visitor).get(url(cast, "trigger_call_list"), {"status": "x"}).status_code == 422


def test_pages_go_on_where_the_one_before_ended(cast: Cast, gate: Task) -> None:
    for _ in range(52):
        call(cast.operator, gate.number)
    first = as_user(cast.visitor).get(url(cast, "trigger_call_list"))
    assert len(first.context["receipts"]) == 50
    rest = as_user(cast.visitor).get(url(cast, "trigger_call_list"), {"after": first.context["page"].after})
    assert len(rest.context["receipts"]) == 2


def test_moments_in_sentences_are_told_in_the_tenants_zone() -> None:
    cast = Cast(time_zone="Asia/Shanghai")
    call(cast.operator, cast.task("gate", "http_trigger").number)
    html = calls(cast)
    assert "no instance with the scheduled time 2026-11-21 08:00:00 Asia/Shanghai" in html
    assert "UTC" not in html
