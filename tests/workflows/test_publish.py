"""Publishing: drafts become tasks, all of them or none."""

from collections.abc import Sequence
from datetime import time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from opscenter.base import blobs, clock
from opscenter.base.reasons import Forbidden, Invalid, NotFound
from opscenter.operations.actor import Actor
from opscenter.operations.drafts import import_document
from opscenter.operations.publish import PublishRefused, PublishReport, publish
from opscenter.production.models import (
    DataSource,
    ProductionWorkflow,
    Resource,
    ResourceVersion,
    Task,
    TaskDependency,
    TaskInstance,
    TaskOutput,
    TaskVersion,
)
from opscenter.workspaces.models import AuditEntry, Tenant, Workspace
from tests.workflows.cast import Cast, document, node
from tests.workflows.test_reader import sample
from workflows.models import Node, Workflow


def release(cast: Cast, text: str, message: str = "first") -> PublishReport:
    """Import and publish a document as the owner."""
    report = import_document(cast.owner, cast.workspace, text)
    return publish(cast.owner, cast.workspace, report.nodes, message)


def problems(cast: Cast, text: str) -> list[tuple[str, str, str]]:
    """What refuses a document's publication; makes sure that nothing was published."""
    nodes = import_document(cast.owner, cast.workspace, text).nodes
    before = stored()
    with pytest.raises(PublishRefused) as caught:
        publish(cast.owner, cast.workspace, nodes, "try")
    assert stored() == before
    assert all(problem.reason.code not in str(problem) for problem in caught.value.problems)
    assert all(str(problem) in str(caught.value) for problem in caught.value.problems)
    return [
        (problem.node_name, problem.field, problem.reason.code.removeprefix("publish."))
        for problem in caught.value.problems
    ]


def stored() -> tuple[Any, ...]:
    rows = (Task, TaskVersion, TaskOutput, TaskDependency, ProductionWorkflow, AuditEntry, TaskInstance)
    drafts = Node.objects.order_by("pk").values_list("pk", "number", "published_version")
    return (
        *(model.objects.count() for model in rows),
        *drafts,
        *Workflow.objects.values_list("number", "published_at"),
    )


def task(name: str, environment: str = "Prod") -> Task:
    return Task.objects.get(name=name, environment=environment)


def edges(environment: str = "Prod") -> set[tuple[str, str, str]]:
    rows = TaskDependency.objects.filter(task__environment=environment).select_related("task", "upstream")
    return {(row.task.name, row.upstream.name, row.output) for row in rows}


def test_http_workflow_becomes_tasks_versions_and_edges(cast: Cast) -> None:
    report = release(cast, sample("http_workflow"))
    gate, shell = report.tasks
    assert (gate.name, gate.node_type, shell.name, shell.node_type) == (
        "http_trigger",
        "http_trigger",
        "shell_1",
        "shell",
    )
    assert edges() == {
        ("http_trigger", "shop_root", "shop_root"),
        ("shell_1", "http_trigger", "7429810016123250001"),
    }
    assert set(shell.outputs.values_list("name", flat=True)) == {"5951821373034080001", f"shop.{shell.number}_out"}
    version = shell.version
    assert version is not None
    assert (version.number, version.content, version.cron) == (1, 'echo "DataWorks";', "00 30 00 * * ?")
    assert (version.instance_mode, version.rerun_mode, version.rerun_times) == ("Immediately", "AllAllowed", 3)
    assert (version.rerun_interval, version.message, version.published_by) == (180, "first", cast.owner.user)
    workflow = ProductionWorkflow.objects.get()
    assert (workflow.name, workflow.environment) == ("HTTP_Workflow", "Prod")
    assert gate.workflow == shell.workflow == workflow
    assert workflow.number == Workflow.objects.get().number
    assert list(Node.objects.order_by("pk").values_list("number", "published_version")) == [
        (gate.number, 1),
        (shell.number, 1),
    ]
    assert report.new == {gate.pk, shell.pk} and report.unchanged == () and report.warnings == ()
    assert not Task.objects.filter(environment="Dev").exists()


