"""Importing documents: all of it becomes drafts, or nothing does."""

import pytest

from opscenter.base.reasons import Forbidden, NotFound, Refused
from opscenter.operations.drafts import import_document
from opscenter.production.models import ResourceGroup, Task
from opscenter.workspaces.models import AuditEntry
from tests.workflows.cast import Cast, document, node
from tests.workflows.test_reader import REFUSED, TABLE, sample
from workflows.flowspec import BadDocument
from workflows.models import Node, NodeVersion, Workflow

EXPECTED = {  # beside the reader's own warnings
    "dide_shell": {"owner_unknown", "resource_group_unknown"},
    "dowhile": {"owner_unknown", "resource_group_unknown"},
    "example": {"owner_unknown", "resource_group_unknown"},
    "http_workflow": {"resource_group_unknown"},
    "real-case-single-python-spec": {"owner_unknown", "resource_group_unknown"},
    "real_case": {"owner_unknown"},
    "shell-node-spec": {"owner_unknown"},
    "single-sql-node-spec": {"owner_unknown"},
}


def stored() -> tuple[int, int, int, int]:
    return (Workflow.objects.count(), Node.objects.count(), NodeVersion.objects.count(), AuditEntry.objects.count())


@pytest.mark.parametrize("name", TABLE)
def test_samples_become_drafts(cast: Cast, name: str) -> None:
    workflow, types, _ = TABLE[name]
    report = import_document(cast.developer, cast.workspace, sample(name))
    assert {row.source_id: row.node_type for row in Node.objects.all()} == types
    assert [row.name for row in Workflow.objects.all()] == ([workflow] if workflow else [])
    assert {row.workflow and row.workflow.name for row in report.nodes} == {workflow}
    codes = {problem.code for problem in report.warnings}
    assert {code.removeprefix("import.") for code in codes if code.startswith("import.")} == EXPECTED.get(name, set())
    assert all(problem.code not in str(problem) for problem in report.warnings)
    assert not Task.objects.exists()


@pytest.mark.parametrize("name", REFUSED)
def test_samples_without_nodes_leave_nothing(cast: Cast, name: str) -> None:
    with pytest.raises(BadDocument):
        import_document(cast.developer, cast.workspace, sample(name))
    assert stored() == (0, 0, 0, 0)


def test_all_samples_fit_into_one_workspace(cast: Cast) -> None:
    for name in TABLE:
        import_document(cast.developer, cast.workspace, sample(name))
    assert Node.objects.count() == len({key for _, types, _ in TABLE.values() for key in types})


def test_importing_the_same_again_changes_nothing(cast: Cast) -> None:
    text = sample("http_workflow")
    first = import_document(cast.developer, cast.workspace, text)
    again = import_document(cast.owner, cast.workspace, text)
    assert [row.pk for row in again.nodes] == [row.pk for row in first.nodes]
    assert (again.created, again.updated) == ((), ())
    assert list(NodeVersion.objects.values_list("number", flat=True)) == [1, 1]


def test_importing_a_changed_node_gives_it_a_version_and_leaves_the_others(cast: Cast) -> None:
    import_document(cast.developer, cast.workspace, document(node("a"), node("b")))
    report = import_document(cast.owner, cast.workspace, document(node("a"), node("b", priority=8)))
    (changed,) = report.updated
    changed.refresh_from_db()
    assert (changed.source_id, changed.version, changed.definition["priority"]) == ("b", 2, 8)
    assert changed.modified_by == cast.owner.user
    assert [row.source_id for row in report.unchanged] == ["a"]
    assert [version.definition["priority"] for version in changed.versions.order_by("number")] == [1, 8]


def test_owner_and_resource_group_are_found_by_name_and_number(cast: Cast) -> None:
    ResourceGroup.objects.create(tenant=cast.tenant, name="fast")
    owners = (cast.deployer.user.username, str(cast.deployer.user.uid))
    nodes = [
        node(key, owner=owner, runtimeResource={"resourceGroup": "fast"})
        for key, owner in zip("ab", owners, strict=True)
    ]
    report = import_document(cast.developer, cast.workspace, document(*nodes))
    assert report.warnings == ()
    assert [(row.owner, row.definition["resource_group"]) for row in report.nodes] == [(cast.deployer.user, "fast")] * 2


