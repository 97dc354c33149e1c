"""Running several tasks now, from the list."""

from typing import Any

import pytest

from opscenter.operations.models import Operation
from opscenter.production.models import Task, TaskInstance
from tests.cast import Cast
from tests.console.visits import as_user, url

pytestmark = pytest.mark.django_db
ANSWER = {"bizdate": "2026-11-20", "at": "02:30:00", "comment": "after the fix", "parameters": ""}


@pytest.fixture
def cast() -> Cast:
    return Cast()


def address(cast: Cast) -> str:
    return url(cast, "task_run_many")


def test_selected_tasks_run_as_a_test_each(cast: Cast) -> None:
    tasks = [cast.task("orders"), cast.task("sales")]
    client = as_user(cast.operator)
    question = client.get(address(cast), {"id": [task.pk for task in tasks]})
    text = question.content.decode()
    assert "Run 2 tasks now?" in text and "orders" in text and "It does real work" in text
    sent: Any = client.post(address(cast), {"id": [task.pk for task in tasks], **ANSWER, "parameters": "region=north"})
    assert sent.status_code == 302 and sent.url == url(cast, "test_instance_list")
    made = TaskInstance.objects.filter(workflow_instance__type="SmokeTest").order_by("pk")
    assert {instance.task_id for instance in made} == {task.pk for task in tasks}
    assert len({instance.workflow_instance_id for instance in made}) == 2
    for instance in made:
        assert str(instance.bizdate) == "2026-11-20"
        number = str(instance.task.number)
        assert instance.workflow_instance.parameters["tasks"][number] == {"region": "north"}
    assert Operation.objects.filter(code="run_now", comment="after the fix").count() == 2


def test_what_cannot_run_is_left_out_with_its_reason(cast: Cast) -> None:
    mine, other = cast.task("mine", owner=cast.developer), cast.task("other")
    gone = cast.task("gone", owner=cast.developer, status=Task.Status.OFFLINE)
    client = as_user(cast.developer)
    ids = [mine.pk, other.pk, gone.pk]
    text = client.get(address(cast), {"id": ids}).content.decode()
    assert "Run 1 task now?" in text and "2 tasks stay as they are" in text and "is offline" in text
    client.post(address(cast), {"id": ids, **ANSWER})
    assert [instance.task_id for instance in TaskInstance.objects.all()] == [mine.pk]


def test_none_that_can_run_makes_nothing(cast: Cast) -> None:
    gone = cast.task("gone", status=Task.Status.OFFLINE)
    answer = as_user(cast.operator).post(address(cast), {"id": gone.pk, **ANSWER})
    assert "None of the chosen tasks can be run now." in answer.content.decode()
    assert not TaskInstance.objects.exists()


def test_a_wrong_answer_makes_nothing(cast: Cast) -> None:
    tasks = [cast.task("orders"), cast.task("sales")]
    ids = {"id": [task.pk for task in tasks]}
    client = as_user(cast.operator)
    for wrong in ({"bizdate": "yesterday"}, {"bizdate": "2150-01-01"}, {"at": "noon"}, {"parameters": "no value"}):
        assert client.post(address(cast), {**ids, **ANSWER, **wrong}).status_code == 422
    assert not TaskInstance.objects.exists()


@pytest.mark.parametrize("ids", [[], ["x"], [str(n) for n in range(1, 300)], ["12345678"]])
def test_a_choice_that_is_none_is_refused(cast: Cast, ids: list[str]) -> None:
    answer = as_user(cast.operator).get(address(cast), {"id": ids})
    assert answer.status_code == 422 and "Choose between 1 and 200 tasks" in answer.content.decode()


def test_who_may_not_test_sees_why(cast: Cast) -> None:
    task = cast.task("orders")
    assert as_user(cast.visitor).get(address(cast), {"id": task.pk}).status_code == 403
    (button,) = [
        one
        for one in as_user(cast.visitor).get(url(cast, "task_list")).context["actions"]
        if one["url"] == address(cast)
    ]
    assert "task.test" in button["why_not"]