def test_immediately_makes_the_instances_of_today(cast: Cast) -> None:
    shanghai = clock.now().astimezone(ZoneInfo("Asia/Shanghai"))
    report = release(cast, sample("http_workflow"))
    made = TaskInstance.objects.filter(task__in=report.tasks).count()
    assert report.instances == made
    assert made == (0 if shanghai.time() >= time(23, 30) else 2)


def test_standard_mode_publishes_to_both_environments_under_one_number(cast: Cast) -> None:
    Workspace.objects.update(mode=Workspace.Mode.STANDARD)
    report = release(cast, document(node("a"), node("b", "a")))
    assert edges("Dev") == edges("Prod") == {("a", "shop_root", "shop_root"), ("b", "a", "a")}
    assert {row.environment for row in report.tasks} == {"Prod"}
    for name in ("a", "b", "shop_root"):
        assert task(name, "Dev").number == task(name, "Prod").number
    assert not TaskInstance.objects.filter(environment="Dev", task__is_root=False).exists()


def test_a_node_named_without_output_is_linked_by_its_first_output(cast: Cast) -> None:
    release(cast, document(node("a"), node("b"), flow=[{"nodeId": "b", "depends": [{"nodeId": "a"}]}]))
    assert ("b", "a", "a") in edges()


def test_a_node_published_earlier_can_be_named_alone(cast: Cast) -> None:
    release(cast, document(node("a")))
    flow = [{"nodeId": "b", "depends": [{"nodeId": "a"}]}]
    release(cast, document(node("b"), flow=flow, id="w2", name="Other"))
    assert ("b", "a", "a") in edges()


def test_outputs_reach_across_the_workspaces_of_a_tenant(cast: Cast) -> None:
    release(cast, document(node("a")))
    other = Workspace.objects.create(tenant=cast.tenant, name="other", mode=Workspace.Mode.BASIC)
    other.members.create(user=cast.owner.user, roles=["role_project_owner"])
    other.resource_groups.create(group=cast.tenant.resource_groups.get())
    report = import_document(cast.owner, other, document(node("b", "a")))
    publish(cast.owner, other, report.nodes, "across")
    assert ("b", "a", "a") in edges()


def test_publishing_again_makes_a_new_version_of_what_changed_alone(cast: Cast) -> None:
    first = release(cast, document(node("a"), node("b", "a")))
    changed = node("b", script={"content": "date", "runtime": {"command": "DIDE_SHELL"}}, priority=8)
    again = release(cast, document(node("a"), changed), "second")
    assert [row.name for row in again.unchanged] == ["a"]
    (b,) = again.tasks
    assert b.pk == first.tasks[1].pk and again.new == frozenset()
    assert b.version is not None and (b.version.number, b.version.content, b.priority) == (2, "date", 8)
    assert [version.content for version in b.versions.order_by("number")] == ["true", "date"]
    assert edges() == {("a", "shop_root", "shop_root"), ("b", "shop_root", "shop_root")}


def test_an_offline_task_comes_online_though_its_node_is_unchanged(cast: Cast) -> None:
    release(cast, document(node("a")))
    Task.objects.filter(name="a").update(status=Task.Status.OFFLINE)
    report = release(cast, document(node("a")))
    assert [row.version.number for row in report.tasks if row.version] == [2]
    assert task("a").status == Task.Status.ONLINE


@pytest.mark.parametrize(("draft", "expected"), [("Normal", "Pause"), ("Skip", "Skip")])
def test_a_freeze_in_production_stays_unless_the_draft_itself_changed(cast: Cast, draft: str, expected: str) -> None:
    release(cast, document(node("a")))
    Task.objects.update(recurrence="Pause")
    release(cast, document(node("a", recurrence=draft, description="changed")))
    assert task("a").recurrence == expected


