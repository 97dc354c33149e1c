"""The pages of extensions: made, reviewed, tried, looked into; nothing secret is shown twice."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from extensions import lifecycle
from extensions.models import Check, Delivery, DeliveryTry, Extension
from opscenter.operations import extension_messages
from opscenter.operations.extension_permits import STEPS
from opscenter.workspaces.models import AuditEntry, Member, Workspace
from tests.cast import ROLES
from tests.console.extension_pages import PARTIAL, page
from tests.console.visits import as_user, url
from tests.operations.guards import Troupe, actor_of, enabled, registered, with_status

pytestmark = pytest.mark.django_db
Status = Extension.Status
EVERYBODY = [*ROLES, "keeper", "chief", "stranger"]
FORM = {
    "name": "Change window",
    "webhook_url": "https://guard.example.com/hook",
    "points": ["freeze-node"],
    "owner": "acme-developer",
}


@pytest.fixture
def cast() -> Troupe:
    """``chief`` is a Visitor here, so that they may open the workspace's pages."""
    cast = Troupe()
    Member.objects.create(workspace=cast.workspace, user=cast.chief, roles=["role_project_guest"])
    return cast


@pytest.fixture
def guard(cast: Troupe) -> Extension:
    return registered(cast, owner=cast.keeper)


# ---- lists


def test_one_sees_ones_own_and_administrators_all(cast: Troupe, guard: Extension) -> None:
    registered(cast, owner=cast.developer, name="Second")
    rivals = Troupe("rivals")
    registered(rivals, owner=rivals.owner, name="Theirs")
    assert "Guard" in page(cast, "keeper", "extension_list")
    mine = page(cast, "developer", "extension_list")
    assert "Second" in mine and "Guard" not in mine
    every = page(cast, "chief", "extension_list")
    assert "Second" in every and "Guard" in every and "Theirs" not in every
    assert "You own no extension" in page(cast, "visitor", "extension_list")


def test_a_row_tells_status_places_and_the_last_delivery(cast: Troupe, guard: Extension) -> None:
    enabled(cast, guard)
    check = extension_messages.send_test(actor_of(cast.keeper), guard.code, "freeze-node")
    Delivery.objects.filter(of_check=check).update(status=Delivery.Status.DELIVERED)
    text = page(cast, "keeper", "extension_list")
    for words in ("Testing", "Before freezing tasks", str(cast.workspace), "1 workspace", "Delivered"):
        assert words in text, words
    assert "nothing is sent</span>" not in text
    Extension.objects.update(gone_at=guard.created_at)
    assert "nothing is sent</span>" in page(cast, "keeper", "extension_list")


def test_lists_and_logs_ask_as_much_for_one_row_as_for_many(cast: Troupe, guard: Extension) -> None:
    def asked() -> list[int]:
        told = []
        for view, query in (
            ("extension_list", ""),
            ("enablement_list", ""),
            ("extension", "?view=events"),
            ("extension", "?view=deliveries"),
        ):
            kwargs = {"code": guard.code} if view == "extension" else {}
            client = as_user(cast.keeper)
            client.get(url(cast, view, **kwargs) + query)
            with CaptureQueriesContext(
                connection,
            ) as queries:
                client.get(url(cast, view, **kwargs) + query)
            told.append(len(queries))
        return told

    extension_messages.send_test(actor_of(cast.keeper), guard.code, "freeze-node")
    before = asked()
    for number in range(4):
        registered(cast, owner=cast.keeper, name=f"More {number}")
        extension_messages.send_test(actor_of(cast.keeper), guard.code, "freeze-node")
    assert asked() == before
    assert max(before) < 20


def test_the_review_queue_is_for_administrators(cast: Troupe, guard: Extension) -> None:
    with_status(guard, Status.IN_REVIEW)
    registered(cast, owner=cast.keeper, name="Not yet")
    queue = page(cast, "chief", "extension_review")
    assert "Guard" in queue and "Not yet" not in queue
    assert "Review queue" in page(cast, "chief", "extension_list")
    for who in (*ROLES, "keeper"):
        answer = as_user(getattr(cast, who)).get(url(cast, "extension_review"))
        assert answer.status_code == 403, who
        assert "Guard" not in answer.content.decode()
        assert "Review queue" not in page(cast, who, "extension_list")
    with_status(guard, Status.APPROVED)
    assert "Nothing waits for a review" in page(cast, "chief", "extension_review")


# ---- registering and changing


