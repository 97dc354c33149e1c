"""The workspace's page, its settings, new workspaces."""

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from opscenter.production.models import Task
from opscenter.workspaces.models import AuditEntry, Member, Tenant, User, Workspace
from opscenter.workspaces.roles import OWNER
from tests.cast import Cast
from tests.console.visits import as_user, url

pytestmark = pytest.mark.django_db
CREATE = "console:workspace_create"


@pytest.fixture
def cast() -> Cast:
    return Cast()


def _tenant_admin(cast: Cast) -> User:
    User.objects.filter(pk=cast.admin.pk).update(is_tenant_admin=True)
    cast.admin.refresh_from_db()
    return cast.admin


def test_it_says_what_programs_need(cast: Cast) -> None:
    page = as_user(cast.visitor).get(url(cast, "workspace")).content.decode()
    for text in (str(cast.workspace.pk), cast.workspace.name, "127.0.0.1:", f"{cast.workspace.name}_root", "UTC"):
        assert text in page
    assert "workspace.manage" in page, "the disabled button says which permission is missing"


KEPT = {"keep_instances": "90", "keep_logs": "30", "keep_events": "30", "keep_receipts": "90"}


@pytest.mark.parametrize("days", ["0", "-1", "36501", "x", ""])
def test_days_of_retention_are_a_number_from_one_on(cast: Cast, days: str) -> None:
    answer = as_user(cast.admin).post(url(cast, "workspace_edit"), {**KEPT, "keep_instances": days})
    assert "keep_instances" in answer.context["form"].errors
    cast.workspace.refresh_from_db()
    assert cast.workspace.keep_instances == 90


def test_settings_are_saved_and_told(cast: Cast) -> None:
    values = {"display_name": "Daily <i>", "description": "x" * 1000, **KEPT, "keep_logs": "7"}
    answer = as_user(cast.admin).post(url(cast, "workspace_edit"), values)
    assert answer.status_code == 302
    cast.workspace.refresh_from_db()
    assert (cast.workspace.display_name, cast.workspace.periodic_scheduling) == ("Daily <i>", False)
    entry = AuditEntry.objects.get(action="workspace.update")
    assert entry.params["changed"]["periodic_scheduling"] == [True, False]
    assert entry.params["changed"]["keep_logs"] == [30, 7]
    page = as_user(cast.visitor).get(url(cast, "workspace")).content.decode()
    assert "Daily &lt;i&gt;" in page
    assert "Periodic scheduling is off" in page
    assert "their logs 7 days" in page


def test_saving_nothing_new_leaves_no_entry(cast: Cast) -> None:
    as_user(cast.admin).post(url(cast, "workspace_edit"), {"periodic_scheduling": "on", **KEPT})
    assert not AuditEntry.objects.filter(action="workspace.update").exists()


def test_too_long_a_description_comes_back_with_what_was_entered(cast: Cast) -> None:
    answer = as_user(cast.admin).post(
        url(cast, "workspace_edit"), {"description": "x" * 1001}, headers={"HX-Request": "true"}
    )
    assert answer.status_code == 422
    assert "x" * 1001 in answer.content.decode()
    assert answer.content.decode().lstrip().startswith("<dialog")


@pytest.mark.parametrize(("mode", "environments"), [("standard", {"Prod", "Dev"}), ("basic", {"Prod"})])
def test_tenant_administrators_make_workspaces(cast: Cast, mode: str, environments: set[str]) -> None:
    answer = as_user(_tenant_admin(cast)).post(reverse(CREATE), {"name": "lab", "mode": mode})
    workspace = Workspace.objects.get(name="lab")
    assert answer["Location"] == reverse("console:workspace", kwargs={"workspace_id": workspace.pk, "env": "prod"})
    assert workspace.tenant == cast.tenant
    assert Member.objects.get(workspace=workspace).roles == [OWNER]
    roots = Task.objects.filter(workspace=workspace, is_root=True)
    assert {task.environment for task in roots} == environments
    assert AuditEntry.objects.filter(action="workspace.create", workspace=workspace, actor=cast.admin).exists()


def test_nobody_else_makes_workspaces(cast: Cast) -> None:
    for user in (cast.owner, cast.stranger):
        client = as_user(user)
        assert client.get(reverse(CREATE)).status_code == 403
        assert client.post(reverse(CREATE), {"name": "lab", "mode": "basic"}).status_code == 403
    assert Workspace.objects.count() == 1


@pytest.mark.parametrize("name", ["acme_daily", "1abc", "a b", "", "名字", "x" * 64, "a\0b"])
def test_a_bad_name_is_refused_at_its_field(cast: Cast, name: str) -> None:
    answer = as_user(_tenant_admin(cast)).post(reverse(CREATE), {"name": name, "mode": "basic", "description": "kept"})
    assert answer.status_code == 422
    assert "name" in answer.context["form"].errors
    assert "kept" in answer.content.decode()
    assert Workspace.objects.count() == 1


def test_two_tenants_may_use_the_same_name(cast: Cast) -> None:
    User.objects.filter(pk=cast.stranger.pk).update(is_tenant_admin=True)
    answer = as_user(cast.stranger).post(reverse(CREATE), {"name": cast.workspace.name, "mode": "basic"})
    assert answer.status_code == 302


def test_commands_make_a_tenant_and_a_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("correct-horse-battery\n"))
    call_command(
        "create_tenant", "globex", time_zone="Asia/Tokyo", admin="hank", password_stdin=True, stdout=io.StringIO()
    )
    tenant = Tenant.objects.get(name="globex")
    hank = User.objects.get(username="hank")
    assert hank.is_tenant_admin
    assert hank.tenant == tenant
    assert hank.check_password("correct-horse-battery")
    call_command("create_workspace", "night", owner="hank", mode="basic", stdout=io.StringIO())
    workspace = Workspace.objects.get(name="night", tenant=tenant)
    assert Member.objects.get(workspace=workspace, user=hank).roles == [OWNER]
    assert {entry.face for entry in AuditEntry.objects.filter(tenant=tenant)} == {"command"}


@pytest.mark.parametrize(
    ("name", "zone", "admin", "password"),
    [
        ("acme", "UTC", "new", "correct-horse-battery"),
        ("globex", "Mars/Olympus", "new", "correct-horse-battery"),
        ("globex", "UTC", "acme-admin", "correct-horse-battery"),
        ("globex", "UTC", "new", "short"),
        ("no spaces", "UTC", "new", "correct-horse-battery"),
    ],
)
def test_a_tenant_that_cannot_be_is_not_made_by_half(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, name: str, zone: str, admin: str, password: str
) -> None:
    import io

    before = (Tenant.objects.count(), User.objects.count())
    monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
    with pytest.raises(CommandError):
        call_command("create_tenant", name, time_zone=zone, admin=admin, password_stdin=True)
    assert (Tenant.objects.count(), User.objects.count()) == before