def test_the_effective_period_is_local_to_the_tenant(cast: Cast) -> None:
    trigger = {"cron": "0 0 1 * * ?", "startTime": "2025-01-01 00:00:00", "endTime": "9999-01-01 00:00:00"}
    (row,) = release(cast, document(node("a", trigger=trigger))).tasks
    assert row.version is not None and row.version.start_at is not None
    assert row.version.start_at.isoformat() == "2025-01-01T00:00:00+08:00"
    assert row.version.end_at is None


def test_outputs_that_left_the_draft_leave_production(cast: Cast) -> None:
    release(cast, document(node("a")))
    release(cast, document(node("a", outputs={"nodeOutputs": [{"data": "new"}]})))
    number = task("a").number
    assert set(task("a").outputs.values_list("name", flat=True)) == {"new", f"shop.{number}_out"}


def test_two_nodes_may_swap_an_output(cast: Cast) -> None:
    release(cast, document(node("a"), node("b")))
    swapped = [node(key, outputs={"nodeOutputs": [{"data": other}]}) for key, other in ("ab", "ba")]
    release(cast, document(*swapped))
    assert TaskOutput.objects.get(name="a").task == task("b")


def test_an_empty_script_is_told(cast: Cast) -> None:
    report = release(cast, document(node("a", script={"runtime": {"command": "DIDE_SHELL"}})))
    assert [(item.node_name, item.field, item.reason.code) for item in report.warnings] == [
        ("a", "content", "publish.no_code")
    ]


@pytest.mark.parametrize(
    ("nodes", "flow", "expected"),
    [
        ([node("a", script={"runtime": {"command": "PYODPS3"}})], [], [("a", "type", "type_not_run")]),
        ([node("a", script=None)], [], [("a", "type", "type_missing")]),
        ([node("a", trigger=None)], [], [("a", "cron", "no_schedule")]),
        ([node("a", "nowhere")], [], [("a", "dependencies", "output_unknown")]),
        ([node("a")], [{"nodeId": "a", "depends": [{"nodeId": "z"}]}], [("a", "dependencies", "upstream_unpublished")]),
        (
            [node("a")],
            [{"nodeId": "a", "depends": [{"type": "CrossCycleDependsOnOtherNode", "output": "nowhere"}]}],
            [("a", "dependencies", "output_unknown")],
        ),
        ([node("a", "b"), node("b", "a")], [], [("a", "dependencies", "cycle")]),
        ([node("a", "a")], [], [("a", "dependencies", "cycle")]),
        (
            [node("a"), node("b", outputs={"nodeOutputs": [{"data": "a"}]})],
            [],
            [("b", "outputs", "output_twice")],
        ),
        ([node("a", outputs={"nodeOutputs": [{"data": "shop_root"}]})], [], [("a", "outputs", "output_reserved")]),
        (
            [node("a", script={"content": '##@resource_reference{"x.jar"}', "runtime": {"command": "DIDE_SHELL"}})],
            [],
            [("a", "content", "resource_missing")],
        ),
        (
            [node("a", script={"parameters": "x=${nonsense}", "runtime": {"command": "DIDE_SHELL"}})],
            [],
            [("a", "parameters", "parameter")],
        ),
        (
            [node("a", "nowhere", trigger=None), node("b", script={"runtime": {"command": "DI"}})],
            [],
            [("a", "cron", "no_schedule"), ("a", "dependencies", "output_unknown"), ("b", "type", "type_not_run")],
        ),
    ],
)
def test_problems_refuse_everything_and_are_all_told(
    cast: Cast, nodes: list[Any], flow: list[Any], expected: list[tuple[str, str, str]]
) -> None:
    assert problems(cast, document(*nodes, flow=flow)) == expected


def test_an_output_of_another_task_is_refused(cast: Cast) -> None:
    release(cast, document(node("a")))
    twin = node("b", outputs={"nodeOutputs": [{"data": "a"}]})
    assert problems(cast, document(twin, id="w2", name="Other")) == [("b", "outputs", "output_taken")]


