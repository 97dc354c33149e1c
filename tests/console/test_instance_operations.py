"""Operations asked for on pages: the question, who may, what is done, and what each instance became."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from opscenter.base import clock
from opscenter.operations.models import Operation
from opscenter.operations.registry import OPERATIONS, operations_on
from opscenter.production.models import TaskInstance, TriggerCommand
from opscenter.production.rules.states import State
from opscenter.workspaces.models import AuditEntry, User
from tests.cast import Cast
from tests.console.visits import as_user, url

pytestmark = pytest.mark.django_db(transaction=True)
HTMX = {"HX-Request": "true"}


@pytest.fixture
def cast() -> Cast:
    return Cast()


def do(cast: Cast, user: User | Client, code: str, *instances: TaskInstance, **data: Any) -> Any:
    client = as_user(user) if isinstance(user, User) else user
    address = url(cast, "instance_operate", code=code)
    return client.post(address, {"id": [one.pk for one in instances]} | data)


def state_of(instance: TaskInstance) -> State:
    instance.refresh_from_db()
    return State(instance.state)


def test_the_question_names_what_will_happen_to_which(cast: Cast) -> None:
    failed = [cast.instance(cast.task(f"failed_{index}"), State.FAILURE) for index in range(7)]
    waiting = cast.instance(cast.task("waits"), State.WAIT_TIME)
    query = {"id": [one.pk for one in (*failed, waiting)]}
    for headers in ({}, HTMX):
        answer = as_user(cast.operator).get(url(cast, "instance_operate", code="set-success"), query, headers=headers)
        html = answer.content.decode()
        for part in (
            "Set 7 instances to succeeded?",
            "failed_6",
            "and 2 more",
            "1 instance stays as it is",
            "waits",
            "possible in: Failed",
        ):
            assert part in html, part
        assert html.count(">failed_") == 5
        assert ("<html" in html) == (headers == {})
    assert {state_of(one) for one in failed} == {State.FAILURE}, "asking changes nothing"


def test_it_is_done_with_the_comment_and_told(cast: Cast) -> None:
    failed = cast.instance(cast.task("failed"), State.FAILURE)
    operator = as_user(cast.operator)
    back = url(cast, "instance_list")
    answer = do(cast, operator, "set-success", failed, comment="partner confirmed", next=back)
    assert (answer.status_code, answer["Location"]) == (302, back)
    assert state_of(failed) is State.SUCCESS
    assert Operation.objects.get().comment == "partner confirmed"
    assert AuditEntry.objects.filter(action="instance.set_success", actor=cast.operator).exists()
    assert "Done: Set 1 instance to succeeded." in operator.get(back).content.decode()


def test_over_an_open_page_the_browser_is_sent_back_to_it(cast: Cast) -> None:
    failed = cast.instance(cast.task(), State.FAILURE)
    address = url(cast, "instance_operate", code="freeze")
    headers = {**HTMX, "HX-Current-URL": "http://testserver" + url(cast, "instance_list") + "?state=failure"}
    answer = as_user(cast.operator).post(address, {"id": failed.pk}, headers=headers)
    assert answer.status_code == 200
    assert answer["HX-Redirect"].endswith("?state=failure")


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_nobody_is_sent_elsewhere(cast: Cast, target: str) -> None:
    answer = do(cast, cast.operator, "freeze", cast.instance(cast.task(), State.FAILURE), next=target)
    assert answer["Location"] == "/"


def test_what_was_not_done_is_told_instance_by_instance(cast: Cast) -> None:
    failed = cast.instance(cast.task("fails"), State.FAILURE)
    waiting = cast.instance(cast.task("waits"), State.WAIT_TIME)
    operator = as_user(cast.operator)
    answer = do(cast, operator, "rerun", failed, waiting)
    html = operator.get(answer["Location"]).content.decode()
    for part in ("Done for 1 of 2 objects", "fails", "waits", "Refused", "Waiting for time"):
        assert part in html, part
    assert state_of(waiting) is State.WAIT_TIME
    assert as_user(cast.stranger).get(answer["Location"]).status_code == 404


def test_the_same_form_sent_twice_is_one_operation(cast: Cast) -> None:
    failed = cast.instance(cast.task(), State.FAILURE)
    for _time in range(2):
        do(cast, cast.operator, "freeze", failed, token="f" * 32)
    assert Operation.objects.count() == 1


@pytest.mark.parametrize("code", sorted(operations_on("instance")))
def test_who_may_not_is_told_which_permission_is_missing(cast: Cast, code: str) -> None:
    instance = cast.instance(cast.task(), State.FAILURE)
    for user in (cast.visitor, cast.deployer):
        answer = do(cast, user, code.replace("_", "-"), instance)
        assert answer.status_code == 403
        assert OPERATIONS[code].permission.value in answer.content.decode()
    assert do(cast, cast.stranger, code.replace("_", "-"), instance).status_code == 404
    assert not Operation.objects.exists()


def test_own_only_means_own_only(cast: Cast) -> None:
    mine = cast.instance(cast.task("mine", owner=cast.developer), State.FAILURE)
    theirs = cast.instance(cast.task("theirs"), State.FAILURE)
    do(cast, cast.developer, "freeze", mine, theirs)
    mine.refresh_from_db()
    theirs.refresh_from_db()
    assert (mine.frozen, theirs.frozen) == (True, False)


def test_instances_of_another_workspace_are_left_alone(cast: Cast) -> None:
    other = Cast("other")
    foreign = other.instance(other.task("foreign_name"), State.FAILURE)
    operator = as_user(cast.operator)
    question = operator.get(url(cast, "instance_operate", code="rerun"), {"id": foreign.pk})
    assert "foreign_name" not in question.content.decode()
    result = operator.get(do(cast, operator, "rerun", foreign)["Location"])
    assert "foreign_name" not in result.content.decode()
    assert state_of(foreign) is State.FAILURE


@pytest.mark.parametrize("ids", [[], ["x"], ["-1"], ["9" * 30]], ids=["none", "word", "sign", "long"])
def test_ids_that_are_none_are_told(cast: Cast, ids: list[str]) -> None:
    address = url(cast, "instance_operate", code="rerun")
    operator = as_user(cast.operator)
    for answer in (operator.get(address, {"id": ids}), operator.post(address, {"id": ids})):
        assert answer.status_code == 422
        words = "These are no ids." if ids else "Choose between 1 and 1000"
        assert words in answer.content.decode()


def test_a_comment_that_is_too_long_is_told_at_its_field(cast: Cast) -> None:
    failed = cast.instance(cast.task(), State.FAILURE)
    answer = do(cast, cast.operator, "rerun", failed, comment="x" * 1001)
    assert answer.status_code == 422
    assert "errorlist" in answer.content.decode()
    assert "x" * 1001 in answer.content.decode(), "what was entered is kept"
    assert state_of(failed) is State.FAILURE


def test_unknown_operations_and_methods_do_nothing(cast: Cast) -> None:
    failed = cast.instance(cast.task(), State.FAILURE)
    operator = as_user(cast.operator)
    assert do(cast, operator, "destroy", failed).status_code == 404
    assert operator.delete(url(cast, "instance_operate", code="rerun")).status_code == 405
    assert operator.post(url(cast, "instance_list")).status_code == 405
    strict = as_user(cast.operator, enforce_csrf_checks=True)
    assert do(cast, strict, "rerun", failed).status_code == 403
    assert state_of(failed) is State.FAILURE


def test_trigger_now_does_what_a_call_does(cast: Cast) -> None:
    gate = cast.instance(
        cast.task("gate", "http_trigger"), State.WAIT_TRIGGER, scheduled_at=clock.now() + timedelta(hours=1)
    )
    address = url(cast, "instance_trigger", pk=gate.pk)
    operator = as_user(cast.operator)
    assert "Trigger gate?" in operator.get(address).content.decode()
    assert not TriggerCommand.objects.exists(), "asking changes nothing"
    answer = operator.post(address)
    assert answer["Location"] == url(cast, "instance", pk=gate.pk)
    command = TriggerCommand.objects.get()
    assert (command.status, command.face, command.caller) == ("held", "console", cast.operator)
    html = operator.get(answer["Location"]).content.decode()
    assert "The command is held until" in html


def test_a_refused_trigger_says_why_and_leaves_its_receipt(cast: Cast) -> None:
    gate = cast.instance(cast.task("gate", "http_trigger"), State.WAIT_TRIGGER, frozen=True)
    answer = as_user(cast.operator).post(url(cast, "instance_trigger", pk=gate.pk))
    assert answer.status_code == 409
    assert "Unfreeze the instance" in answer.content.decode()
    assert TriggerCommand.objects.get().status == "refused"


@pytest.mark.parametrize("who", ["visitor", "deployer"])
def test_who_may_not_trigger_is_told(cast: Cast, who: str) -> None:
    gate = cast.instance(cast.task("gate", "http_trigger"), State.WAIT_TRIGGER)
    answer = as_user(getattr(cast, who)).post(url(cast, "instance_trigger", pk=gate.pk))
    assert answer.status_code == 403
    assert "instance.trigger" in answer.content.decode()
