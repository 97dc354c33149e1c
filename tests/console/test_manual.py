"""Manually triggered tasks and workflows on pages: the lists, the question, the run, and where its instances are found."""

import json
from typing import Any

import pytest
from django.test import Client

from opscenter.operations.actor import Actor
from opscenter.operations.drafts import import_document
from opscenter.production.models import WorkflowInstance
from opscenter.workspaces.models import AuditEntry
from tests.cast import Cast
from tests.console.visits import as_user, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return Cast()


def page(cast: Cast, name: str, env: str = "prod", **query: Any) -> str:
    answer = as_user(cast.operator).get(url(cast, name, env=env), query)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("environment", ["Prod", "Dev"])
def test_each_list_has_its_own(cast: Cast, environment: str) -> None:
    env = environment.lower()
    workflow = cast.workflow("on_demand", environment)
    cast.task("by_hand", trigger="Manual", cron="", workflow=workflow, environment=environment)
    cast.task("nightly", environment=environment)
    manual, scheduled = page(cast, "manual_task_list", env), page(cast, "task_list", env)
    assert "by_hand" in manual and "nightly" not in manual and "Schedule</th>" not in manual
    assert "nightly" in scheduled and ">by_hand<" not in scheduled
    assert "on_demand" in page(cast, "manual_task_workflows", env)


def test_a_workflow_is_run_and_leads_to_its_instances(cast: Cast) -> None:
    workflow = cast.workflow("on_demand")
    first = cast.task("first", trigger="Manual", cron="", workflow=workflow)
    cast.task("second", trigger="Manual", cron="", workflow=workflow, upstream=[first])
    address = url(cast, "manual_task_workflow_run", number=workflow.number)
    client = as_user(cast.operator)
    assert "Run on_demand?" in client.get(address).content.decode()
    answer = client.post(address, {"bizdate": "2026-03-14", "comment": "again"}, follow=True)
    html = answer.content.decode()
    run = WorkflowInstance.objects.get()
    assert "on_demand was started." in html and "first" in html and "second" in html
    assert f"run={run.pk}" in answer.redirect_chain[-1][0]
    instance = run.task_instances.get(task=first)
    of_one = client.get(url(cast, "instance", pk=instance.pk)).content.decode()
    assert "Manual workflow" in of_one and f"run={run.pk}" in of_one
    graph = client.get(url(cast, "instance_dag", pk=instance.pk)).content.decode()
    assert f"run={run.pk}" in graph, "the way back leads to the run here too"
    assert "first" not in page(cast, "instance_list", bizdate="all") and "first" not in page(cast, "test_instance_list")
    assert f"?run={run.pk}" in page(cast, "manual_task_workflows")


@pytest.mark.parametrize(
    ("kind", "listed"),
    [
        ("Normal", "instance_list"),
        ("SmokeTest", "test_instance_list"),
        ("Manual", "manual_instance_list"),
        ("ManualWorkflow", "manual_instance_list"),
        ("SupplementData", "backfill_list"),
    ],
)
def test_an_instances_page_belongs_to_the_list_that_it_is_in(cast: Cast, kind: str, listed: str) -> None:
    instance = cast.instance(cast.task("one"), kind_of_run=kind)
    answer = as_user(cast.operator).get(url(cast, "instance", pk=instance.pk))
    frame = answer.context["frame"]
    assert [link.item.view for _name, links in frame.groups for link in links if link.current] == [f"console:{listed}"]
    assert [one.url for one in frame.environments][1:] in ([], [url(cast, listed, env="dev")])


def test_chosen_tasks_are_run_together(cast: Cast) -> None:
    tasks = [cast.task(name, trigger="Manual", cron="") for name in ("first", "second")]
    client = as_user(cast.operator)
    ids = [task.pk for task in tasks]
    html = client.get(url(cast, "manual_task_run"), {"id": ids}).content.decode()
    assert "Run 2 tasks?" in html
    client.post(url(cast, "manual_task_run"), {"id": ids, "bizdate": "2026-03-14"})
    assert WorkflowInstance.objects.get().task_instances.count() == 2


def test_parameters_of_a_run_are_for_all_tasks_or_for_one(cast: Cast) -> None:
    workflow = cast.workflow("on_demand")
    first = cast.task("first", trigger="Manual", cron="", workflow=workflow)
    address = url(cast, "manual_task_workflow_run", number=workflow.number)
    text = f"day=$bizdate\n{first.number}: region='two words'\nmore=1\n {first.number}：other=2"
    as_user(cast.operator).post(address, {"bizdate": "2026-03-14", "parameters": text})
    assert WorkflowInstance.objects.get().parameters == {
        "workflow": {"day": "$bizdate", "more": "1"},
        "tasks": {str(first.number): {"region": "two words", "other": "2"}},
    }


