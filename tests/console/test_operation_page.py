"""An operation's page and its check panel: how checks stand, who may do what about them, and that it is live."""

from typing import Any

import pytest
from django.test import Client

from extensions.models import Check, Delivery, DeliveryTry, Extension
from opscenter.base import clock
from opscenter.operations import checked
from opscenter.operations.models import Operation
from opscenter.production.rules.states import State
from opscenter.workspaces.models import AuditEntry, User
from tests.cast import ROLES
from tests.console.visits import as_user, url
from tests.operations.guarded import Guarded, check_of, checks_of, frozen, pass_time, say, status_of, token_of

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
TIMEOUT = {"code": "outbound.timeout", "params": {"host": "guard.example", "seconds": 15}}
EVIL = "<script>alert(1)</script>"


@pytest.fixture
def cast() -> Guarded:
    return Guarded()


def page(cast: Guarded, operation: Operation, user: User | None = None, **query: str) -> str:
    answer = as_user(user or cast.visitor).get(url(cast, "operation", pk=operation.pk), query)
    assert answer.status_code == 200
    return answer.content.decode()


def cards(cast: Guarded, operation: Operation, user: User | None = None) -> list[Any]:
    answer = as_user(user or cast.visitor).get(url(cast, "operation", pk=operation.pk))
    return [card for card, _used in answer.context["cards"]]


def button(cast: Guarded, operation: Operation, user: User, label: str) -> Any:
    (card,) = cards(cast, operation, user)
    return next(one for one in card.buttons if one.label == label)


# how it stands


def test_a_waiting_check_tells_how_long_and_how_far(cast: Guarded) -> None:
    cast.extension("Guard", answer_limit=600, detail_url="https://guard.example/d", help_url="https://guard.example/h")
    operation = cast.freeze(cast.task("orders"), comment="quarter end")
    check = check_of(operation)
    pass_time(check, seconds=142)
    checked.report_by_token(check.pk, token_of(check), 40, "Looking at downstream tables")
    html = page(cast, operation)
    for part in (
        "Freeze orders",
        "Checking",
        "Waiting for 1 extension. Nothing has been done yet.",
        'max="742"',
        "of 12 min 22 s",
        "40 %",
        "Looking at downstream tables",
        'href="https://guard.example/d"',
        'href="https://guard.example/h"',
        "Message under way",
        "Waits for the checks",
        "quarter end",
        "acme-operator",
        "Console",
    ):
        assert part in html, part
    assert "Advisory" not in html


@pytest.mark.parametrize(
    ("verdict", "status", "parts"),
    [
        ("OK", "applied", ["Applied", "Passed", "Answered OK", "Done.", "Frozen"]),
        ("WARN", "applied", ["Applied", "Passed with a warning", "Answered WARN"]),
        ("FAIL", "blocked", ["Blocked", "Failed", "Answered FAIL", "Not done", "Freeze again", "Nothing was done"]),
    ],
)
def test_a_verdict_and_what_came_of_it(cast: Guarded, verdict: str, status: str, parts: list[str]) -> None:
    cast.extension("Guard")
    operation = cast.freeze(cast.task("orders"))
    say(check_of(operation), verdict, "Month end is\nnear")
    assert status_of(operation) == status
    html = page(cast, operation, cast.operator)
    for part in (*parts, "Month end is\nnear", "callback URL"):
        assert part in html, part
    assert "data-refresh" not in html, "nothing changes any more"
    assert "Mark as passed" not in html


def test_who_blocked_it_why_and_what_to_do(cast: Guarded) -> None:
    cast.extension("Calendar", detail_url="https://calendar.example/d")
    cast.extension("Guard", detail_url="https://guard.example/d")
    operation = cast.freeze(cast.task("one"), cast.task("two"))
    calendar, guard = checks_of(operation)
    say(guard, "FAIL", "Two are too many")
    answer = as_user(cast.operator).get(url(cast, "operation", pk=operation.pk))
    note = answer.content.decode().split("note state-failure")[1].split("</section>")[0]
    for part in ("“Guard” blocked it.", "Two are too many", "https://guard.example/d", f"?again={operation.pk}"):
        assert part in note, part
    assert "calendar.example" not in note.split("Checks by extensions")[0]
    (_calendar, guard_card) = (card for card, _used in answer.context["cards"])
    assert answer.context["blocked_by"] == guard_card
    calendar.refresh_from_db()
    assert "“Guard” blocked the operation" in answer.content.decode()


