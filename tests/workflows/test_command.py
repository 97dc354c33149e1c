"""manage.py import_flowspec."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from opscenter.production.models import Task
from opscenter.workspaces.models import AuditEntry, Tenant, Workspace
from tests.workflows.cast import Cast, document, node
from workflows.models import Node

SAMPLE = str(Path(__file__).parent.parent / "flowspec" / "http_workflow.json")


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("import_flowspec", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("by", ["id", "name"])
def test_it_imports_as_the_workspaces_owner(cast: Cast, by: str) -> None:
    said = run(SAMPLE, "--workspace", str(cast.workspace.pk) if by == "id" else cast.workspace.name)
    assert "2 nodes created, 0 updated, 0 unchanged" in said
    assert "Warning: spec.workflows[0].nodes[1].runtimeResource.resourceGroup: " in said
    assert {row.owner for row in Node.objects.all()} == {cast.owner.user}
    assert AuditEntry.objects.get().face == AuditEntry.Face.COMMAND
    assert not Task.objects.exists()


def test_it_publishes(cast: Cast) -> None:
    said = run(SAMPLE, "--workspace", "shop", "--publish", "--message", "first")
    number = Task.objects.get(name="shell_1").number
    assert f"Published shell_1: task {number} (new)." in said
    again = run(SAMPLE, "--workspace", "shop", "--publish", "--message", "again")
    assert f"Left shell_1 as it is in production: task {number}." in again


def test_it_acts_as_the_user_named(cast: Cast) -> None:
    with pytest.raises(CommandError, match=r"Nothing was imported\. You lack the permission"):
        run(SAMPLE, "--workspace", "shop", "--user", "vera")
    run(SAMPLE, "--workspace", "shop", "--user", "dan")
    assert AuditEntry.objects.get().actor == cast.developer.user


def test_a_refused_document_is_told_with_places(cast: Cast, tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_text(document(node("a", priority="high"), node("b", trigger={"cron": "?"})), encoding="utf-8")
    with pytest.raises(CommandError) as caught:
        run(str(file), "--workspace", "shop")
    first, *places = str(caught.value).splitlines()
    assert first == "Nothing was imported."
    assert [line.split(": ")[0] for line in places] == [
        "spec.workflows[0].nodes[0].priority",
        "spec.workflows[0].nodes[1].trigger.cron",
    ]
    assert not Node.objects.exists()


def test_a_refused_publication_keeps_the_drafts(cast: Cast, tmp_path: Path) -> None:
    file = tmp_path / "flow.json"
    file.write_text(document(node("a", "nowhere")), encoding="utf-8")
    with pytest.raises(CommandError, match=r"(?s)nothing was published.*a, dependencies: .*nowhere"):
        run(str(file), "--workspace", "shop", "--publish", "--message", "try")
    assert Node.objects.count() == 1 and not Task.objects.exists()


def test_wrong_arguments_are_told(cast: Cast, tmp_path: Path) -> None:
    Workspace.objects.create(tenant=Tenant.objects.create(name="twin"), name="shop")
    latin = tmp_path / "latin.json"
    latin.write_bytes(b'{"name": "\xe9"}')
    for arguments, said in (
        ((SAMPLE, "--workspace", "shop"), "Several tenants"),
        ((SAMPLE, "--workspace", "nowhere"), "There is no workspace nowhere"),
        ((SAMPLE, "--workspace", str(cast.workspace.pk), "--publish"), "needs --message"),
        ((SAMPLE, "--workspace", str(cast.workspace.pk), "--user", "ghost"), "no active user ghost"),
        (("/nowhere.json", "--workspace", str(cast.workspace.pk)), "cannot be read"),
        ((str(latin), "--workspace", str(cast.workspace.pk)), "not UTF-8"),
    ):
        with pytest.raises(CommandError, match=said):
            run(*arguments)
