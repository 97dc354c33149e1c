"""Undeployed tasks and their drafts; what production changed of a task when its draft is published again."""

from typing import Any

import pytest

from opscenter.base.reasons import Invalid
from opscenter.console import drafts as console_drafts
from opscenter.operations import door, drafts
from opscenter.operations.arguments import OWNER, RESOURCE_GROUP
from opscenter.operations.models import Operation
from opscenter.operations.publish import PublishRefused, publish
from opscenter.production.models import ResourceGroup, ResourceGroupAssociation, Task
from opscenter.workspaces.models import Member, User
from tests.cast import usable_group
from tests.operations.at_once import at_once
from tests.workflows.cast import Cast, document, make_cast, node
from workflows.models import Node


@pytest.fixture
def cast() -> Cast:
    made = make_cast("standard")
    usable_group(made.workspace, "night")
    return made


def bring(cast: Cast, *nodes: dict[str, Any]) -> None:
    drafts.import_document(cast.owner, cast.workspace, document(*nodes))


def deploy(cast: Cast, *names: str) -> list[Task]:
    nodes = list(Node.objects.filter(workspace=cast.workspace, name__in=names))
    return list(publish(cast.owner, cast.workspace, nodes, "because").tasks)


def do(cast: Cast, code: str, *names: str, environment: str = "Prod", **arguments: Any) -> Operation:
    ids = [task(name, environment).pk for name in names]
    return door.apply(code, cast.owner, cast.workspace, environment, ids, arguments=arguments)


def task(name: str, environment: str = "Prod") -> Task:
    return Task.objects.get(name=name, environment=environment)


@pytest.mark.django_db
def test_the_draft_stays_and_publishing_brings_the_task_back(cast: Cast) -> None:
    bring(cast, node("a"), node("b", "a"))
    deploy(cast, "a", "b")
    number = task("b").number
    assert do(cast, "undeploy_task", "b").status == "applied"
    assert (task("b").status, task("b", "Dev").status) == ("Offline", "Online")
    draft = console_drafts.draft(Node.objects.get(name="b"))
    assert (draft.state, str(draft.state_name)) == ("undeployed", "Undeployed")
    assert vars(console_drafts.workflows(cast.workspace).get())["pending_count"] == 1
    assert [one.name for one in deploy(cast, "b")] == ["b"]
    back = task("b")
    assert (back.status, back.number, back.versions.count()) == ("Online", number, 2)
    assert back.dependencies.get().upstream == task("a")


@pytest.mark.django_db
def test_nothing_new_can_depend_on_what_is_undeployed(cast: Cast) -> None:
    bring(cast, node("a"))
    deploy(cast, "a")
    do(cast, "undeploy_task", "a")
    bring(cast, node("a"), node("b", "a"))
    with pytest.raises(PublishRefused) as error:
        deploy(cast, "b")
    assert {problem.reason.code for problem in error.value.problems} == {"publish.upstream_offline"}
    assert len(deploy(cast, "a", "b")) == 2


@pytest.mark.django_db
def test_undeployed_in_dev_alone_it_is_published_there_again(cast: Cast) -> None:
    bring(cast, node("a"))
    deploy(cast, "a")
    do(cast, "undeploy_task", "a", environment="Dev")
    assert (task("a").status, task("a", "Dev").status) == ("Online", "Offline")
    assert console_drafts.draft(Node.objects.get(name="a")).state == "published"
    deploy(cast, "a")
    assert task("a", "Dev").status == "Online"


@pytest.mark.django_db
def test_what_was_frozen_is_frozen_when_it_comes_back(cast: Cast) -> None:
    """Else undeploying would be a way around the extensions that guard unfreezing."""
    bring(cast, node("a"))
    deploy(cast, "a")
    do(cast, "freeze_task", "a")
    do(cast, "undeploy_task", "a")
    deploy(cast, "a")
    assert (task("a").status, task("a").recurrence) == ("Online", "Pause")


