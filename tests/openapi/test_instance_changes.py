"""Priority, resource group and dependencies of instances, and reruns of parts of runs, by the API."""

from typing import Any

import pytest

from extensions.models import Check, Enablement, Extension
from extensions.tokens import token_of
from opscenter.operations import checked
from opscenter.production.models import InstanceEdge, TaskInstance, WorkflowInstance
from opscenter.production.rules.states import State
from opscenter.workspaces.models import User
from tests.cast import BIZDATE, Cast, usable_group
from tests.openapi.wire import Wire


def told(body: dict[str, Any]) -> dict[int, str]:
    return {int(number): entry["Message"] for number, entry in body["SuccessInfo"].items()}


def test_priorities_and_groups_of_many(wire: Wire, cast: Cast) -> None:
    usable_group(cast.workspace, "night")
    task = cast.task()
    first, second, ended = (
        cast.instance(cast.task(), State.NOT_RUN), cast.instance(task), cast.instance(cast.task(), State.SUCCESS)
    )  # fmt: skip
    body = wire.call(
        "UpdateTaskInstances",
        TaskInstances=[
            {"Id": first.pk, "Priority": 7, "RuntimeResource": "night"},
            {"Id": second.pk, "Priority": 7},
            {"Id": ended.pk, "Priority": 7},
            {"Id": 5, "RuntimeResource": "nowhere"},
        ],
    )
    messages = told(body)
    assert messages[first.pk] == messages[second.pk] == ""
    assert "possible in" in messages[ended.pk] and "There is no such instance" in messages[5]
    found = TaskInstance.objects.select_related("resource_group").in_bulk()
    assert (found[first.pk].priority, found[first.pk].resource_group.name) == (7, "night")
    assert (found[second.pk].priority, found[second.pk].resource_group.name) == (7, "default")
    assert found[ended.pk].priority == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [({"Priority": 4}, "is no priority"), ({"RuntimeResource": "nowhere"}, "may use no resource group")],
)
def test_values_that_do_not_exist(wire: Wire, cast: Cast, change: dict[str, Any], said: str) -> None:
    instance = cast.instance(cast.task())
    messages = told(wire.call("UpdateTaskInstances", TaskInstances=[{"Id": instance.pk} | change]))
    assert said in messages[instance.pk]


@pytest.mark.parametrize(
    ("items", "code"),
    [
        ([{"Id": 1}], "MissingTaskInstances.Priority"),
        ([{"Id": 1, "Priority": 1, "DataSource": {"Name": "x"}}], "InvalidTaskInstances.DataSource"),
        ([{"Id": 1, "Priority": 1}, {"Id": 1, "Priority": 3}], "InvalidTaskInstances"),
    ],
)
def test_wrong_items(wire: Wire, cast: Cast, items: list[dict[str, Any]], code: str) -> None:
    assert wire.try_call("UpdateTaskInstances", TaskInstances=items).code == code


def test_dependencies_are_removed(wire: Wire, cast: Cast) -> None:
    above = [cast.instance(cast.task(name), State.RUNNING) for name in ("a", "b")]
    below = cast.instance(cast.task("c"), State.NOT_RUN, upstream=above)
    ids = [one.pk for one in above]
    assert wire.call("RemoveTaskInstanceDependencies", Id=below.pk, UpstreamTaskInstanceIds=ids[:1])["Success"]
    below.refresh_from_db()
    assert (below.state, below.unmet) == (State.NOT_RUN, 1)
    answer = wire.try_call("RemoveTaskInstanceDependencies", Id=below.pk, UpstreamTaskInstanceIds=ids[:1])
    assert (answer.status, answer.code) == (409, "Invalid.Operation.Refused")
    wire.call("RemoveTaskInstanceDependencies", Id=below.pk, UpstreamTaskInstanceIds=ids[1:], Comment="late")
    below.refresh_from_db()
    assert (below.state, below.unmet) == (State.WAIT_RESOURCE, 0)
    assert not InstanceEdge.objects.exists()


@pytest.fixture
def run(cast: Cast) -> dict[str, TaskInstance]:
    """A run of a manual workflow: a succeeded, b failed, c behind b; all have ended."""
    workflow = cast.workflow("by_hand")
    family = WorkflowInstance.objects.create(
        workspace=cast.workspace, environment="Prod", type=WorkflowInstance.Type.MANUAL_WORKFLOW, workflow=workflow,
        name="by_hand", bizdate=BIZDATE,
    )  # fmt: skip
    made: dict[str, TaskInstance] = {}
    for name, state in (("a", State.SUCCESS), ("b", State.FAILURE), ("c", State.SUCCESS)):
        task = cast.task(name, trigger="Manual", cron="", workflow=workflow)
        made[name] = cast.instance(task, state, workflow_instance=family)
    for up, down in (("a", "b"), ("b", "c")):
        InstanceEdge.objects.create(upstream=made[up], downstream=made[down], met=True, bizdate=made[up].bizdate)
    return made


