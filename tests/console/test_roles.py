"""The roles of a workspace's own, on pages: the matrix, making, changing, giving and deleting them."""

import re
from html import unescape
from typing import Any

import pytest

from opscenter.workspaces.models import Member, User, WorkspaceRole
from opscenter.workspaces.roles import PERMISSION_NAMES, ROLES, Permission
from tests.cast import Cast
from tests.console.visits import as_user, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return Cast()


def role(cast: Cast, name: str = "Night shift", *grants: Permission, own: Any = (), code: str = "role_custom_1") -> Any:
    return WorkspaceRole.objects.create(
        workspace=cast.workspace,
        code=code,
        name=name,
        grants=[Permission.VIEW, *grants],
        own_only=list(own),
        modified_by=cast.owner,
    )


def page(cast: Cast, user: User) -> str:
    return unescape(as_user(user).get(url(cast, "member_roles")).content.decode())


def cells(html: str, permission: Permission) -> list[str]:
    """The words of one line of the matrix, after its name."""
    line = re.search(rf'<td title="{permission.value}">.*?</tr>', html, re.S)
    assert line
    return [re.sub(r"<[^>]+>|\s", "", cell) for cell in re.findall(r"<td>(.*?)</td>", line[0], re.S)]


def test_the_matrix_has_a_column_for_each(cast: Cast) -> None:
    role(cast, "Night shift", Permission.OPERATE_INSTANCE, own=[Permission.OPERATE_TASK])
    role(cast, "A <b> role", code="role_custom_2")
    html = as_user(cast.visitor).get(url(cast, "member_roles")).content.decode()
    assert "A &lt;b&gt; role" in html and "A <b> role" not in html
    assert cells(html, Permission.OPERATE_INSTANCE)[-2:] == ["–", "yes"], "in the order of their names"
    assert cells(html, Permission.OPERATE_TASK)[-2:] == ["–", "own"]
    assert cells(html, Permission.VIEW)[-2:] == ["yes", "yes"]


def test_visitors_see_why_they_change_none(cast: Cast) -> None:
    made = role(cast)
    html = page(cast, cast.visitor)
    assert "None. The built-in" not in html
    assert html.count("member.manage") >= 4, "three buttons and the matrix"
    for name in ("member_role_change", "member_role_delete"):
        assert url(cast, name, pk=made.pk) not in html