@pytest.mark.parametrize(("blocks", "status"), [(True, "blocked"), (False, "applied")])
def test_silence_is_told_with_what_it_means(cast: Guarded, blocks: bool, status: str) -> None:
    cast.extension("Guard", silence_blocks=blocks)
    operation = cast.freeze(cast.task())
    check = check_of(operation)
    pass_time(check, hours=1)
    checked.run_limits()
    assert status_of(operation) == status
    assert ("counts as FAIL" if blocks else "counts as passed") in page(cast, operation)


def test_an_adviser_is_told_apart_and_stays_live_after_the_end(cast: Guarded) -> None:
    cast.extension("Adviser", is_mandatory=False)
    operation = cast.freeze(cast.task())
    html = page(cast, operation)
    assert "Advisory" in html
    assert "Applied" in html
    assert "data-refresh" in html
    say(check_of(operation), "FAIL", "I would not")
    html = page(cast, operation)
    assert "I would not" in html
    assert "note state-failure" not in html
    assert "data-refresh" not in html


@pytest.mark.parametrize(
    ("delivery", "attempt", "words"),
    [
        ({"status": "delivered"}, None, "Message delivered"),
        ({}, {"status": 500}, "tried 1 time: the endpoint answered 500"),
        (
            {},
            {"reason": TIMEOUT},
            "delivered yet, tried 1 time: ",
        ),
        ({"status": "failed"}, {"status": 410}, "cannot be delivered: the endpoint answered 410"),
        ({"status": "failed"}, None, "it was not tried"),
    ],
)
def test_the_message_s_way_is_told(
    cast: Guarded, delivery: dict[str, Any], attempt: dict[str, Any] | None, words: str
) -> None:
    cast.extension("Guard")
    operation = cast.freeze(cast.task())
    Delivery.objects.update(**delivery, tries=1 if attempt else 0)
    if attempt:
        DeliveryTry.objects.create(delivery=Delivery.objects.get(), number=1, at=clock.now(), **attempt)
    assert words in page(cast, operation)


def test_what_extensions_say_never_becomes_markup(cast: Guarded) -> None:
    cast.extension(EVIL, detail_url="javascript:alert(1)", help_url='https://x.example/"onclick="alert(1)')
    operation = cast.freeze(cast.task(EVIL), comment=EVIL)
    check = check_of(operation)
    checked.report_by_token(check.pk, token_of(check), None, EVIL)
    htmls = [page(cast, operation)]
    say(check, "FAIL", EVIL)
    htmls += [page(cast, operation), panel(cast, operation)]
    for html in htmls:
        assert EVIL not in html
        assert "javascript:" not in html
        assert '"onclick="' not in html


def test_objects_that_were_refused_are_told_one_by_one(cast: Guarded) -> None:
    task, root = cast.task("orders"), cast.task("top", is_root=True)
    operation = cast.freeze(task, root)
    html = page(cast, operation)
    for part in ("Partly applied", "Done for 1 of 2 objects", "root node", "Refused", "Freeze again", "orders", "top"):
        assert part in html, part
    assert html.index("root node") < html.index(">orders<"), "what was not done comes first"


def test_a_page_of_many_objects_stays_small(cast: Guarded) -> None:
    tasks = [cast.task(f"t{index}") for index in range(210)]
    html = page(cast, cast.freeze(*tasks))
    assert "200 of 210 are shown" in html


def test_operations_on_instances_have_the_same_page(cast: Guarded) -> None:
    failed = cast.instance(cast.task("fails"), State.FAILURE)
    operation = cast.ask("set_success", [failed], comment="partner confirmed")
    html = page(cast, operation)
    for part in ("Set to succeeded fails", "Applied", "partner confirmed", "2026-11-21 00:00:00", "Succeeded"):
        assert part in html, part
    assert "Checks by extensions" not in html