@pytest.mark.parametrize("headers", [{}, PARTIAL], ids=["page", "dialog"])
def test_registering_shows_the_secret_this_once(cast: Troupe, headers: dict[str, str]) -> None:
    client = as_user(cast.developer)
    form = FORM | {"test_workspace": cast.workspace.pk}
    answer = client.post(url(cast, "extension_register"), form, headers=headers)
    text = answer.content.decode()
    made = Extension.objects.get()
    secret = lifecycle.valid_secrets(made)[0]
    assert answer.status_code == 200 and secret in text and made.code in text
    assert ("<html" in text) is not bool(headers)
    assert "no-store" in answer["Cache-Control"]
    assert (made.owner, made.points, made.allows_mark_passed) == (cast.developer, ["freeze-node"], False)
    for query in ("", "?view=events", "?view=deliveries"):
        later = page(cast, "developer", "extension", query, code=made.code)
        assert secret not in later and secret[6:] not in later


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "a\nb"),
        ("webhook_url", "http://169.254.169.254/"),
        ("webhook_url", "ftp://example.com/"),
        ("points", []),
        ("points", ["boil-node"]),
        ("test_workspace", "999"),
        ("test_workspace", "x"),
        ("owner", "nobody"),
        ("owner", "acme-outsider"),
        ("owner", "acme-stranger"),
        ("help_url", "javascript:alert(1)"),
        ("detail_url", "x\0y"),
    ],
)
def test_what_is_wrong_is_told_at_its_field(cast: Troupe, field: str, value: Any) -> None:
    form = FORM | {"test_workspace": cast.workspace.pk, field: value}
    answer = as_user(cast.developer).post(url(cast, "extension_register"), form)
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert "guard.example.com" in answer.content.decode() or field == "webhook_url", "what was entered is kept"
    assert not Extension.objects.exists()


def test_only_workspaces_where_one_may_register_are_offered(cast: Troupe) -> None:
    visited = Workspace.objects.create(tenant=cast.tenant, name="visited")
    visited.members.create(user=cast.developer, roles=["role_project_guest"])
    form = as_user(cast.developer).get(url(cast, "extension_register")).context["form"]
    assert form.fields["test_workspace"].choices == [(cast.workspace.pk, "acme_daily")]
    answer = as_user(cast.developer).post(url(cast, "extension_register"), FORM | {"test_workspace": visited.pk})
    assert answer.status_code == 422


def test_changing_it_and_what_a_review_holds_fast(cast: Troupe, guard: Extension) -> None:
    client, address = as_user(cast.keeper), url(cast, "extension_edit", code=guard.code)
    form = FORM | {"test_workspace": cast.workspace.pk, "owner": "acme-keeper", "name": "Guard"}
    assert client.post(address, form | {"webhook_url": "https://two.example.com/"}).status_code == 302
    guard.refresh_from_db()
    assert guard.webhook_url == "https://two.example.com/"
    with_status(guard, Status.ONLINE)
    assert "disable it and take it back to testing" in client.get(address).content.decode()
    changed = form | {"webhook_url": "https://three.example.com/", "points": ["unfreeze-node"], "description": "new"}
    assert client.post(address, changed).status_code == 302
    guard.refresh_from_db()
    assert (guard.webhook_url, guard.points, guard.description) == ("https://two.example.com/", ["freeze-node"], "new")
    assert as_user(cast.chief).post(address, changed).status_code == 302
    guard.refresh_from_db()
    assert (guard.webhook_url, guard.points) == ("https://three.example.com/", ["unfreeze-node"])


def test_who_gives_it_away_is_led_to_the_list(cast: Troupe, guard: Extension) -> None:
    form = FORM | {"test_workspace": cast.workspace.pk, "owner": "acme-visitor"}
    answer = as_user(cast.keeper).post(url(cast, "extension_edit", code=guard.code), form)
    assert answer["Location"] == url(cast, "extension_list")


# ---- details


@pytest.mark.parametrize("who", EVERYBODY)
def test_who_may_open_its_pages(cast: Troupe, guard: Extension, who: str) -> None:
    check = extension_messages.send_test(actor_of(cast.keeper), guard.code, "freeze-node")
    delivery = check.deliveries.get()
    client = as_user(getattr(cast, who))
    pages = {
        url(cast, "extension", code=guard.code): {"keeper", "chief", "owner", "admin"},
        url(cast, "extension", code=guard.code) + "?view=events": {"keeper", "chief", "owner", "admin"},
        url(cast, "extension", code=guard.code) + "?view=deliveries": {"keeper", "chief", "owner", "admin"},
        url(cast, "extension_test", code=guard.code, pk=check.pk): {"keeper", "chief", "owner", "admin"},
        url(cast, "extension_delivery", code=guard.code, pk=delivery.pk): {"keeper", "chief", "owner", "admin"},
        url(cast, "extension_edit", code=guard.code): {"keeper", "chief"},
        url(cast, "extension_rotate", code=guard.code): {"keeper", "chief"},
        url(cast, "extension_key_create", code=guard.code): {"keeper", "chief"},
        url(cast, "extension_send_test", code=guard.code): {"keeper", "chief"},
        url(cast, "extension_step", code=guard.code, step="submit"): {"keeper"},
        url(cast, "extension_step", code=guard.code, step="disable"): {"keeper", "chief"},
    }
    for address, may in pages.items():
        answer = client.get(address)
        if who in may:
            assert answer.status_code == 200, address
        else:
            is_seen = who in ("owner", "admin", "chief")
            assert answer.status_code == (403 if is_seen else 404), address
            assert client.post(address).status_code in (403, 404, 405), address


