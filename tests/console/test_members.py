"""Members, their roles, new users."""

import pytest

from opscenter.workspaces.models import AuditEntry, Member, User
from opscenter.workspaces.roles import ADMIN, OWNER, PERMISSION_NAMES, ROLES, Permission
from tests.cast import PASSWORD, Cast
from tests.console.visits import as_user, url

pytestmark = pytest.mark.django_db
DEVELOP = "role_project_dev"


@pytest.fixture
def cast() -> Cast:
    return Cast()


def _roles(cast: Cast, user: User) -> list[str]:
    return Member.objects.get(workspace=cast.workspace, user=user).roles


def test_a_visitor_sees_everybody_and_changes_nobody(cast: Cast) -> None:
    User.objects.filter(pk=cast.developer.pk).update(display_name="<script>alert(1)</script>")
    page = as_user(cast.visitor).get(url(cast, "member_list")).content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert page.count("member.manage") > 6, "every disabled button says why"
    assert url(cast, "member_change", uid=cast.developer.uid) not in page


def test_somebody_of_the_tenant_becomes_a_member(cast: Cast) -> None:
    new = cast.user("new")
    client = as_user(cast.admin)
    assert new.username in client.get(url(cast, "member_add")).content.decode()
    answer = client.post(url(cast, "member_add"), {"username": new.username, "roles": ["role_project_pe", DEVELOP]})
    assert answer.status_code == 302
    assert _roles(cast, new) == [DEVELOP, "role_project_pe"], "in the registry's order"
    assert as_user(new).get(url(cast, "workspace")).status_code == 200
    entry = AuditEntry.objects.get(action="member.add")
    assert (entry.object_id, entry.params["roles"]) == (str(new.uid), [DEVELOP, "role_project_pe"])


@pytest.mark.parametrize(
    ("username", "roles", "field"),
    [
        ("acme-stranger", [DEVELOP], "username"),
        ("nobody", [DEVELOP], "username"),
        ("acme-visitor", [DEVELOP], "username"),
        ("acme-free", [], "roles"),
        ("acme-free", [OWNER], "roles"),
        ("acme-free", ["role_project_king"], "roles"),
        ("a\0b", [DEVELOP], "username"),
    ],
)
def test_who_cannot_be_added_is_told_at_the_field(cast: Cast, username: str, roles: list[str], field: str) -> None:
    cast.user("free")
    before = Member.objects.count()
    answer = as_user(cast.admin).post(url(cast, "member_add"), {"username": username, "roles": roles})
    assert answer.status_code == 422
    assert field in answer.context["form"].errors
    assert Member.objects.count() == before


def test_new_roles_hold_at_once(cast: Cast) -> None:
    visitor = as_user(cast.visitor)
    assert visitor.get(url(cast, "member_add")).status_code == 403
    address = url(cast, "member_change", uid=cast.visitor.uid)
    assert as_user(cast.owner).post(address, {"roles": [ADMIN]}).status_code == 302
    assert visitor.get(url(cast, "member_add")).status_code == 200
    assert AuditEntry.objects.get(action="member.change_roles").params == {
        "before": ["role_project_guest"],
        "after": [ADMIN],
    }


def test_an_owner_keeps_the_role_whatever_the_form_says(cast: Cast) -> None:
    address = url(cast, "member_change", uid=cast.owner.uid)
    assert as_user(cast.admin).post(address, {"roles": []}).status_code == 302
    assert _roles(cast, cast.owner) == [OWNER]
    as_user(cast.admin).post(address, {"roles": [DEVELOP]})
    assert _roles(cast, cast.owner) == [OWNER, DEVELOP]


def test_nobody_becomes_owner_by_a_form(cast: Cast) -> None:
    answer = as_user(cast.admin).post(url(cast, "member_change", uid=cast.admin.uid), {"roles": [OWNER]})
    assert answer.status_code == 422
    assert _roles(cast, cast.admin) == [ADMIN]