# who may see it


def test_strangers_and_other_workspaces_find_nothing(cast: Guarded) -> None:
    cast.extension("Guard")
    operation = cast.freeze(cast.task("secret_name"))
    other = Guarded("other")
    check = check_of(operation)
    views: tuple[tuple[str, dict[str, Any]], ...] = (
        ("operation", {}),
        ("operation_checks", {}),
        ("operation_cancel", {}),
        ("operation_mark_passed", {"check": check.pk}),
        ("operation_send_again", {"check": check.pk}),
    )
    for view, kwargs in views:
        for user, place in ((cast.stranger, cast), (other.owner, other), (other.owner, cast)):
            client, address = as_user(user), url(place, view, pk=operation.pk, **kwargs)
            for answer in (client.get(address), client.post(address, {"comment": "x"})):
                assert answer.status_code in (404, 405), view
                assert "secret_name" not in answer.content.decode()
    assert status_of(operation) == "checking"


def test_a_check_belongs_to_its_operation(cast: Guarded) -> None:
    cast.extension("Guard", allows_mark_passed=True)
    mine, other = cast.freeze(cast.task()), cast.freeze(cast.task())
    address = url(cast, "operation_mark_passed", pk=mine.pk, check=check_of(other).pk)
    assert as_user(cast.owner).post(address, {"comment": "x"}).status_code == 404
    assert status_of(other) == "checking"


def test_the_address_of_the_other_environment_leads_to_the_right_one(cast: Guarded) -> None:
    operation = cast.freeze(cast.task(environment="Dev"), environment="Dev")
    answer = as_user(cast.visitor).get(url(cast, "operation", pk=operation.pk))
    assert answer["Location"] == url(cast, "operation", env="dev", pk=operation.pk)


# live


def test_it_is_asked_for_again_and_answered_when_it_changed(cast: Guarded) -> None:
    cast.extension("Guard")
    operation = cast.freeze(cast.task("orders"))
    client, address = as_user(cast.visitor), url(cast, "operation", pk=operation.pk)
    first = client.get(address)
    tag = first.context["tag"]
    assert f'hx-ptag="{tag}"' in first.content.decode()
    assert 'data-refresh="0.5"' in first.content.decode()
    same = client.get(address, {"live": "1"}, headers={**HTMX, "HX-PTag": tag})
    assert (same.status_code, same.content) == (304, b"")
    check = check_of(operation)
    checked.report_by_token(check.pk, token_of(check), 10, "At work")
    changed = client.get(address, {"live": "1"}, headers={**HTMX, "HX-PTag": tag})
    assert changed.status_code == 200
    assert "At work" in changed.content.decode()
    assert "<html" not in changed.content.decode()
    say(check, "OK")
    ended = client.get(address, {"live": "1"}, headers={**HTMX, "HX-PTag": changed["HX-PTag"]})
    assert "Applied" in ended.content.decode()
    assert "data-refresh" not in ended.content.decode()


def test_asking_again_costs_little(cast: Guarded, django_assert_max_num_queries: Any) -> None:
    for index in range(4):
        cast.extension(f"Guard {index}")
    operation = cast.freeze(*[cast.task(f"t{index}") for index in range(40)])
    client, address = as_user(cast.owner), url(cast, "operation", pk=operation.pk)
    tag = client.get(address).context["tag"]
    with django_assert_max_num_queries(10):
        assert client.get(address, {"live": "1"}, headers={**HTMX, "HX-PTag": tag}).status_code == 304
    with django_assert_max_num_queries(18):
        client.get(address)