def test_a_role_is_made_changed_given_and_deleted(cast: Cast) -> None:
    client = as_user(cast.admin)
    assert "None. The built-in roles" in page(cast, cast.admin)
    form = client.get(url(cast, "member_role_create")).content.decode()
    for permission in Permission:
        assert str(PERMISSION_NAMES[permission]).replace("&", "&amp;") in form
    asked = {"name": "Night shift", "description": "After ten", "grants": ["task.operate"], "own_only": ["task.test"]}
    assert client.post(url(cast, "member_role_create"), asked).status_code == 302
    made = WorkspaceRole.objects.get()
    assert (made.grants, made.own_only) == (["workspace.view", "task.operate"], ["task.test"])
    form = client.get(url(cast, "member_role_change", pk=made.pk)).content.decode()
    checked = re.findall(r'value="([a-z.]+)"[^>]*? checked', form)
    assert checked == ["workspace.view", "task.operate", "task.test"]
    client.post(url(cast, "member_role_change", pk=made.pk), asked | {"grants": ["audit.view"], "name": "Day shift"})
    made.refresh_from_db()
    assert (made.name, made.grants) == ("Day shift", ["workspace.view", "audit.view"])

    assert "Day shift" in client.get(url(cast, "member_change", uid=cast.visitor.uid)).content.decode()
    client.post(url(cast, "member_change", uid=cast.visitor.uid), {"roles": [made.code]})
    assert Member.objects.get(user=cast.visitor).roles == [made.code]
    assert "Day shift" in client.get(url(cast, "member_list")).content.decode()
    assert "Day shift" in as_user(cast.visitor).get("/profile/").content.decode()
    assert as_user(cast.visitor).get(url(cast, "audit_list")).status_code == 200

    html = page(cast, cast.admin)
    assert "acme-visitor" in html and "Give them other roles first" in html
    refused = client.post(url(cast, "member_role_delete", pk=made.pk))
    assert refused.status_code == 409 and "acme-visitor" in refused.content.decode()
    client.post(url(cast, "member_change", uid=cast.visitor.uid), {"roles": ["role_project_guest"]})
    assert client.post(url(cast, "member_role_delete", pk=made.pk)).status_code == 302
    assert not WorkspaceRole.objects.exists()
    trail = unescape(client.get(url(cast, "audit_list")).content.decode())
    for words in ("Made the role", "Changed the role", "Deleted the role", "Visitor → Day shift", "(own tasks)"):
        assert words in trail, words


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"name": ""}, "name", "This field is required"),
        ({"name": "O&M"}, "name", "There is a role “O&M” already"),
        ({"name": "x", "grants": ["task.destroy"]}, "grants", "task.destroy"),
        ({"name": "x", "own_only": ["workflow.publish"]}, "own_only", "workflow.publish"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(cast: Cast, values: dict[str, Any], field: str, words: str) -> None:
    answer = as_user(cast.admin).post(url(cast, "member_role_create"), values)
    assert answer.status_code == 422
    assert words in " ".join(map(str, answer.context["form"].errors[field]))
    assert not WorkspaceRole.objects.exists()


def test_what_one_may_not_do_oneself_is_disabled_and_says_so(cast: Cast) -> None:
    manager = role(cast, "Manager", Permission.MANAGE_MEMBERS)
    stronger = role(cast, "Releaser", Permission.PUBLISH, code="role_custom_2")
    client = as_user(cast.user("manager", manager.code))
    form = client.get(url(cast, "member_role_create")).content.decode()
    disabled = set(re.findall(r'name="grants" value="([a-z_.]+)"[^>]*? disabled', form))
    assert disabled == set(Permission) - {Permission.MANAGE_MEMBERS}
    asked = {"name": "Mine", "grants": ["workflow.publish"]}
    assert client.post(url(cast, "member_role_create"), asked).status_code == 422
    html = unescape(client.get(url(cast, "member_roles")).content.decode())
    assert html.count("The role “Releaser” allows what you may not do yourself: “Publish to production”") == 2
    assert client.get(url(cast, "member_role_change", pk=stronger.pk)).status_code == 409
    giving = client.get(url(cast, "member_change", uid=cast.visitor.uid)).content.decode()
    offered = set(re.findall(r'name="roles" value="([a-z_0-9]+)"(?![^>]*disabled)', giving))
    readers = {one.code for one in ROLES.values() if one.grants == {Permission.VIEW}}
    assert offered == readers | {manager.code}
    removals = {
        row["member"].user.username: bool(row["why_not_remove"])
        for row in client.get(url(cast, "member_list")).context["rows"]
    }
    assert removals == {
        "acme-admin": True, "acme-deployer": True, "acme-developer": True, "acme-manager": False,
        "acme-operator": True, "acme-owner": True, "acme-visitor": False,
    }  # fmt: skip
    assert client.post(url(cast, "member_remove", uid=cast.admin.uid)).status_code == 409


def test_a_role_for_emergencies_alone_opens_what_it_allows(cast: Cast) -> None:
    """Each operation asks for its own permission, not for that of the others at the same address."""
    user = cast.user("helper", role(cast, "Emergencies", Permission.EMERGENCY).code)
    instance = cast.instance(cast.task())
    address = url(cast, "instance_operate", code="set-priority")
    assert as_user(user).get(address, {"id": instance.pk}).status_code == 200
    assert as_user(user).post(address, {"id": instance.pk, "priority": 8}).status_code == 302
    instance.refresh_from_db()
    assert instance.priority == 8
    assert as_user(user).get(url(cast, "instance_operate", code="rerun"), {"id": instance.pk}).status_code == 403


def test_a_question_starts_from_what_the_objects_have(cast: Cast) -> None:
    one, other = cast.task("one", owner=cast.developer, priority=5), cast.task("other", priority=5)
    client = as_user(cast.operator)
    for code, ids, chosen in (
        ("set-owner", [one.pk], "acme-developer"),
        ("set-owner", [one.pk, other.pk], None),
        ("set-priority", [one.pk, other.pk], "5"),
    ):
        html = client.get(url(cast, "task_operate", code=code), {"id": ids}).content.decode()
        found = re.search(r'<option value="([^"]+)" selected', html)
        assert (found[1] if found else None) == chosen