def changed(cast: Cast) -> Task:
    """Published as the importer's, default group, priority 1; then changed in production."""
    bring(cast, node("a"))
    deploy(cast, "a")
    do(cast, "set_owner_task", "a", owner="dan")
    do(cast, "set_resource_group_task", "a", resource_group="night")
    do(cast, "set_priority_task", "a", priority=8)
    return task("a")


def facts(found: Task) -> tuple[str, str, int]:
    return found.owner.username, found.resource_group.name, found.priority


@pytest.mark.django_db
def test_what_production_changed_stays_when_the_draft_is_published_for_another_reason(cast: Cast) -> None:
    assert facts(changed(cast)) == ("dan", "night", 8)
    bring(cast, node("a", script={"content": "echo other", "runtime": {"command": "DIDE_SHELL"}}))
    assert len(deploy(cast, "a")) == 1
    assert facts(task("a")) == ("dan", "night", 8)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"owner": "dora"}, ("dora", "night", 8)),
        ({"priority": 5}, ("dan", "night", 5)),
        ({"runtimeResource": {"resourceGroup": "day"}}, ("dan", "day", 8)),
    ],
)
def test_what_the_draft_changed_itself_is_published(
    cast: Cast, fields: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    usable_group(cast.workspace, "day")
    changed(cast)
    bring(cast, node("a", **fields))
    deploy(cast, "a")
    assert facts(task("a")) == expected


@pytest.mark.django_db
def test_what_comes_back_is_as_the_draft_says(cast: Cast) -> None:
    changed(cast)
    do(cast, "undeploy_task", "a")
    deploy(cast, "a")
    assert facts(task("a")) == ("olga", "default", 1)


@pytest.mark.django_db
def test_only_a_member_becomes_an_owner_also_when_extensions_took_long(cast: Cast) -> None:
    """Judged again under the locks: somebody who left meanwhile is refused."""
    bring(cast, node("a"))
    deploy(cast, "a")
    values = OWNER.read({"owner": "dora"}, cast.workspace)
    assert values["owner_name"] == "dora" and OWNER.refuse([task("a")], values) == {}
    Member.objects.filter(user=User.objects.get(username="dora")).delete()
    assert [reason.code for reason in OWNER.refuse([task("a")], values).values()] == ["operation.owner"]


@pytest.mark.django_db
def test_only_a_group_that_the_workspace_may_use_is_chosen(cast: Cast) -> None:
    bring(cast, node("a"))
    deploy(cast, "a")
    ResourceGroup.objects.create(tenant=cast.tenant, name="of others")
    with pytest.raises(Invalid) as error:
        do(cast, "set_resource_group_task", "a", resource_group="of others")
    assert str(error.value) == "The workspace may use no resource group “of others”. It may use: default, night."
    values = RESOURCE_GROUP.read({"resource_group": "night"}, cast.workspace)
    assert RESOURCE_GROUP.refuse([task("a")], values) == {}
    ResourceGroupAssociation.objects.filter(group__name="night").delete()
    assert [reason.code for reason in RESOURCE_GROUP.refuse([task("a")], values).values()] == [
        "operation.resource_group"
    ]


@pytest.mark.django_db(transaction=True)
def test_a_task_does_not_go_while_another_is_published_that_waits_for_it() -> None:
    """Whoever is first: either the task is kept, or the publication is refused."""
    cast = make_cast()
    bring(cast, node("a"), node("b", "a"))
    for _ in range(5):
        deploy(cast, "a")
        done, published = at_once(lambda: do(cast, "undeploy_task", "a"), lambda: deploy(cast, "b"))
        gone = done.status == "applied"
        assert isinstance(published, PublishRefused) if gone else len(published) == 1
        assert task("a").status == ("Offline" if gone else "Online")
        if not gone:
            do(cast, "undeploy_task", "b", "a")