def panel(cast: Guarded, operation: Operation, user: User | None = None, **query: str) -> str:
    address = url(cast, "operation_checks", pk=operation.pk)
    answer = as_user(user or cast.visitor).get(address, query, headers=HTMX)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_panel_is_a_dialog_that_keeps_itself_up_to_date(cast: Guarded) -> None:
    cast.extension("Guard")
    operation = cast.freeze(cast.task("orders"))
    back = url(cast, "task_list") + "?q=a"
    html = panel(cast, operation, next=back)
    assert html.count("<dialog") == 1
    for part in ("You may close this window", 'data-refresh="0.5"', f'data-back="{back}"', "Open its page"):
        assert part in html, part
    part_of_it = panel(cast, operation, next=back, live="1")
    assert "<dialog" not in part_of_it
    say(check_of(operation), "OK")
    ended = panel(cast, operation, next=back, live="1")
    assert "You may close" not in ended
    assert "data-refresh" not in ended
    opened_as_a_page = as_user(cast.visitor).get(url(cast, "operation_checks", pk=operation.pk))
    assert opened_as_a_page["Location"] == url(cast, "operation", pk=operation.pk)


def test_the_panel_leads_nowhere_else(cast: Guarded) -> None:
    cast.extension("Guard")
    assert "evil.example" not in panel(cast, cast.freeze(cast.task()), next="https://evil.example/")


# cancelled


@pytest.mark.parametrize("who", sorted(ROLES))
def test_who_may_cancel(cast: Guarded, who: str) -> None:
    cast.extension("Guard")
    task = cast.task("orders")
    operation = cast.freeze(task)
    client: Client = as_user(getattr(cast, who))
    may = who in ("operator", "owner", "admin")
    offered = client.get(url(cast, "operation", pk=operation.pk)).context["cancel"]
    assert bool(offered["why_not"]) is not may
    asked = client.get(offered["url"]).content.decode()
    assert "Cancel “Freeze orders”?" in asked
    assert status_of(operation) == "checking", "asking changes nothing"
    answer = client.post(offered["url"])
    assert answer.status_code == (302 if may else 403)
    assert status_of(operation) == ("cancelled" if may else "checking")
    if may:
        html = client.get(answer["Location"]).content.decode()
        assert "cancelled the operation" in html
        assert frozen(task) == [False]


def test_in_the_panel_it_leads_back_to_the_panel(cast: Guarded) -> None:
    cast.extension("Guard")
    operation = cast.freeze(cast.task())
    client, back = as_user(cast.operator), url(cast, "task_list")
    context = client.get(url(cast, "operation_checks", pk=operation.pk), {"next": back}, headers=HTMX).context
    question = client.get(context["cancel"]["url"], headers=HTMX).content.decode()
    assert 'name="panel" value="1"' in question
    assert url(cast, "operation_checks", pk=operation.pk) in question, "the way back"
    fields = {"panel": "1", "next": back}
    answer = client.post(url(cast, "operation_cancel", pk=operation.pk), fields, headers=HTMX)
    assert "Cancelled" in answer.content.decode()
    assert "<dialog" in answer.content.decode()


def test_too_late_to_cancel_is_told(cast: Guarded) -> None:
    cast.extension("Guard")
    operation = cast.freeze(cast.task())
    say(check_of(operation), "OK")
    answer = as_user(cast.operator).post(url(cast, "operation_cancel", pk=operation.pk), headers=HTMX)
    assert answer.status_code == 409
    assert "not being checked any more" in answer.content.decode()
    assert as_user(cast.operator).get(url(cast, "operation", pk=operation.pk)).context["cancel"] is None


# passed by hand


@pytest.mark.parametrize("allows", [True, False], ids=["allowed", "not allowed"])
@pytest.mark.parametrize("who", sorted(ROLES))
def test_who_may_mark_a_check_as_passed(cast: Guarded, who: str, allows: bool) -> None:
    cast.extension("Guard", allows_mark_passed=allows)
    task = cast.task("orders")
    operation = cast.freeze(task)
    user = getattr(cast, who)
    is_manager = who in ("owner", "admin")
    offered = button(cast, operation, user, "Mark as passed")
    assert (offered.why_not == "") is (is_manager and allows)
    if is_manager and not allows:
        assert "does not allow" in offered.why_not
    elif not is_manager:
        assert "extension.manage" in offered.why_not
    answer = as_user(user).post(offered.url, {"comment": "Agreed by phone"})
    assert answer.status_code == (302 if is_manager and allows else 409 if is_manager else 403)
    assert frozen(task) == [is_manager and allows]
    if is_manager and allows:
        html = page(cast, operation)
        assert "marked it as passed: “Agreed by phone”" in html
        entry = AuditEntry.objects.get(action="check.mark_passed")
        assert (entry.actor, entry.object_name) == (user, "Guard")
        told = as_user(cast.owner).get(url(cast, "audit_list")).content.decode()
        assert "Marked the check as passed" in told
        assert url(cast, "operation", pk=operation.pk) in told


