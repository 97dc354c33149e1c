"""Signing in and out, where one lands, the password."""

import pytest
from django.test import Client
from django.urls import reverse

from opscenter.console import sign_in
from opscenter.console.models import SignInAttempt
from opscenter.workspaces.models import AuditEntry, User
from tests.cast import PASSWORD, Cast
from tests.console.visits import as_user, url

pytestmark = pytest.mark.django_db
WRONG = "The user name or the password is wrong."


@pytest.fixture
def cast() -> Cast:
    return Cast()


def _sign_in(client: Client, username: str, password: str, **more: str) -> tuple[int, str]:
    answer = client.post(reverse("console:login"), {"username": username, "password": password, **more})
    return answer.status_code, answer.content.decode() if answer.status_code != 302 else answer["Location"]


def test_signing_in_leads_where_one_wanted_to_go(cast: Cast) -> None:
    client = Client()
    wanted = url(cast, "member_list") + "?q=1"
    page = client.get(wanted, follow=True)
    assert page.context["next"] == wanted
    assert _sign_in(client, cast.admin.username, PASSWORD, next=wanted) == (302, wanted)
    assert client.get(wanted).status_code == 200
    entry = AuditEntry.objects.get(action="session.sign_in")
    assert (entry.actor, entry.tenant, entry.address) == (cast.admin, cast.tenant, "127.0.0.1")


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\r\nX: y"])
def test_it_never_leads_to_another_site(cast: Cast, elsewhere: str) -> None:
    assert _sign_in(Client(), cast.admin.username, PASSWORD, next=elsewhere) == (302, "/")


def test_the_session_gets_another_key(cast: Cast) -> None:
    client = Client()
    client.get(reverse("console:login"))
    session = client.session
    session["x"] = 1
    session.save()
    before = session.session_key
    _sign_in(client, cast.admin.username, PASSWORD)
    assert client.session.session_key != before


def test_unknown_names_wrong_passwords_and_disabled_users_get_one_answer(cast: Cast) -> None:
    User.objects.filter(pk=cast.visitor.pk).update(is_active=False)
    answers = [
        _sign_in(Client(), cast.admin.username, "not-the-password"),
        _sign_in(Client(), "nobody-at-all", "not-the-password"),
        _sign_in(Client(), cast.visitor.username, PASSWORD),
    ]
    for status, page in answers:
        assert status == 422
        assert WRONG in page
        assert "not-the-password" not in page
    assert 'value="nobody-at-all"' in answers[1][1], "what was entered is kept"
    failed = AuditEntry.objects.filter(action="session.sign_in_failed")
    assert {entry.object_id for entry in failed} == {str(cast.admin.uid), str(cast.visitor.uid)}


@pytest.mark.parametrize("exists", [True, False])
def test_after_ten_failures_one_waits_whoever_one_is(cast: Cast, exists: bool) -> None:
    name = cast.admin.username if exists else "nobody-at-all"
    for _ in range(sign_in.PER_ACCOUNT):
        assert WRONG in _sign_in(Client(), name, "wrong")[1]
    status, page = _sign_in(Client(), name, PASSWORD)
    assert status == 422
    assert "Too many attempts. Wait 10 minutes" in page
    assert SignInAttempt.objects.count() == sign_in.PER_ACCOUNT, "waiting is not made longer by trying"
    assert _sign_in(Client(), cast.owner.username, PASSWORD)[0] == 302, "others are not locked out"


def test_the_wait_ends(cast: Cast) -> None:
    for _ in range(sign_in.PER_ACCOUNT + 1):
        _sign_in(Client(), cast.admin.username, "wrong")
    for attempt in SignInAttempt.objects.all():
        attempt.at -= sign_in.WINDOW
        attempt.save()
    assert _sign_in(Client(), cast.admin.username, PASSWORD)[0] == 302


def test_one_address_cannot_try_many_names(cast: Cast) -> None:
    SignInAttempt.objects.bulk_create(
        SignInAttempt(username=f"name{n}", address="127.0.0.1") for n in range(sign_in.PER_ADDRESS)
    )
    assert "Too many attempts" in _sign_in(Client(), cast.admin.username, PASSWORD)[1]


