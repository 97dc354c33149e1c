"""The history of operations with its filters, and the top bar's shield."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from opscenter.base import clock
from opscenter.console.open_checks import SHOWN
from opscenter.console.operation_rows import freezes_of
from opscenter.console.operation_words import RUNS, WORDS
from opscenter.operations.models import Operation
from opscenter.operations.registry import OPERATIONS
from opscenter.production.models import Environment, Task
from opscenter.production.rules.states import State
from opscenter.workspaces.models import AuditEntry, Member, User
from tests.cast import ROLES
from tests.console.visits import as_user, url
from tests.operations.backfilling import backfill
from tests.operations.guarded import Guarded, check_of, checks_of, say

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def cast() -> Guarded:
    return Guarded()


def shown(cast: Guarded, user: User | None = None, env: str = "prod", **query: Any) -> list[int]:
    answer = as_user(user or cast.owner).get(url(cast, "operation_list", env=env), query)
    assert answer.status_code == 200, answer.content.decode()
    return [row.operation.pk for row in answer.context.get("rows", [])]


def test_each_filter_narrows_the_history(cast: Guarded) -> None:
    orders, sales = cast.task("orders_daily"), cast.task("sales")
    failed = cast.instance(orders, State.FAILURE)
    frozen = cast.freeze(orders, sales).pk
    thawed = cast.unfreeze(sales, by=cast.admin).pk
    rerun = cast.ask("rerun", [failed]).pk
    refused = cast.freeze(orders).pk
    Operation.objects.filter(pk=frozen).update(at=clock.now() - timedelta(days=3))
    day = clock.now().date() - timedelta(days=3)
    for query, found in (
        ({}, [refused, rerun, thawed, frozen]),
        ({"q": "DAILY"}, [refused, rerun, frozen]),
        ({"q": "sales"}, [thawed, frozen]),
        ({"q": str(orders.number)}, [refused, rerun, frozen]),
        ({"q": str(failed.pk)}, [rerun]),
        ({"q": "9" * 40}, []),
        ({"q": "nothing"}, []),
        ({"type": "freeze_task"}, [refused, frozen]),
        ({"type": "freeze"}, []),
        ({"operator": cast.admin.uid}, [thawed]),
        ({"operator": "mine"}, []),
        ({"status": "refused"}, [refused]),
        ({"face": "console"}, [refused, rerun, thawed, frozen]),
        ({"face": "api"}, []),
        ({"status": "checking"}, []),
        ({"until": day.isoformat()}, [frozen]),
        ({"since": (day + timedelta(days=1)).isoformat()}, [refused, rerun, thawed]),
        ({"since": day.isoformat(), "until": day.isoformat()}, [frozen]),
        ({"type": "freeze_task", "status": "applied", "q": "orders"}, [frozen]),
    ):
        assert shown(cast, **query) == sorted(found, reverse=True), query
    assert shown(cast, cast.admin, operator="mine") == [thawed]


def test_who_has_left_is_found_by_what_they_did(cast: Guarded) -> None:
    operation = cast.freeze(cast.task(), by=cast.admin)
    Member.objects.filter(user=cast.admin).delete()
    page = as_user(cast.owner).get(url(cast, "operation_list"))
    assert f'href="?operator={cast.admin.uid}"' in page.content.decode()
    assert shown(cast, operator=str(cast.admin.uid)) == [operation.pk]
    offered = page.context["filters"].fields["operator"].choices
    assert str(cast.admin.uid) not in dict(offered), "only who is asked for is added"
    for nobody in (cast.stranger, cast.user("colleague")):
        answer = as_user(cast.owner).get(url(cast, "operation_list"), {"operator": nobody.uid})
        assert answer.status_code == 422 and str(nobody) not in answer.content.decode(), "who has done nothing here"


def test_since_when_a_task_is_frozen_is_known_whatever_was_done_to_it_since(cast: Guarded) -> None:
    task = cast.task()
    frozen = cast.freeze(task, by=cast.admin)
    cast.ask("set_priority_task", [task], arguments={"priority": 7})
    request = SimpleNamespace(workspace=cast.workspace, environment=Environment.PROD)
    task.refresh_from_db()
    found = freezes_of(request, [task])[task.pk]  # type: ignore[arg-type]  # all that it looks at
    assert (found.by, found.at) == (cast.admin, Operation.objects.get(pk=frozen.pk).settled_at)


def test_the_number_of_an_operation_finds_it(cast: Guarded) -> None:
    Operation.objects.bulk_create(
        Operation(pk=pk, code="rerun", workspace=cast.workspace, environment="Prod", actor=cast.owner, status="applied")
        for pk in (770_000_001, 770_000_002)
    )
    assert shown(cast, q="770000002") == [770_000_002]


@pytest.mark.parametrize(
    "query",
    [{name: "nonsense"} for name in ("type", "operator", "status", "face", "since", "until", "after", "before")]
    + [{"q": "a\x00"}, {"q": "x" * 256}, {"since": "2026-11-21", "until": "2026-11-20"}],
    ids=str,
)
def test_what_cannot_be_read_is_told_in_words(cast: Guarded, query: dict[str, str]) -> None:
    answer = as_user(cast.owner).get(url(cast, "operation_list"), query)
    assert answer.status_code == 422
    assert "note state-failure" in answer.content.decode() or "paging.cursor" in answer.content.decode()


@pytest.mark.parametrize("query", [{"since": "0001-01-01"}, {"until": "9999-12-31"}, {"q": "%_\\"}], ids=str)
def test_odd_values_are_no_errors(cast: Guarded, query: dict[str, str]) -> None:
    assert as_user(cast.owner).get(url(cast, "operation_list"), query).status_code == 200


def test_days_are_days_of_the_tenants_zone() -> None:
    cast = Guarded(time_zone="Asia/Shanghai")
    operation = cast.freeze(cast.task())
    Operation.objects.update(at="2026-11-20T17:00:00Z")
    assert shown(cast, since="2026-11-21") == [operation.pk]
    assert shown(cast, until="2026-11-20") == []


def test_a_row_says_what_who_to_what_and_what_became_of_it(cast: Guarded) -> None:
    cast.freeze(*[cast.task(f"orders_{index}") for index in range(3)], comment="quarter <end>")
    html = as_user(cast.owner).get(url(cast, "operation_list")).content.decode()
    for part in ("Freeze tasks", "orders_0", "+2", "acme-operator", "Applied", "quarter &lt;end&gt;", "Console"):
        assert part in html, part
    assert "orders_1" not in html


def test_a_row_names_the_extensions_that_were_asked(cast: Guarded) -> None:
    cast.extension("Guard <1>")
    cast.freeze(cast.task())
    cast.ask("set_priority_task", [cast.task()], arguments={"priority": 3})
    html = as_user(cast.owner).get(url(cast, "operation_list")).content.decode()
    assert html.count("Checked by Guard &lt;1&gt;") == 2, "a title, and the same for who cannot see the icon"


def test_the_name_of_a_backfill_finds_what_was_done_to_it(cast: Guarded) -> None:
    job = backfill(cast, cast.task(), name="after the outage")
    cast.ask("stop_backfill", [job])
    cast.freeze(cast.task("other"))
    assert len(shown(cast, q="OUTAGE")) == 2


def test_every_kind_of_operation_has_a_name_to_filter_by(cast: Guarded) -> None:
    assert set(WORDS) == set(OPERATIONS)
    form = as_user(cast.owner).get(url(cast, "operation_list")).context["filters"]
    names = [str(label) for _code, label in form.fields["type"].choices]
    assert len(names) == len(set(names)) == len(OPERATIONS) + 1 + len(RUNS)
    assert set(RUNS) < set(dict(form.fields["type"].choices))


def test_the_history_is_walked_by_pages_at_one_price(cast: Guarded, django_assert_max_num_queries: Any) -> None:
    tasks = [cast.task(f"t{index}") for index in range(4)]
    made = [cast.freeze(*tasks).pk for _time in range(60)]
    client, address = as_user(cast.owner), url(cast, "operation_list")
    with django_assert_max_num_queries(16):
        first = client.get(address)
    assert len(first.content) <= 80 * 1024
    second = client.get(address, {"after": first.context["page"].after})
    seen = [row.operation.pk for answer in (first, second) for row in answer.context["rows"]]
    assert seen == made[::-1]
    back = client.get(address, {"before": second.context["page"].before})
    assert [row.operation.pk for row in back.context["rows"]] == seen[:50]


def test_an_environment_and_a_workspace_have_histories_of_their_own(cast: Guarded) -> None:
    other = Guarded("other")
    other.freeze(other.task("foreign_name"))
    in_dev = cast.freeze(cast.task("dev_name", environment="Dev"), environment="Dev")
    assert shown(cast) == []
    assert shown(cast, env="dev") == [in_dev.pk]
    assert shown(cast, q="foreign_name") == []


@pytest.mark.parametrize("who", sorted(ROLES))
def test_who_may_read_it(cast: Guarded, who: str) -> None:
    operation = cast.freeze(cast.task())
    client = as_user(getattr(cast, who))
    may = who in ("owner", "admin", "operator")
    assert client.get(url(cast, "operation_list")).status_code == (200 if may else 403)
    crumb = f'href="{url(cast, "operation_list")}"'
    main = client.get(url(cast, "operation", pk=operation.pk)).content.decode().split("<main")[1].split("</main>")[0]
    assert (crumb in main) is may, "the way back is offered to those who may go it"


def test_objects_that_are_no_more_leave_a_dash(cast: Guarded) -> None:
    task = cast.task("gone")
    operation = cast.freeze(task)
    operation.targets.update(object_id=10**12)
    html = as_user(cast.owner).get(url(cast, "operation_list")).content.decode()
    assert "gone" not in html.split("<tbody>")[1]


def test_an_empty_history_says_what_will_be_there(cast: Guarded) -> None:
    client, address = as_user(cast.owner), url(cast, "operation_list")
    assert "Nothing has been done here yet" in client.get(address).content.decode()
    assert "No operation fits these filters" in client.get(address, {"q": "x"}).content.decode()


# the shield


def shield(cast: Guarded, user: User | None = None, view: str = "workspace", env: str = "prod") -> str:
    html = as_user(user or cast.visitor).get(url(cast, view, env=env)).content.decode()
    return html.split('id="open-checks"')[1].split("</header>")[0] if 'id="open-checks"' in html else ""


def poll(cast: Guarded, user: User, **query: Any) -> Any:
    answer = as_user(user).get(url(cast, "operation_open"), query, headers=HTMX)
    assert answer.status_code == 200
    return answer


def test_without_checks_there_is_no_shield_and_one_question(cast: Guarded, django_assert_max_num_queries: Any) -> None:
    cast.freeze(cast.task())
    assert shield(cast) == ""
    client = as_user(cast.visitor)
    client.get(url(cast, "workspace"))
    with django_assert_max_num_queries(10) as asked:
        client.get(url(cast, "workspace"))
    assert sum("operations_operation" in one["sql"] for one in asked.captured_queries) == 1


def test_the_shield_lists_what_is_being_checked(cast: Guarded) -> None:
    cast.extension("Calendar")
    cast.extension("<b>Guard")
    one, two = cast.freeze(cast.task("orders")), cast.freeze(cast.task("sales"), cast.task("stock"))
    say(next(check for check in checks_of(one) if check.extension.name == "Calendar"), "OK")
    html = shield(cast)
    for part in (
        "<strong>2</strong>",
        "2 operations are being checked",
        "Freeze orders",
        "Freeze 2 tasks",
        "Calendar",
        "&lt;b&gt;Guard",
        url(cast, "operation", pk=one.pk),
        url(cast, "operation", pk=two.pk),
    ):
        assert part in html, part
    assert html.count("Calendar") == 1, "who has answered is not waited for"
    assert shield(cast, env="dev") == ""
    other = Guarded("other")
    assert shield(other) == ""
    assert poll(other, other.owner, seen=str(one.pk)).content.decode().count("Freeze") == 0


def test_many_are_counted_and_the_latest_listed(cast: Guarded, django_assert_max_num_queries: Any) -> None:
    cast.extension("Guard")
    made = [cast.freeze(cast.task(f"t{index}")) for index in range(SHOWN + 3)]
    html = shield(cast)
    assert f"<strong>{SHOWN + 3}</strong>" in html
    assert f"The latest {SHOWN} are shown." in html
    assert url(cast, "operation", pk=made[-1].pk) in html
    assert url(cast, "operation", pk=made[0].pk) not in html
    client = as_user(cast.visitor)
    client.get(url(cast, "workspace"))
    with django_assert_max_num_queries(14):
        client.get(url(cast, "workspace"))


def test_more_than_anybody_counts(cast: Guarded) -> None:
    Operation.objects.bulk_create(
        Operation(
            code="freeze_task",
            workspace=cast.workspace,
            environment="Prod",
            actor=cast.owner,
            face=AuditEntry.Face.API,
            params={"tasks": [1]},
            status=Operation.Status.CHECKING,
        )
        for _time in range(120)
    )
    assert "<strong>99+</strong>" in shield(cast)


def test_it_is_live_and_goes_away(cast: Guarded) -> None:
    cast.extension("Guard")
    operation = cast.freeze(cast.task("orders"))
    assert "data-refresh" in shield(cast)
    first = poll(cast, cast.visitor, seen=str(operation.pk))
    address, tag = url(cast, "operation_open"), {**HTMX, "HX-PTag": first["HX-PTag"]}
    query = {"seen": str(operation.pk)}
    assert as_user(cast.visitor).get(address, query, headers=tag).status_code == 304
    say(check_of(operation), "OK")
    ended = as_user(cast.visitor).get(address, query, headers=tag).content.decode()
    assert 'id="open-checks"' in ended
    assert "data-refresh" not in ended
    assert "toast" not in ended, "it was not the visitor who asked"


@pytest.mark.parametrize(("verdict", "word"), [("OK", "Applied"), ("FAIL", "Blocked")])
def test_who_asked_is_told_how_it_ended(cast: Guarded, verdict: str, word: str) -> None:
    cast.extension("Guard")
    operation, still = cast.freeze(cast.task("<i>orders")), cast.freeze(cast.task())
    seen = f"{still.pk},{operation.pk}"
    assert "toast" not in poll(cast, cast.operator, seen=seen).content.decode()
    say(check_of(operation), verdict)
    html = poll(cast, cast.operator, seen=seen).content.decode()
    assert html.count("data-toast") == 1
    assert f"Freeze &lt;i&gt;orders: {word}" in html
    assert url(cast, "operation", pk=operation.pk) in html


@pytest.mark.parametrize("seen", ["", "x", ",", "9" * 40, "1," * 500, "-1"])
def test_odd_marks_are_no_errors(cast: Guarded, seen: str) -> None:
    poll(cast, cast.operator, seen=seen)


def test_frozen_tasks_alone_are_no_open_checks(cast: Guarded) -> None:
    task = cast.task()
    cast.freeze(task)
    assert Task.objects.get(pk=task.pk).recurrence == "Pause"
    assert shield(cast) == ""