def test_an_output_that_another_task_has_in_development_alone_is_refused(cast: Cast) -> None:
    Workspace.objects.update(mode=Workspace.Mode.STANDARD)
    release(cast, document(node("a")))
    TaskOutput.objects.filter(name="a", environment="Prod").delete()
    twin = node("b", outputs={"nodeOutputs": [{"data": "a"}]})
    assert problems(cast, document(twin, id="w2", name="Other")) == [("b", "outputs", "output_taken")]


def test_a_task_keeps_its_type(cast: Cast) -> None:
    release(cast, document(node("a")))
    assert problems(cast, document(node("a", script={"runtime": {"command": "VIRTUAL"}}))) == [
        ("a", "type", "type_changed")
    ]


def test_a_renamed_workflow_is_renamed_in_production(cast: Cast) -> None:
    release(cast, document(node("a")))
    release(cast, document(node("a"), name="Daily"))
    assert [row.name for row in ProductionWorkflow.objects.all()] == ["Daily"]


def test_an_upstream_that_is_offline_is_refused(cast: Cast) -> None:
    release(cast, document(node("a")))
    Task.objects.filter(name="a").update(status=Task.Status.OFFLINE)
    expected = [("b", "dependencies", "upstream_offline")]
    assert problems(cast, document(node("b", "a"), id="w2", name="Other")) == expected


def test_an_output_that_another_task_waits_for_cannot_go(cast: Cast) -> None:
    release(cast, document(node("a")))
    release(cast, document(node("b", "a"), id="w2", name="Other"))
    expected = [("a", "outputs", "output_in_use")]
    assert problems(cast, document(node("a", outputs={"nodeOutputs": [{"data": "new"}]}))) == expected


def test_an_output_that_the_same_publication_gives_up_is_unknown(cast: Cast) -> None:
    release(cast, document(node("a")))
    text = document(node("a", outputs={"nodeOutputs": [{"data": "new"}]}), node("b", "a"))
    assert problems(cast, text) == [("b", "dependencies", "output_unknown")]


def test_a_cycle_through_tasks_in_production_is_refused(cast: Cast) -> None:
    release(cast, document(node("a")))
    release(cast, document(node("b", "a"), id="w2", name="Other"))
    assert problems(cast, document(node("a", "b"))) == [("a", "dependencies", "cycle")]


def test_a_resource_that_exists_may_be_named(cast: Cast) -> None:
    resource = Resource.objects.create(workspace=cast.workspace, name="x.jar")
    ResourceVersion.objects.create(resource=resource, number=1, blob=blobs.put(b"jar"), uploaded_by=cast.owner.user)
    script = {"content": '##@resource_reference{"x.jar"}\ndate', "runtime": {"command": "DIDE_SHELL"}}
    assert len(release(cast, document(node("a", script=script))).tasks) == 1


def test_the_publication_is_in_the_audit_trail(cast: Cast) -> None:
    release(cast, document(node("a")), "why")
    entry = AuditEntry.objects.get(action="workflow.publish")
    assert (entry.actor, entry.object_name, entry.params["message"]) == (cast.owner.user, "Nightly", "why")
    assert [item["name"] for item in entry.params["tasks"]] == ["a"]


def nodes_of(cast: Cast) -> Sequence[Node]:
    return import_document(cast.developer, cast.workspace, document(node("a"))).nodes