@pytest.mark.parametrize("name", ["", "a" * 64, "x\0y", "<script>alert(1)</script>", "名字"])
def test_any_name_can_be_typed(cast: Cast, name: str) -> None:
    status, page = _sign_in(Client(), name, "x" * 100)
    assert status == 422
    assert "<script>alert" not in page


def test_signing_out_needs_a_form_and_ends_the_session(cast: Cast) -> None:
    client = as_user(cast.admin)
    assert client.get(reverse("console:logout")).status_code == 405
    assert client.get(reverse("console:profile")).status_code == 200
    assert client.post(reverse("console:logout")).status_code == 302
    assert client.get(reverse("console:profile")).status_code == 302
    assert AuditEntry.objects.filter(action="session.sign_out", actor=cast.admin).count() == 1


def test_the_start_page_is_the_workspace_that_was_open_last(cast: Cast) -> None:
    client = as_user(cast.admin)
    assert client.get("/")["Location"] == url(cast, "instance_list")
    client.get(url(cast, "workspace", env="dev"))
    assert client.get("/")["Location"] == url(cast, "instance_list", env="dev")
    cast.workspace.members.filter(user=cast.admin).delete()
    assert "Ask an administrator" in client.get("/").content.decode()


def test_who_is_in_no_workspace_is_told_what_to_do(cast: Cast) -> None:
    page = as_user(cast.stranger).get("/").content.decode()
    assert cast.stranger.username in page
    User.objects.filter(pk=cast.stranger.pk).update(is_tenant_admin=True)
    assert reverse("console:workspace_create") in as_user(cast.stranger).get("/").content.decode()


def test_changing_the_password_ends_other_sessions_only(cast: Cast) -> None:
    here, elsewhere = as_user(cast.admin), as_user(cast.admin)
    new = "another-long-password"
    answer = here.post(reverse("console:password"), {"current": PASSWORD, "new": new, "again": new})
    assert answer.status_code == 302
    assert here.get(reverse("console:profile")).status_code == 200
    assert elsewhere.get(reverse("console:profile")).status_code == 302
    assert _sign_in(Client(), cast.admin.username, new)[0] == 302
    entry = AuditEntry.objects.get(action="user.change_password")
    assert new not in str(entry.params)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"current": "wrong", "new": "another-long-password", "again": "another-long-password"}, "current"),
        ({"current": PASSWORD, "new": "short", "again": "short"}, "new"),
        ({"current": PASSWORD, "new": "acme-admin-1", "again": "acme-admin-1"}, "new"),
        ({"current": PASSWORD, "new": "another-long-password", "again": "different"}, "again"),
        ({"current": PASSWORD, "new": "", "again": ""}, "new"),
    ],
)
def test_a_bad_new_password_is_refused_at_its_field(cast: Cast, values: dict[str, str], field: str) -> None:
    answer = as_user(cast.admin).post(reverse("console:password"), values)
    assert answer.status_code == 422
    assert field in answer.context["form"].errors
    cast.admin.refresh_from_db()
    assert cast.admin.check_password(PASSWORD)


def test_ones_own_mail_address(cast: Cast) -> None:
    client = as_user(cast.visitor)
    page, profile = reverse("console:email"), reverse("console:profile")
    assert page in client.get(profile).content.decode()
    for wrong in ("nobody", "a@b", "a b@example.com", f"{'a' * 250}@example.com", "a@example.com\nBcc: b@example.com"):
        answer = client.post(page, {"email": wrong})
        assert answer.status_code == 422, wrong
        assert 'aria-invalid="true"' in answer.content.decode()
    assert client.post(page, {"email": "visitor@example.com"})["Location"] == profile
    cast.visitor.refresh_from_db()
    assert cast.visitor.email == "visitor@example.com"
    assert "visitor@example.com" in client.get(profile).content.decode()
    assert AuditEntry.objects.get(action="user.change_email").actor == cast.visitor
    client.post(page, {"email": ""})
    cast.visitor.refresh_from_db()
    assert cast.visitor.email == ""
