"""“All that match the filters”: chosen in a list, asked about, done as a job, looked at, exported."""

import csv
import io
import json
from typing import Any

import pytest
from django.test import Client

from opscenter.console import paging
from opscenter.console.views import operation_csv
from opscenter.operations import bulk, jobs
from opscenter.operations.models import Operation
from opscenter.production.models import TaskInstance
from opscenter.production.rules.states import State
from tests.console.visits import as_user, url
from tests.operations.guarded import Guarded, check_of, say

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def cast() -> Guarded:
    return Guarded()


@pytest.fixture
def browser(cast: Guarded) -> Client:
    return as_user(cast.operator)


def chosen(answer: Any) -> dict[str, str]:
    """What the list's form sends when all that match are chosen."""
    return {"all": "1", **answer.context["matching"]}


def test_a_list_of_several_pages_offers_all_that_match(
    cast: Guarded, browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = cast.task("orders")
    cast.instance(task, State.FAILURE)
    address = url(cast, "instance_list", env="prod")
    assert b"data-select-matching" not in browser.get(address, {"bizdate": "all"}).content
    cast.instance(cast.task("sales"), State.FAILURE)
    monkeypatch.setattr(paging, "SIZE", 1)
    monkeypatch.setattr(paging.page, "__defaults__", (1,))
    assert b"data-select-matching" in browser.get(address, {"bizdate": "all"}).content


def test_all_that_match_are_asked_about_and_done(cast: Guarded, browser: Client) -> None:
    task = cast.task("orders")
    failed = cast.instance(task, State.FAILURE)
    cast.instance(cast.task("sales"), State.SUCCESS)
    answer = browser.get(url(cast, "instance_list", env="prod"), {"state": State.FAILURE.code, "bizdate": "all"})
    asked = chosen(answer)
    do = url(cast, "instance_operate", env="prod", code="set-success")
    question = browser.get(do, asked, headers=HTMX)
    text = question.content.decode()
    assert "Set 1 instance to succeeded?" in text and "1 object matches now" in text
    assert all(f'name="{name}"' in text for name in ("all", "list", "filter"))
    token = question.context["token"]
    sent: Any = browser.post(do, {**asked, "token": token, "comment": "all at once"})
    operation = Operation.objects.get()
    assert sent.url == url(cast, "operation", env="prod", pk=operation.pk)
    assert operation.params["matching"] == {"list": "instance_list", "filter": asked["filter"]}
    answer = browser.get(sent.url)
    page = answer.content.decode()
    listed = browser.get(answer.context["matching_url"]).content.decode()
    assert "All that match these filters" in page and "orders" in listed and "sales" not in listed.split("<tbody")[1]
    assert "0 of 1" in page and "Cancel operation" in page and "To come" in page
    jobs.run(operation.pk)
    assert "Done." in browser.get(sent.url).content.decode()
    failed.refresh_from_db()
    assert failed.state == State.SUCCESS


def test_the_date_that_the_list_shows_is_the_one_that_is_meant(cast: Guarded, browser: Client) -> None:
    answer = browser.get(url(cast, "instance_list", env="prod"))
    shown = answer.context["filters"]["bizdate"].value()
    assert chosen(answer)["filter"] == f"bizdate={shown}"
    assert chosen(browser.get(url(cast, "test_instance_list", env="prod")))["filter"] == "bizdate=all"


def test_those_whose_state_forbids_it_are_told_before(cast: Guarded, browser: Client) -> None:
    cast.instance(cast.task("orders"), State.FAILURE)
    cast.instance(cast.task("sales"), State.SUCCESS)
    asked = {"all": "1", "list": "instance_list", "filter": "bizdate=all"}
    text = browser.get(url(cast, "instance_operate", env="prod", code="set-success"), asked).content.decode()
    assert "2 objects match now" in text and "1 of them is in a state that allows it" in text


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ({"list": "instance_list", "filter": "bizdate=yesterday"}, 422, "Enter a valid date"),
        ({"list": "instance_list", "filter": "bizdate=2001-01-01"}, 422, "Nothing matches any more"),
        ({"list": "task_list", "filter": ""}, 404, ""),
        ({"list": "no_list", "filter": ""}, 404, ""),
    ],
)
def test_what_cannot_be_chosen_is_refused(
    cast: Guarded, browser: Client, asked: dict[str, str], status: int, says: str
) -> None:
    answer = browser.get(url(cast, "instance_operate", env="prod", code="rerun"), {"all": "1", **asked})
    assert answer.status_code == status and says in answer.content.decode()
    assert not Operation.objects.exists()