@pytest.mark.parametrize("message", ["", "  ", "x" * 1001])
def test_a_message_is_needed(cast: Cast, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        publish(cast.owner, cast.workspace, nodes_of(cast), message)
    assert caught.value.reason.code == "publish.message"


def test_nodes_of_this_workspace_are_needed(cast: Cast) -> None:
    elsewhere = Workspace.objects.create(tenant=Tenant.objects.create(name="foreign"), name="shop")
    elsewhere.members.create(user=cast.owner.user, roles=["role_project_owner"])
    for workspace, nodes in ((cast.workspace, []), (elsewhere, nodes_of(cast))):
        with pytest.raises(Invalid) as caught:
            publish(cast.owner, workspace, nodes, "try")
        assert caught.value.reason.code == "publish.nodes"


def test_who_may_publish(cast: Cast) -> None:
    nodes = nodes_of(cast)

    def refused_to(actor: Actor) -> type[Exception] | None:
        try:
            publish(actor, cast.workspace, nodes, "try")
        except (Forbidden, NotFound) as error:
            return type(error)
        return None

    assert refused_to(cast.developer) is Forbidden
    assert refused_to(cast.visitor) is Forbidden
    assert refused_to(cast.stranger) is NotFound
    assert refused_to(cast.deployer) is None


def sql(key: str = "a", source: Any = "warehouse", command: str = "SQL") -> dict[str, Any]:
    """A SQL node on a data source."""
    script = {"content": "select 1", "runtime": {"command": command}}
    return node(key, script=script, datasource=source and {"name": source})


def add_source(cast: Cast, environment: str = "Prod", name: str = "warehouse") -> DataSource:
    return DataSource.objects.create(
        workspace=cast.workspace, environment=environment, name=name, type="sqlite", settings={"file": "x.db"},
        modified_by=cast.owner.user,
    )  # fmt: skip


def test_a_sql_node_needs_its_data_source_in_each_environment(cast: Cast) -> None:
    assert problems(cast, document(sql(source=None))) == [("a", "data_source", "no_data_source")]
    assert problems(cast, document(sql())) == [("a", "data_source", "data_source_missing")]
    add_source(cast, "Prod")
    other = Workspace.objects.create(tenant=cast.tenant, name="other")
    DataSource.objects.update(workspace=other)
    assert problems(cast, document(sql())) == [("a", "data_source", "data_source_missing")]
    DataSource.objects.update(workspace=cast.workspace)
    Workspace.objects.filter(pk=cast.workspace.pk).update(mode=Workspace.Mode.STANDARD)
    assert problems(cast, document(sql())) == [("a", "data_source", "data_source_missing")]
    add_source(cast, "Dev")
    report = release(cast, document(sql()))
    assert [row.version.data_source for row in report.tasks if row.version] == ["warehouse"]
    assert set(TaskVersion.objects.filter(task__node_type="sql").values_list("data_source", flat=True)) == {"warehouse"}


def test_anothers_sql_becomes_ours_once_its_data_source_is_there(cast: Cast) -> None:
    text = document(sql(command="ODPS_SQL"))
    assert problems(cast, text) == [("a", "type", "type_not_run")]
    add_source(cast)
    (row,) = release(cast, text).tasks
    assert (row.node_type, row.version and row.version.data_source) == ("sql", "warehouse")


def test_a_node_stored_before_there_were_data_sources_is_as_it_was(cast: Cast) -> None:
    release(cast, document(node("a")))
    stored_node = Node.objects.get()
    del stored_node.definition["data_source"]
    stored_node.save(update_fields=["definition"])
    report = import_document(cast.owner, cast.workspace, document(node("a")))
    assert [row.name for row in report.unchanged] == ["a"]


def on(group: str) -> str:
    return document(node("a", runtimeResource={"resourceGroup": group}))


def test_a_group_that_is_not_associated_refuses_the_publication_with_the_reason(cast: Cast) -> None:
    fast = cast.tenant.resource_groups.create(name="fast")
    assert problems(cast, on("fast")) == [("a", "resource_group", "group_not_associated")]
    cast.workspace.resource_groups.create(group=fast)
    release(cast, on("fast"))
    assert task("a").resource_group == fast
    script = {"content": "echo again", "runtime": {"command": "DIDE_SHELL"}}
    text = document(node("a", script=script, runtimeResource={"resourceGroup": "fast"}))
    cast.workspace.resource_groups.filter(group=fast).delete()
    assert problems(cast, text) == [("a", "resource_group", "group_not_associated")]
    default = cast.tenant.resource_groups.get(name="default")
    Task.objects.filter(name="a").update(
        resource_group=default
    )  # changed in production, so that it could be taken away
    release(cast, text)
    assert task("a").resource_group == default, "the draft still says what it said; production keeps its own"
    cast.workspace.resource_groups.all().delete()
    assert problems(cast, document(node("b"))) == [("b", "resource_group", "group_not_associated")]