@pytest.mark.parametrize("text", ["day", "7: day=1", "day=$nonsense", "a b=1", "x=1 x=2"])
def test_parameters_that_cannot_be_are_told_at_their_field(cast: Cast, text: str) -> None:
    task = cast.task("first", trigger="Manual", cron="")
    asked = {"id": [task.pk], "bizdate": "2026-03-14", "parameters": text}
    answer = as_user(cast.operator).post(url(cast, "manual_task_run"), asked)
    assert (answer.status_code, set(answer.context["form"].errors)) == (422, {"parameters"})
    assert not WorkflowInstance.objects.exists()


@pytest.mark.parametrize(
    ("data", "said"),
    [({"bizdate": "tomorrow"}, "valid date"), ({"bizdate": "1999-01-01"}, "ten years"), ({}, "required")],
)
def test_wrong_dates_are_told_at_the_question(cast: Cast, data: dict[str, str], said: str) -> None:
    task = cast.task("first", trigger="Manual", cron="")
    answer = as_user(cast.operator).post(url(cast, "manual_task_run"), {"id": [task.pk]} | data)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not WorkflowInstance.objects.exists()


def test_a_scheduled_task_is_not_run_by_hand(cast: Cast) -> None:
    task = cast.task("nightly")
    answer = as_user(cast.operator).post(url(cast, "manual_task_run"), {"id": [task.pk], "bizdate": "2026-03-14"})
    assert (answer.status_code, WorkflowInstance.objects.count()) == (422, 0)
    assert "runs by its schedule" in answer.content.decode()


def test_a_manual_task_offers_to_be_run_and_names_no_schedule(cast: Cast) -> None:
    task = cast.task("by_hand", trigger="Manual", cron="")
    html = as_user(cast.operator).get(url(cast, "task", number=task.number)).content.decode()
    assert url(cast, "manual_task_run") in html and "Manually triggered" in html
    assert "Run now" not in html and "None yet. It runs when somebody runs it." in html


def test_a_draft_says_that_it_is_triggered_manually(cast: Cast) -> None:
    text = json.dumps({"kind": "ManualWorkflow", "version": "1.1.0", "spec": {"workflows": [
        {"id": "w", "name": "By hand", "nodes": [{"id": "a", "name": "a", "script": {"runtime": {"command": "VIRTUAL"}}}]}
    ]}})  # fmt: skip
    report = import_document(Actor(cast.owner, AuditEntry.Face.CONSOLE), cast.workspace, text)
    assert report.workflow is not None
    html = as_user(cast.owner).get(url(cast, "workflow", pk=report.workflow.pk)).content.decode()
    assert "Manually triggered" in html and "no schedule" not in html


def test_a_task_leads_to_the_list_that_its_instances_are_in(cast: Cast) -> None:
    lists = {
        ("prod", "nightly"): "instance_list",
        ("dev", "nightly"): "test_instance_list",
        ("prod", "by_hand"): "manual_instance_list",
        ("dev", "by_hand"): "manual_instance_list",
    }
    for (env, name), wanted in lists.items():
        trigger: dict[str, Any] = {"trigger": "Manual", "cron": ""} if name == "by_hand" else {}
        task = cast.task(name, environment=env.capitalize(), **trigger)
        page_of_it = as_user(cast.operator).get(url(cast, "task", env=env, number=task.number))
        assert page_of_it.context["instances_url"].startswith(url(cast, wanted, env=env)), (env, name)


def test_lists_without_a_date_of_their_own_offer_no_other_dates(cast: Cast) -> None:
    for name in ("manual_instance_list", "test_instance_list"):
        html = page(cast, name, q="nothing")
        assert "Show all dates" not in html and "Clear filters" in html


def test_who_may_not_run_sees_why(cast: Cast) -> None:
    workflow = cast.workflow("on_demand")
    cast.task("by_hand", trigger="Manual", cron="", workflow=workflow)
    for name in ("manual_task_list", "manual_task_workflows"):
        for user in (cast.visitor, cast.developer):
            html = as_user(user).get(url(cast, name)).content.decode()
            if (name, user) != ("manual_task_list", cast.developer):  # which rows are theirs is looked at later
                assert "You lack the permission" in html, (name, user)
    answer = Client().get(url(cast, "manual_task_list"))
    assert answer.status_code == 302
