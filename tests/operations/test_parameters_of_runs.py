"""Parameters that whoever starts a run gives it: to a smoke test, to manual tasks, to a manual workflow."""

from datetime import date, time
from typing import Any

import pytest

from opscenter.base.reasons import Invalid
from opscenter.operations.actor import Actor
from opscenter.operations.manual_run import run_tasks, run_workflow
from opscenter.operations.models import Operation
from opscenter.operations.smoke_test import run_now
from opscenter.production.models import Task, WorkflowInstance
from opscenter.production.selectors import log_text
from opscenter.workspaces.models import AuditEntry
from tests.cast import Cast
from tests.engine.runs import execute

pytestmark = pytest.mark.django_db
BIZDATE = date(2026, 3, 14)


@pytest.fixture
def cast() -> Cast:
    return Cast()


@pytest.fixture
def actor(cast: Cast) -> Actor:
    return Actor(cast.operator, AuditEntry.Face.CONSOLE)


def manual(cast: Cast, name: str, **fields: Any) -> Task:
    values: dict[str, Any] = {"content": 'echo "${day} ${region}"', "version": {"parameters": "day=$bizdate region=eu"}}
    return cast.task(name, trigger="Manual", cron="", **values | fields)


def said(family: WorkflowInstance, task: Task) -> str:
    return log_text(execute(family.task_instances.get(task=task))).strip()


def test_a_smoke_test_runs_with_them_and_the_next_one_without(cast: Cast, actor: Actor) -> None:
    task = cast.task("now", content='echo "${day} ${region} $1"', version={"parameters": "day=$bizdate region=eu"})
    asked: dict[str, Any] = {"bizdate": BIZDATE, "at": time(2, 30)}
    given = {"tasks": {str(task.number): {"day": "${yyyymm-1}", "1": "two words"}}}
    assert said(run_now(actor, task, **asked, parameters=given), task) == "202602 eu two words"
    assert said(run_now(actor, task, **asked), task) == "20260314 eu"


@pytest.mark.parametrize("kind", ["Manual", "ManualWorkflow"])
def test_in_every_manual_run_what_is_given_for_all_goes_before_what_is_given_for_one(
    cast: Cast, actor: Actor, kind: str
) -> None:
    workflow = cast.workflow("by_hand")
    first, second = manual(cast, "first", workflow=workflow), manual(cast, "second", workflow=workflow)
    given = {"workflow": {"region": "all"}, "tasks": {str(first.number): {"region": "one", "day": "$[mmdd]"}}}
    if kind == "Manual":
        family = run_tasks(actor, [first, second], bizdate=BIZDATE, parameters=given)
    else:
        family = run_workflow(actor, workflow, bizdate=BIZDATE, parameters=given)
    assert (family.type, family.parameters) == (kind, given)
    assert (said(family, first), said(family, second)) == ("0315 all", "20260314 all")


def test_they_are_written_down(cast: Cast, actor: Actor) -> None:
    task = manual(cast, "first")
    given = {"workflow": {"region": "us"}}
    run_tasks(actor, [task], bizdate=BIZDATE, parameters=given)
    assert Operation.objects.get().params["parameters"] == given
    assert AuditEntry.objects.get(action="task.run_manually").params["parameters"] == given


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"workflow": {"a b": "1"}}, "run_parameters.name"),
        ({"workflow": {"0": "1"}}, "run_parameters.name"),
        ({"workflow": {"x" * 129: "1"}}, "run_parameters.name"),
        ({"workflow": {"a": "two\nlines"}}, "run_parameters.expression"),
        ({"workflow": {"a": "x" * 1001}}, "run_parameters.expression"),
        ({"workflow": {f"a{n}": "1" for n in range(501)}}, "run_parameters.too_many"),
        ({"workflow": {"a": "$nonsense"}}, "parameters.unknown_name"),
        ({"workflow": {"a": 1}}, "parameters.overrides"),
        ({"tasks": {"1": {"a": "1"}}}, "run_parameters.task"),
        ({"tasks": {"²": {"a": "1"}}}, "run_parameters.task"),
        ({"other": {}}, "parameters.overrides"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    cast: Cast, actor: Actor, given: dict[str, Any], code: str
) -> None:
    task = manual(cast, "first")
    for ask in (
        lambda: run_tasks(actor, [task], bizdate=BIZDATE, parameters=given),
        lambda: run_now(actor, task, bizdate=BIZDATE, at=time(), parameters=given),
    ):
        with pytest.raises(Invalid) as caught:
            ask()
        assert (caught.value.reason.code, caught.value.reason.params["field"]) == (code, "parameters")
        assert str(caught.value) and "%(" not in str(caught.value)
    assert not WorkflowInstance.objects.exists()


def test_a_task_that_does_not_take_part_gets_none(cast: Cast, actor: Actor) -> None:
    workflow = cast.workflow("by_hand")
    first, second = manual(cast, "first", workflow=workflow), manual(cast, "second", workflow=workflow)
    given = {"tasks": {str(second.number): {"day": "1"}}}
    with pytest.raises(Invalid, match=f"task {second.number}, which takes no part"):
        run_workflow(actor, workflow, bizdate=BIZDATE, include=[first.number], parameters=given)