def rerun(wire: Wire, cast: Cast, run: dict[str, TaskInstance], **asked: Any) -> dict[str, Any]:
    workflow = run["a"].task.workflow
    assert workflow is not None
    named: dict[str, Any] = {"ProjectId": cast.workspace.pk, "Type": "ManualWorkflow", "WorkflowId": workflow.number}
    return wire.call("RerunWorkflowInstances", **(named | asked))


def states(run: dict[str, TaskInstance]) -> dict[str, State]:
    return {name: State(TaskInstance.objects.get(pk=one.pk).state) for name, one in run.items()}


def test_what_failed_of_a_run_and_all_behind_it(wire: Wire, cast: Cast, run: dict[str, TaskInstance]) -> None:
    asked = {"RerunDownstreamEnabled": True, "TaskInstanceStatuses": ["Failure"]}
    made = rerun(wire, cast, run, Filter=asked, Status="Failure")
    assert states(run) == {"a": State.SUCCESS, "b": State.WAIT_RESOURCE, "c": State.NOT_RUN}
    result = wire.call("GetRerunWorkflowInstancesResult", **made)["Result"]
    assert result == {"Status": "Success"}


@pytest.mark.parametrize("is_with_downstream", [False, True])
def test_a_rerun_that_extensions_are_asked_about_has_not_run_yet(
    wire: Wire, cast: Cast, run: dict[str, TaskInstance], is_with_downstream: bool
) -> None:
    owner = User.objects.create_user("guard", "ask-me-first-1", tenant=cast.tenant)
    guard = Extension.objects.create(
        tenant=cast.tenant,
        name="guard",
        owner=owner,
        points=["pre-rerun-instance"],
        webhook_url="https://guard.example.com/",
        status=Extension.Status.ONLINE,
        test_workspace=cast.workspace,
    )
    Enablement.objects.create(extension=guard, workspace=cast.workspace, is_enabled=True)
    before = states(run)
    asked = {"RerunDownstreamEnabled": is_with_downstream, "TaskInstanceStatuses": ["Failure"]}
    made = rerun(wire, cast, run, Filter=asked)
    assert states(run) == before
    assert wire.call("GetRerunWorkflowInstancesResult", **made)["Result"] == {"Status": "NotRun"}
    check = Check.objects.get()
    checked.answer_by_token(check.pk, token_of(check), Check.Verdict.FAIL, "not at night")
    result = wire.call("GetRerunWorkflowInstancesResult", **made)["Result"]
    assert result["Status"] == "Failure" and "not at night" in result["FailureMessage"]
    assert states(run) == before


def test_only_what_matches(wire: Wire, cast: Cast, run: dict[str, TaskInstance]) -> None:
    rerun(wire, cast, run, Filter={"TaskName": "C"}, Ids=[run["a"].workflow_instance_id])
    assert states(run) == {"a": State.SUCCESS, "b": State.FAILURE, "c": State.NOT_RUN}


def test_what_matches_nothing_is_an_error(wire: Wire, cast: Cast, run: dict[str, TaskInstance]) -> None:
    workflow = run["a"].task.workflow
    assert workflow is not None
    named: dict[str, Any] = {"ProjectId": cast.workspace.pk, "Type": "ManualWorkflow", "WorkflowId": workflow.number}
    for changes, code in (
        ({"Status": "Success"}, "InvalidFilter"),
        ({"Filter": {"TaskIds": [1]}}, "InvalidFilter"),
        ({"Filter": {"TaskInstanceStatuses": ["Done"]}}, "InvalidFilter.TaskInstanceStatuses"),
        ({"Type": "SmokeTest"}, "InvalidType"),
        ({"WorkflowId": 1}, "Invalid.Workflow.NotExist"),
        ({"StartTriggerTime": 1}, "InvalidStartTriggerTime"),
    ):
        assert wire.try_call("RerunWorkflowInstances", **(named | changes)).code == code, changes
    assert states(run) == {"a": State.SUCCESS, "b": State.FAILURE, "c": State.SUCCESS}