def test_all_tasks_that_match(cast: Guarded, browser: Client) -> None:
    orders, _sales = cast.task("orders_daily"), cast.task("sales")
    answer = browser.get(url(cast, "task_list", env="prod"), {"q": "daily"})
    browser.post(url(cast, "task_operate", env="prod", code="freeze"), chosen(answer))
    operation = Operation.objects.get()
    jobs.run(operation.pk)
    assert list(operation.targets.values_list("object_id", "done")) == [(orders.pk, True)]


def test_what_a_large_job_left_is_asked_for_again_as_a_job(
    cast: Guarded, browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opscenter.console.matching.MOST", 1)
    instances = [cast.instance(cast.task(f"t{n}"), State.RUNNING) for n in range(3)]
    operation = bulk.apply_to_all(
        "rerun", cast.actor(), cast.workspace, "Prod", TaskInstance.objects.all(), {"filter": ""}
    )
    jobs.run(operation.pk)
    page = browser.get(url(cast, "operation", env="prod", pk=operation.pk))
    again = page.context["again"]["url"]
    TaskInstance.objects.update(state=State.FAILURE)
    question = browser.get(again)
    assert "Rerun 3 instances?" in question.content.decode()
    browser.post(again.split("?")[0], dict(question.context["hidden"]))
    second = Operation.objects.latest("pk")
    assert second.params == {"matching": {"again": operation.pk}}
    assert second.targets.count() == len(instances)


def test_a_running_job_is_cancelled_on_its_page(cast: Guarded, browser: Client) -> None:
    cast.instance(cast.task("orders"), State.FAILURE)
    operation = bulk.apply_to_all(
        "rerun", cast.actor(), cast.workspace, "Prod", TaskInstance.objects.all(), {"filter": ""}
    )
    address = url(cast, "operation_cancel", env="prod", pk=operation.pk)
    assert "1 object has not been reached" in browser.get(address).content.decode()
    page = browser.post(address, follow=True).content.decode()
    assert "What was done before stays done" in page and "cancelled the operation before this one was reached" in page
    operation.refresh_from_db()
    assert operation.status == "cancelled"


# CSV


def get(browser: Client, address: str) -> Any:
    """A file that comes in chunks."""
    return browser.get(address)


def rows(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 200 and answer["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))


def test_the_history_as_csv_keeps_the_filters_and_tells_all(cast: Guarded, browser: Client) -> None:
    cast.extension()
    orders, failed = cast.task("orders"), cast.instance(cast.task("sales"), State.FAILURE)
    frozen = cast.freeze(orders, comment="=1+1")
    cast.ask("rerun", [failed])
    page = browser.get(url(cast, "operation_list", env="prod"), {"type": "freeze_task"})
    (row,) = rows(browser.get(page.context["csv_url"]))
    assert row["id"] == str(frozen.pk) and row["operation"] == "freeze_task" and row["face"] == "console"
    assert (row["operator"], row["status"], row["objects"], row["done"]) == (
        cast.operator.username,
        "checking",
        "1",
        "0",
    )
    assert row["checked_by"] == "guard: checking"
    assert row["comment"] == "'=1+1"  # no formula
    assert (row["object_type"], row["first_object"]) == ("task", f"orders ({orders.number})")
    assert json.loads(row["parameters"]) == {"tasks": [orders.number]}, "as the APIs and the pages know it"
    say(check_of(frozen), "WARN", "late")
    told = {row["operation"]: row["checked_by"] for row in rows(browser.get(url(cast, "operation_history_csv")))}
    assert told == {"freeze_task": "guard: passed (WARN)", "rerun": ""}


@pytest.mark.parametrize("first", list("=+-@＝＋－＠\t\r"))
def test_no_cell_is_a_formula(cast: Guarded, browser: Client, first: str) -> None:
    """Neither what people write, nor what programs call themselves."""
    cast.extension(f"{first}cmd|'/c calc'!A1")
    task = cast.task(f"{first}SUM(A1)")
    operation = cast.freeze(task, comment=f'{first}HYPERLINK("http://x","y")')
    (row,) = rows(browser.get(url(cast, "operation_history_csv")))
    (result,) = rows(browser.get(url(cast, "operation_results_csv", pk=operation.pk)))
    for cell in (row["first_object"], row["checked_by"], row["comment"], result["name"]):
        assert cell.startswith(f"'{first}"), cell


def test_spreadsheets_are_told_the_encoding_and_programs_can_read_every_cell(cast: Guarded, browser: Client) -> None:
    words = 'line one\nline "two", 冻结 😀;'
    cast.freeze(cast.task("任务"), comment=words)
    answer = get(browser, url(cast, "operation_history_csv"))
    raw = b"".join(answer.streaming_content)
    assert raw.startswith(b"\xef\xbb\xbfid,")
    (row,) = csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline=""))
    assert row["comment"] == words and row["first_object"].startswith("任务 (")


def test_a_long_history_is_sent_in_chunks_at_a_price_that_does_not_grow_with_it(
    cast: Guarded, browser: Client, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr(operation_csv, "_CHUNK", 20)
    tasks = [cast.task(f"t{number}") for number in range(3)]
    for number in range(50):
        cast.freeze(tasks[number % 3])
    answer = get(browser, url(cast, "operation_history_csv"))
    with django_assert_max_num_queries(3 * 6 + 1):
        chunks = list(answer.streaming_content)
    assert len(chunks) == 4, "the head, and 20, 20 and 10 operations"
    assert b"".join(chunks).count(b"\r\n") == 51


def test_the_results_of_an_operation_as_csv(cast: Guarded, browser: Client) -> None:
    failed, running = cast.instance(cast.task("a"), State.FAILURE), cast.instance(cast.task("b"), State.RUNNING)
    operation = cast.ask("rerun", [failed, running])
    found = rows(browser.get(url(cast, "operation_results_csv", env="prod", pk=operation.pk)))
    assert [(row["object_id"], row["name"], row["done"], row["code"]) for row in found] == [
        (str(failed.pk), "a", "True", ""),
        (str(running.pk), "b", "False", "operation.state"),
    ]
    assert "possible in" in found[1]["reason"]
    frozen = cast.freeze(task := cast.task("c"))
    (of_task,) = rows(browser.get(url(cast, "operation_results_csv", env="prod", pk=frozen.pk)))
    assert (of_task["object_type"], of_task["object_id"]) == ("task", str(task.number))


def test_wrong_filters_of_the_csv_are_told(cast: Guarded, browser: Client) -> None:
    answer = browser.get(url(cast, "operation_history_csv", env="prod"), {"since": "2026-02-02", "until": "2026-01-01"})
    assert answer.status_code == 422 and "The end lies before the start" in answer.content.decode()


def test_who_may_not_see_the_history_gets_no_csv(cast: Guarded) -> None:
    assert as_user(cast.visitor).get(url(cast, "operation_history_csv", env="prod")).status_code == 403
    assert as_user(cast.stranger).get(url(cast, "operation_history_csv", env="prod")).status_code == 404
