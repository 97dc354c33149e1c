"""A walk over all addresses of the console, as everybody: nothing is open by omission."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from opscenter.workspaces.models import User, WorkspaceRole
from opscenter.workspaces.roles import OWNABLE, ROLES, Permission, granted
from tests.cast import ROLES as CAST_ROLES
from tests.cast import Cast
from tests.console.visits import as_user, url

pytestmark = pytest.mark.django_db

OPEN = {"console:login", "console:logout", "console:styleguide", "console:event_schema"}
SIGNED_IN = {
    "console:home",
    "console:profile",
    "console:password",
    "console:email",
    "console:key_create",
    "console:key_revoke",
    "console:workspace_create",
    "console:workspace_home",
}


def _walk(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, f"{pattern.namespace}:" if pattern.namespace else prefix)
        elif isinstance(pattern, URLPattern) and prefix.startswith("console:"):
            yield f"{prefix}{pattern.name}", pattern


def _views() -> dict[str, Any]:
    return dict(_walk(get_resolver().url_patterns))


def _argument(converter: Any) -> Any:
    return 1 if type(converter).__name__ == "IntConverter" else "rerun"


def _address(cast: Cast, name: str, pattern: Any) -> str:
    arguments = {key: _argument(converter) for key, converter in pattern.pattern.converters.items()}
    if "env" in _names(name):
        arguments |= {"workspace_id": cast.workspace.pk, "env": "prod"}
    elif "workspace_id" in arguments:
        arguments["workspace_id"] = cast.workspace.pk
    return reverse(name, kwargs=arguments)


def _names(name: str) -> set[str]:
    view = _views()[name].callback
    return {"env"} if hasattr(view, "permission") else set()


@pytest.fixture
def cast() -> Cast:
    return Cast()


def test_every_address_says_who_may_open_it() -> None:
    views = _views()
    assert len(views) > 30
    for name, pattern in views.items():
        if name in OPEN:
            continue
        if name in SIGNED_IN:
            assert getattr(pattern.callback, "needs_sign_in", False), name
        else:
            assert isinstance(getattr(pattern.callback, "permission", None), Permission), name


def test_who_is_not_signed_in_is_sent_to_sign_in(cast: Cast) -> None:
    for name, pattern in _views().items():
        if name in OPEN:
            continue
        address = _address(cast, name, pattern)
        allowed = Client().options(address).status_code == 405  # a page for one method alone says so first
        answer = (
            Client().post(address) if allowed and Client().get(address).status_code == 405 else Client().get(address)
        )
        assert answer.status_code == 302, name
        assert answer["Location"].startswith(reverse("console:login")), name


def test_a_stranger_finds_nothing_in_the_workspace(cast: Cast) -> None:
    client = as_user(cast.stranger)
    for name, pattern in _views().items():
        if name in OPEN | (SIGNED_IN - {"console:workspace_home"}):
            continue
        address = _address(cast, name, pattern)
        for answer in (client.get(address), client.post(address)):
            assert answer.status_code in (404, 405), (name, answer.status_code)
            assert cast.workspace.name not in answer.getvalue().decode(), name


def _needed(name: str, view: Any) -> tuple[Permission, bool]:
    """What a page asks for, and whether it is enough for own tasks; that of operations asks for what the operation needs."""
    if name == "console:instance_operate":  # the address names a rerun
        return Permission.OPERATE_INSTANCE, True
    return view.permission, view.own_counts


HALVES = [set(list(Permission)[number::2]) for number in (0, 1)]
"""Two halves of the permissions: between them each is granted once and missing once."""


@pytest.mark.parametrize("granted_ones", HALVES, ids=["one half", "the other half"])
def test_a_role_of_the_workspaces_own_opens_what_it_grants(cast: Cast, granted_ones: set[Permission]) -> None:
    own_only = OWNABLE - granted_ones
    role = WorkspaceRole.objects.create(
        workspace=cast.workspace, code="role_custom_1", name="Half of it", modified_by=cast.owner,
        grants=sorted(granted_ones | {Permission.VIEW}), own_only=sorted(own_only),
    )  # fmt: skip
    client = as_user(cast.user("half", role.code))
    for name, pattern in _views().items():
        view = pattern.callback
        if not hasattr(view, "permission"):
            continue
        needed, own_counts = _needed(name, view)
        may = needed in role.grants or (own_counts and needed in own_only)
        address = _address(cast, name, pattern)
        answer = client.get(address)
        if answer.status_code == 405:
            answer = client.post(address)
        told = answer.getvalue().decode()
        if may:
            assert answer.status_code != 403 or needed.value not in told, name
        else:
            assert answer.status_code == 403 and needed.value in told, name
    page = client.get(url(cast, "workspace")).content.decode()
    assert ("workspace.manage" in page) is (Permission.MANAGE_WORKSPACE not in granted_ones)


@pytest.mark.parametrize("who", sorted(CAST_ROLES))
def test_each_role_may_open_what_the_registry_says(cast: Cast, who: str) -> None:
    user: User = getattr(cast, who)
    client = as_user(user)
    for name, pattern in _views().items():
        view = pattern.callback
        if not hasattr(view, "permission"):
            continue
        roles = [CAST_ROLES[who]]
        needed, own_counts = _needed(name, view)
        may = granted(roles, needed, own=False) or (own_counts and granted(roles, needed, own=True))
        address = _address(cast, name, pattern)
        answer = client.get(address)
        if answer.status_code == 405:
            answer = client.post(address)
        if may:
            assert b"permission.missing" not in answer.getvalue(), name
        else:
            assert answer.status_code == 403, name
            told = answer.getvalue().decode()
            assert needed.value in told, name
            holder = next(role for role in ROLES.values() if needed in role.grants)
            assert str(holder.name) in told, name


def test_visitors_change_nothing_by_any_address(cast: Cast) -> None:
    from opscenter.workspaces.models import AuditEntry

    client = as_user(cast.visitor)
    for name, pattern in _views().items():
        if hasattr(pattern.callback, "permission") and name != "console:operation":
            answer = client.post(_address(cast, name, pattern), {"comment": "x"})
            assert answer.status_code in (403, 404, 405, 409, 422), (name, answer.status_code)
    assert not AuditEntry.objects.exclude(action__startswith="session.").exists()


def test_forms_of_other_sites_are_refused(cast: Cast) -> None:
    client = as_user(cast.owner, enforce_csrf_checks=True)
    for name, pattern in _views().items():
        if name == "console:styleguide":
            continue
        answer = client.post(_address(cast, name, pattern))
        assert answer.status_code in (403, 405), name
        if answer.status_code == 403:
            assert "csrf" in answer.getvalue().decode(), name


def test_dev_does_not_exist_in_a_basic_workspace(cast: Cast) -> None:
    client = as_user(cast.owner)
    assert client.get(url(cast, "workspace", env="dev")).status_code == 200
    assert client.get(url(cast, "workspace", env="test")).status_code == 404
    cast.workspace.mode = "basic"
    cast.workspace.save()
    assert client.get(url(cast, "workspace", env="dev")).status_code == 404
    assert client.get(url(cast, "workspace")).status_code == 200


def test_a_member_who_was_disabled_is_out_at_once(cast: Cast) -> None:
    client = as_user(cast.admin)
    assert client.get(url(cast, "workspace")).status_code == 200
    User.objects.filter(pk=cast.admin.pk).update(is_active=False)
    assert client.get(url(cast, "workspace")).status_code == 302


def test_a_part_asked_for_without_a_session_sends_the_whole_page_to_sign_in(cast: Cast) -> None:
    page = url(cast, "member_list")
    answer = Client().get(
        url(cast, "member_add"), headers={"HX-Request": "true", "HX-Current-URL": f"http://testserver{page}?x=1"}
    )
    assert answer.status_code == 200
    assert answer["HX-Redirect"].startswith(reverse("console:login"))
    assert "members/%3Fx%3D1" in answer["HX-Redirect"]


def test_a_refusal_on_an_open_page_is_a_message_not_a_page(cast: Cast) -> None:
    answer = as_user(cast.visitor).get(url(cast, "member_add"), headers={"HX-Request": "true"})
    assert answer.status_code == 403
    assert answer["HX-Retarget"] == "#toasts"
    assert b"<html" not in answer.getvalue()