def test_a_removed_member_is_a_stranger(cast: Cast) -> None:
    client = as_user(cast.admin)
    address = url(cast, "member_remove", uid=cast.visitor.uid)
    assert "lose access at once" in client.get(address).content.decode()
    assert Member.objects.filter(user=cast.visitor).exists()
    assert client.post(address).status_code == 302
    assert as_user(cast.visitor).get(url(cast, "workspace")).status_code == 404
    assert client.post(address).status_code == 404
    assert AuditEntry.objects.get(action="member.remove").object_name == cast.visitor.username


def test_a_workspace_is_never_without_an_owner(cast: Cast) -> None:
    address = url(cast, "member_remove", uid=cast.owner.uid)
    for user in (cast.owner, cast.admin):
        answer = as_user(user).post(address)
        assert answer.status_code == 409
        assert "only owner" in answer.content.decode()
    second = cast.user("second", OWNER)
    answer = as_user(cast.admin).post(address)
    assert answer.status_code == 409
    assert "only another owner" in answer.content.decode()
    assert as_user(second).post(address).status_code == 302
    assert _roles(cast, second) == [OWNER]


def test_members_of_other_workspaces_are_out_of_reach(cast: Cast) -> None:
    other = Cast("globex")
    for view in ("member_change", "member_remove"):
        answer = as_user(cast.owner).post(url(cast, view, uid=other.visitor.uid), {"roles": [ADMIN]})
        assert answer.status_code == 404
    assert _roles(other, other.visitor) == ["role_project_guest"]


def test_tenant_administrators_make_users_whose_password_is_shown_once(
    cast: Cast, capsys: pytest.CaptureFixture[str]
) -> None:
    User.objects.filter(pk=cast.admin.pk).update(is_tenant_admin=True)
    client = as_user(cast.admin)
    values = {"username": "newcomer", "display_name": "New <b>", "roles": [DEVELOP]}
    answer = client.post(url(cast, "member_create_user"), values)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    user = User.objects.get(username="newcomer")
    assert user.tenant == cast.tenant
    password = answer.context["secret"]
    assert user.check_password(password)
    assert password in answer.content.decode()
    page = client.get(url(cast, "member_list")).content.decode()
    entries = str(list(AuditEntry.objects.values()))
    printed = capsys.readouterr()
    for place in (page, entries, printed.out, printed.err):
        assert password not in place
    assert {entry.action for entry in AuditEntry.objects.all()} >= {"user.create", "member.add"}


def test_others_make_no_users(cast: Cast) -> None:
    answer = as_user(cast.owner).post(url(cast, "member_create_user"), {"username": "newcomer", "roles": [DEVELOP]})
    assert answer.status_code == 403
    assert not User.objects.filter(username="newcomer").exists()


@pytest.mark.parametrize(("username", "roles"), [("acme-stranger", [DEVELOP]), ("1x", [DEVELOP]), ("fine", [])])
def test_a_user_that_cannot_be_is_not_made_by_half(cast: Cast, username: str, roles: list[str]) -> None:
    User.objects.filter(pk=cast.admin.pk).update(is_tenant_admin=True)
    before = User.objects.count()
    answer = as_user(cast.admin).post(url(cast, "member_create_user"), {"username": username, "roles": roles})
    assert answer.status_code == 422
    assert User.objects.count() == before


def test_the_matrix_is_the_registry(cast: Cast) -> None:
    answer = as_user(cast.visitor).get(url(cast, "member_roles"))
    page = answer.content.decode()
    for role in ROLES.values():
        assert str(role.name).replace("&", "&amp;") in page
    columns = answer.context["columns"]
    for row in answer.context["matrix"]:
        permission = Permission(row["code"])
        assert row["name"] == PERMISSION_NAMES[permission]
        for role, cell in zip(columns, row["cells"], strict=True):
            expected = "yes" if permission in role.grants else "own" if permission in role.own_only else ""
            assert cell == expected, (role.code, permission)
    for role in answer.context["readers"]:
        assert (role.grants, role.own_only) == ({Permission.VIEW}, frozenset())


def test_the_password_of_nobody_is_on_a_page(cast: Cast) -> None:
    page = as_user(cast.owner).get(url(cast, "member_list")).content.decode()
    assert cast.visitor.password not in page
    assert PASSWORD not in page
