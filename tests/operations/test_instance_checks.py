"""Operations on instances wait for extensions that listen to them; for those alone, and in production alone."""

import json
from typing import Any

import pytest

from extensions.envelope import body_for
from extensions.models import Event
from extensions.points import POINTS
from opscenter.operations.door import asked_first
from opscenter.operations.models import Operation
from opscenter.operations.registry import OPERATIONS, operations_on
from opscenter.production.models import InstanceEdge, TaskInstance
from opscenter.production.rules.states import State
from tests.operations.guarded import Guarded, check_of, say, status_of, told

pytestmark = pytest.mark.django_db
BEFORE: dict[str, tuple[State, bool]] = {
    "stop": (State.WAIT_RESOURCE, False),
    "rerun": (State.FAILURE, False),
    "rerun_downstream": (State.FAILURE, False),
    "set_success": (State.FAILURE, False),
    "freeze": (State.WAIT_TIME, False),
    "unfreeze": (State.WAIT_TIME, True),
}
"""Operation -> how the instance is before."""
SAMPLE: dict[str, Any] = {  # spec/extensions.md 4.4
    "eventCode": "pre-kill-instance",
    "extensionBizId": "055b1c9d2e3fafaa",
    "extensionBizName": "dwd_order_hour",
    "projectId": 12056,
    "taskIds": [523536569736],
    "tenantId": 283780110656,
    "operator": "1918273645546735",
}


def instance(cast: Guarded, code: str, environment: str = "Prod") -> TaskInstance:
    state, frozen = BEFORE[code]
    return cast.instance(cast.task(code, environment=environment), state, frozen=frozen)


def ask(cast: Guarded, code: str, *instances: TaskInstance, **how: Any) -> Operation:
    """Ask for an operation; a rerun with chosen downstream starts from all of them."""
    if code == "rerun_downstream":
        how["arguments"] = {"start": [one.pk for one in instances]}
    return cast.ask(code, instances, **how)


def changed(one: TaskInstance) -> bool:
    """Whether anything was done to it."""
    before = (one.state, one.frozen)
    one.refresh_from_db()
    return (one.state, one.frozen) != before


def test_the_operations_that_dataworks_asks_about_have_a_point_and_an_event() -> None:
    specs = operations_on("instance")
    assert {code for code, spec in specs.items() if spec.point} == set(BEFORE)
    assert {code for code, spec in specs.items() if spec.event} == {*BEFORE, "remove_dependencies"}
    for spec in (specs[code] for code in BEFORE):
        assert not POINTS[spec.point].is_regular and spec.point == f"pre-{spec.event}"
        assert POINTS[spec.event].is_regular


@pytest.mark.parametrize("code", BEFORE)
def test_it_waits_and_is_done_when_they_agree(cast: Guarded, code: str) -> None:
    cast.extension(points=[OPERATIONS[code].point])
    one = instance(cast, code)
    operation = ask(cast, code, one)
    assert operation.status == "checking" and not changed(one)
    say(check_of(operation), "OK")
    assert status_of(operation) == "applied" and changed(one)


@pytest.mark.parametrize("code", BEFORE)
def test_a_fail_blocks_it(cast: Guarded, code: str) -> None:
    cast.extension(points=[OPERATIONS[code].point])
    one = instance(cast, code)
    operation = ask(cast, code, one)
    say(check_of(operation), "FAIL", "not now")
    assert status_of(operation) == "blocked" and not changed(one)
    assert told(operation) == {one.pk: "operation.blocked"}


@pytest.mark.parametrize("code", BEFORE)
def test_nobody_is_asked_in_development_nor_at_another_point(cast: Guarded, code: str) -> None:
    cast.extension(points=[OPERATIONS[code].point])
    one = instance(cast, code, "Dev")
    assert ask(cast, code, one, environment="Dev").status == "applied"
    others = [spec for spec in OPERATIONS.values() if OPERATIONS[code].point not in spec.points]
    assert all(not asked_first(spec, cast.workspace, "Prod") for spec in others)
    assert not Event.objects.exists()


def test_the_message_is_as_documented(cast: Guarded) -> None:
    cast.extension(points=["pre-kill-instance"])
    several = [cast.instance(cast.task(name), State.WAIT_RESOURCE) for name in ("dwd_order_hour", "ads")]
    message = json.loads(body_for(check_of(cast.ask("stop", several))))
    assert message["type"] == "dataworks:InstanceChange:PreKillInstance"
    data = message["data"]
    assert data["taskIds"] == [one.pk for one in several]
    assert data["extensionBizName"] == "dwd_order_hour +1"
    assert {name: type(data[name]) for name in SAMPLE} == {name: type(value) for name, value in SAMPLE.items()}
    assert set(data) - set(SAMPLE) == {"blockBusiness", "callbackUrl", "callbackToken"}


def test_a_rerun_with_downstream_names_all_that_it_reruns(cast: Guarded) -> None:
    cast.extension(points=["pre-rerun-instance"])
    first, below = (cast.instance(cast.task(name), State.SUCCESS) for name in ("first", "below"))
    InstanceEdge.objects.create(upstream=first, downstream=below, bizdate=below.bizdate, met=True)
    operation = cast.ask("rerun_downstream", [first, below], arguments={"start": [first.pk]})
    assert json.loads(body_for(check_of(operation)))["data"]["taskIds"] == [first.pk, below.pk]
    say(check_of(operation), "OK")
    assert status_of(operation) == "applied" and changed(first) and changed(below)


def test_what_ran_on_meanwhile_is_judged_again(cast: Guarded) -> None:
    cast.extension(points=["pre-set-instance-success"])
    one = instance(cast, "set_success")
    operation = cast.ask("set_success", [one])
    TaskInstance.objects.filter(pk=one.pk).update(state=State.RUNNING)
    say(check_of(operation), "OK")
    assert status_of(operation) == "refused"
    assert told(operation) == {one.pk: "operation.state"}


def test_the_same_cannot_be_asked_for_twice(cast: Guarded) -> None:
    cast.extension(points=["pre-rerun-instance"])
    one = instance(cast, "rerun")
    assert cast.ask("rerun", [one]).status == "checking"
    assert told(cast.ask("rerun", [one])) == {one.pk: "operation.open_already"}
    assert cast.ask("set_success", [one]).status == "applied", "another operation is another question"