def test_an_owner_who_is_no_member_is_replaced_by_the_importer(cast: Cast) -> None:
    report = import_document(cast.developer, cast.workspace, document(node("a", owner="sam"), node("b", owner="sam")))
    (warning,) = report.warnings
    assert (warning.path, warning.code) == ("spec.workflows[0].nodes[0].owner", "import.owner_unknown")
    assert {row.owner for row in report.nodes} == {cast.developer.user}


def test_another_time_zone_is_told_once(cast: Cast) -> None:
    trigger = {"cron": "0 0 1 * * ?", "timezone": "Europe/Berlin"}
    report = import_document(
        cast.developer, cast.workspace, document(node("a", trigger=trigger), node("b", trigger=trigger))
    )
    assert [(problem.path, problem.code) for problem in report.warnings] == [
        ("spec.workflows[0].nodes[0].trigger.timezone", "import.time_zone")
    ]


def test_a_renamed_workflow_is_recognised_by_its_id(cast: Cast) -> None:
    first = import_document(cast.developer, cast.workspace, document(node("a")))
    again = import_document(cast.developer, cast.workspace, document(node("a"), name="Daily"))
    assert first.workflow == again.workflow
    assert [row.name for row in Workflow.objects.all()] == ["Daily"]


def test_a_name_that_another_workflow_has_is_refused_and_nothing_is_kept(cast: Cast) -> None:
    import_document(cast.developer, cast.workspace, document(node("a")))
    before = stored()
    with pytest.raises(Refused) as caught:
        import_document(cast.developer, cast.workspace, document(node("b"), id="w2"))
    assert caught.value.reason.code == "import.workflow_name_taken"
    assert stored() == before


def test_a_node_of_another_workflow_is_moved_and_told(cast: Cast) -> None:
    import_document(cast.developer, cast.workspace, document(node("a")))
    report = import_document(cast.developer, cast.workspace, document(node("a"), id="w2", name="Other"))
    assert [problem.code for problem in report.warnings] == ["import.node_moved"]
    assert Node.objects.get().workflow == report.workflow


def test_a_node_that_left_the_document_stays_and_is_told(cast: Cast) -> None:
    import_document(cast.developer, cast.workspace, document(node("a"), node("b")))
    report = import_document(cast.developer, cast.workspace, document(node("a")))
    assert [(problem.code, problem.params) for problem in report.warnings] == [("import.node_left", {"node": "b"})]
    assert Node.objects.filter(source_id="b").exists()


def test_a_refused_document_leaves_everything_as_it_was(cast: Cast) -> None:
    import_document(cast.developer, cast.workspace, document(node("a")))
    before, definition = stored(), Node.objects.get().definition
    with pytest.raises(BadDocument):
        import_document(cast.developer, cast.workspace, document(node("a", priority=8), node("b", rerunMode="?")))
    assert stored() == before
    assert Node.objects.get().definition == definition


def test_the_import_is_in_the_audit_trail(cast: Cast) -> None:
    import_document(cast.developer, cast.workspace, document(node("a")))
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.object_name) == ("workflow.import", cast.developer.user, "Nightly")
    assert entry.params["created"] == ["a"]


def test_who_may_not_develop_is_refused_before_the_document_is_read(cast: Cast) -> None:
    with pytest.raises(Forbidden):
        import_document(cast.visitor, cast.workspace, "no document")
    with pytest.raises(NotFound):
        import_document(cast.stranger, cast.workspace, "no document")


def test_importing_again_does_not_take_a_node_from_its_owner(cast: Cast) -> None:
    text = document(node("a", owner="nobody"))
    import_document(cast.developer, cast.workspace, text)
    report = import_document(cast.owner, cast.workspace, text)
    assert [row.owner for row in report.unchanged] == [cast.developer.user]
    assert Workflow.objects.get().owner == cast.developer.user