@pytest.mark.parametrize("comment", ["", "x" * 1001], ids=["none", "too long"])
def test_passing_by_hand_needs_a_comment(cast: Guarded, comment: str) -> None:
    cast.extension("Guard", allows_mark_passed=True)
    operation = cast.freeze(cast.task())
    address = url(cast, "operation_mark_passed", pk=operation.pk, check=check_of(operation).pk)
    answer = as_user(cast.admin).post(address, {"comment": comment}, headers=HTMX)
    assert answer.status_code == 422
    assert "errorlist" in answer.content.decode()
    assert status_of(operation) == "checking"


def test_passed_in_the_panel_it_leads_back_to_the_panel(cast: Guarded) -> None:
    cast.extension("Guard", allows_mark_passed=True)
    operation = cast.freeze(cast.task())
    address = url(cast, "operation_mark_passed", pk=operation.pk, check=check_of(operation).pk)
    fields = {"comment": "ok", "panel": "1", "next": url(cast, "task_list")}
    html = as_user(cast.admin).post(address, fields, headers=HTMX).content.decode()
    assert "<dialog" in html
    assert "Applied" in html


# sent again


@pytest.mark.parametrize("who", [*sorted(ROLES), "keeper"])
def test_who_may_have_the_message_sent_again(cast: Guarded, who: str) -> None:
    keeper = cast.user("keeper", "role_project_guest")
    cast.extension("Guard", owner=keeper)
    operation = cast.freeze(cast.task())
    user = keeper if who == "keeper" else getattr(cast, who)
    may = who in ("owner", "admin", "keeper")
    offered = button(cast, operation, user, "Send again")
    assert (offered.why_not == "") is may
    client = as_user(user)
    assert client.get(offered.url).status_code == 405
    answer = client.post(offered.url, headers=HTMX)
    assert answer.status_code == (204 if may else 404)
    assert Delivery.objects.filter(is_replay=True).count() == (1 if may else 0)
    if may:
        again = client.post(offered.url)
        assert again.status_code == 409
        assert "being sent again already" in again.content.decode()


def test_sent_again_from_the_page_it_leads_back_to_it(cast: Guarded) -> None:
    cast.extension("Guard")
    operation = cast.freeze(cast.task())
    address = url(cast, "operation_send_again", pk=operation.pk, check=check_of(operation).pk)
    answer = as_user(cast.admin).post(address)
    assert answer["Location"] == url(cast, "operation", pk=operation.pk)


def test_an_endpoint_that_is_gone_gets_nothing(cast: Guarded) -> None:
    cast.extension("Guard", silence_blocks=True)
    operation = cast.freeze(cast.task())
    Extension.objects.update(gone_at=clock.now())
    address = url(cast, "operation_send_again", pk=operation.pk, check=check_of(operation).pk)
    answer = as_user(cast.admin).post(address, headers=HTMX)
    assert answer.status_code == 409
    assert "410 Gone" in answer.content.decode()


# the audit trail


def test_the_audit_trail_tells_asking_blocking_and_cancelling(cast: Guarded) -> None:
    cast.extension("Guard")
    blocked, cancelled = cast.freeze(cast.task("orders"), comment="try"), cast.freeze(cast.task())
    say(check_of(blocked), "FAIL", "Not now")
    checked.cancel(cast.actor(), cast.workspace, cancelled.pk)
    told = as_user(cast.owner).get(url(cast, "audit_list")).content.decode()
    for part in (
        "Asked extensions first",
        "Freeze; checked by Guard: “try”",
        "Blocked the operation",
        "blocked it: Not now",
        "Cancelled the operation",
        url(cast, "operation", pk=blocked.pk),
    ):
        assert part in told, part
    assert Check.objects.count() == 2