def test_managers_see_messages_of_their_workspaces_alone(cast: Troupe, guard: Extension) -> None:
    elsewhere = Workspace.objects.create(tenant=cast.tenant, name="elsewhere")
    elsewhere.members.create(user=cast.owner, roles=["role_project_dev"])
    extension_messages.send_test(actor_of(cast.keeper), guard.code, "freeze-node")
    Extension.objects.filter(pk=guard.pk).update(test_workspace=elsewhere)
    check = extension_messages.send_test(actor_of(cast.keeper), guard.code, "freeze-node")
    with_status(guard, Status.ONLINE)
    assert page(cast, "keeper", "extension", "?view=events", code=guard.code).count("<tr>") == 3
    for query in ("?view=events", "?view=deliveries"):
        text = page(cast, "admin", "extension", query, code=guard.code)
        assert text.count("<tr>") == 2 and str(check.event_id) not in text
    client = as_user(cast.admin)
    assert client.get(url(cast, "extension_test", code=guard.code, pk=check.pk)).status_code == 404
    delivery = check.deliveries.get()
    for view in ("extension_delivery", "extension_replay"):
        assert client.get(url(cast, view, code=guard.code, pk=delivery.pk)).status_code == 404
        assert client.post(url(cast, view, code=guard.code, pk=delivery.pk)).status_code in (404, 405)


def test_nothing_that_people_enter_becomes_markup(cast: Troupe) -> None:
    evil = '"><script>alert(1)</script>'
    guard = registered(cast, owner=cast.keeper, name=evil, description=evil)
    with_status(guard, Status.IN_REVIEW)
    Extension.objects.update(review_comment=evil, reviewer=cast.chief)
    check = extension_messages.send_test(actor_of(cast.keeper), guard.code, "freeze-node")
    Check.objects.update(
        words=evil,
        verdict="FAIL",
        state="failed",
        ended_at=check.opened_at,
        reason={"code": "check.answered", "params": {}},
    )
    delivery = check.deliveries.get()
    DeliveryTry.objects.create(
        delivery=delivery,
        number=1,
        at=check.opened_at,
        url=evil,
        status=200,
        headers={evil: evil},
        answer_headers={evil: evil},
        answer_body=evil,
    )
    told = [
        page(cast, "chief", "extension_list"),
        page(cast, "chief", "extension_review"),
        page(cast, "chief", "enablement_list"),
        *(
            page(cast, "chief", "extension", query, code=guard.code)
            for query in ("", "?view=events", "?view=deliveries")
        ),
        page(cast, "chief", "extension_test", code=guard.code, pk=check.pk),
        page(cast, "chief", "extension_delivery", code=guard.code, pk=delivery.pk),
        page(cast, "owner", "enablement_enable", code=guard.code),
        page(cast, "chief", "extension_step", code=guard.code, step="approve"),
    ]
    for text in told:
        assert "<script>alert" not in text and "&lt;script&gt;alert" in text


# ---- steps


def test_buttons_for_what_may_follow_and_why_not(cast: Troupe, guard: Extension) -> None:
    for status in Status:
        with_status(guard, status)
        text = page(cast, "keeper", "extension", code=guard.code)
        possible = {code for code, step in STEPS.items() if status in step.before}
        shown = {code for code in STEPS if f"/do/{code}/" in text}
        assert shown == possible - {"approve", "refuse"}, status
        if "approve" in possible:
            assert text.count("Only administrators of the tenant") == 2
    with_status(guard, Status.TESTING)
    assert "Only the extension&#x27;s owner" in page(cast, "chief", "extension", code=guard.code)


def test_the_way_from_testing_to_online_and_off(cast: Troupe, guard: Extension) -> None:
    def take(who: str, step: str, **data: str) -> int:
        address = url(cast, "extension_step", code=guard.code, step=step)
        return as_user(getattr(cast, who)).post(address, data).status_code

    assert take("keeper", "publish") == 409
    assert take("keeper", "submit") == 302
    assert take("keeper", "approve") == 403
    assert take("chief", "refuse") == 422, "it asks for a comment"
    assert take("chief", "refuse", comment="no documentation") == 302
    assert "no documentation" in page(cast, "keeper", "extension", code=guard.code)
    assert take("keeper", "submit") == 302
    assert take("chief", "approve", comment="") == 302
    assert take("keeper", "publish") == 302
    assert take("keeper", "fly") == 404
    assert take("keeper", "disable") == 302
    guard.refresh_from_db()
    assert guard.status == Status.DISABLED
    taken = AuditEntry.objects.filter(action__in=[step.audit for step in STEPS.values()]).order_by("pk")
    assert [entry.action.removeprefix("extension.") for entry in taken] == [
        "submit",
        "refuse",
        "submit",
        "approve",
        "publish",
        "disable",
    ]


def test_disabling_says_where_and_what_ends(cast: Troupe, guard: Extension) -> None:
    enabled(cast, guard)
    address = url(cast, "extension_step", code=guard.code, step="disable")
    assert "is-danger" not in as_user(cast.keeper).get(address).content.decode()
    extension_messages.send_test(actor_of(cast.keeper), guard.code, "freeze-node")
    text = as_user(cast.keeper).get(address).content.decode()
    assert str(cast.workspace) in text and "1 open check" in text and "is-danger" in text
