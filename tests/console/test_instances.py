"""The instance lists: who sees them, filters, what keeps itself up to date, what bad input is told."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client

from opscenter.base import clock
from opscenter.operations.registry import operations_on
from opscenter.production.models import TaskInstance, WorkflowInstance
from opscenter.production.rules.states import Kind, State
from opscenter.workspaces.models import User
from tests.cast import Cast
from tests.console.visits import as_user, url

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def cast() -> Cast:
    return Cast(time_zone="Asia/Shanghai")


@pytest.fixture
def bizdate() -> date:
    """The business date of today's runs, where the cast lives."""
    return clock.now().astimezone(ZoneInfo("Asia/Shanghai")).date() - timedelta(days=1)


def at(day: date, hour: int = 0, minute: int = 0) -> datetime:
    """A local time of the scheduled day of a business date."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZoneInfo("Asia/Shanghai")) + timedelta(days=1)


def names(client: Client, address: str, **query: Any) -> set[str]:
    answer = client.get(address, query)
    assert answer.status_code == 200, answer.content.decode()
    return {row.name for row in answer.context["rows"]}


def poll_of(client: Client, address: str, **query: Any) -> tuple[str, str]:
    """The address at which the open page asks for its rows again, and the tag it has."""
    context = client.get(address, query).context
    return context["poll_url"], context["tag"]


def test_a_row_says_what_the_list_is_for(cast: Cast, bizdate: date) -> None:
    task = cast.task("dwd_orders", owner=cast.developer, priority=5)
    failed = cast.instance(
        task,
        State.FAILURE,
        bizdate=bizdate,
        scheduled_at=at(bizdate, 1, 30),
        started_at=at(bizdate, 2),
        finished_at=at(bizdate, 2, 3),
        attempt=2,
        reason={"code": "attempt.exit_code", "params": {"exit_code": 7}},
    )
    html = as_user(cast.visitor).get(url(cast, "instance_list")).content.decode()
    for part in (
        "dwd_orders",
        str(task.number),
        f"{bizdate} 00:00:00",
        f"{at(bizdate, 1, 30):%Y-%m-%d %H:%M:%S}",
        "Failed",
        "exit code 7",
        "3 min",
        "acme-developer",
        "Shell",
        f"../instances/{failed.pk}/",
    ):
        assert part in html, part


def test_it_shows_todays_runs_until_other_dates_are_asked_for(cast: Cast, bizdate: date) -> None:
    today, before = cast.task("today"), cast.task("before")
    cast.instance(today, bizdate=bizdate)
    cast.instance(before, bizdate=bizdate - timedelta(days=1))
    visitor, address = as_user(cast.visitor), url(cast, "instance_list")
    assert names(visitor, address) == {"today"}
    assert names(visitor, address, bizdate="all") == {"today", "before"}
    assert names(visitor, address, bizdate=bizdate - timedelta(days=1)) == {"before"}
    assert names(visitor, address, bizdate=["all", bizdate - timedelta(days=1)]) == {"before"}
    assert names(visitor, address, bizdate=[bizdate - timedelta(days=1), "all"]) == {"before"}


def test_each_filter_narrows_the_list(cast: Cast, bizdate: date) -> None:
    flow = cast.workflow("flow")
    red = cast.task("red", owner=cast.developer, workflow=flow)
    gate = cast.task("gate", "http_trigger")
    cast.instance(red, State.FAILURE, bizdate=bizdate, scheduled_at=at(bizdate, 3))
    waiting = cast.instance(gate, State.WAIT_TRIGGER, bizdate=bizdate, scheduled_at=at(bizdate, 5), frozen=True)
    for state in (State.CLAIMED, State.CHECKING, State.CHECKING_CONDITION):
        cast.instance(cast.task(state.name), state, bizdate=bizdate, scheduled_at=at(bizdate, 4))
    developer, address = as_user(cast.developer), url(cast, "instance_list")
    for query, found in (
        ({"state": "failure"}, {"red"}),
        ({"state": ["failure", "wait_trigger"]}, {"red", "gate"}),
        ({"state": "wait_resource"}, {"CLAIMED"}),
        ({"state": "checking"}, {"CHECKING", "CHECKING_CONDITION"}),
        ({"frozen": "1"}, {"gate"}),
        ({"type": "http_trigger"}, {"gate"}),
        ({"owner": "mine"}, {"red"}),
        ({"owner": cast.developer.uid}, {"red"}),
        ({"workflow": flow.number}, {"red"}),
        ({"q": "RE"}, {"red"}),
        ({"q": str(red.number)}, {"red"}),
        ({"q": str(waiting.pk)}, {"gate"}),
        ({"task": gate.number}, {"gate"}),
        ({"scheduled_from": f"{at(bizdate, 5):%Y-%m-%dT%H:%M:%S}"}, {"gate"}),
        ({"scheduled_to": f"{at(bizdate, 3):%Y-%m-%dT%H:%M}"}, {"red"}),
    ):
        assert names(developer, address, **query) == found, query


def test_auto_triggered_and_test_instances_are_apart(cast: Cast, bizdate: date) -> None:
    task, dev = cast.task("both"), cast.task("in_dev", environment="Dev")
    cast.instance(task, bizdate=bizdate)
    tested = cast.instance(task, kind_of_run=WorkflowInstance.Type.SMOKE_TEST)
    cast.instance(dev, kind_of_run=WorkflowInstance.Type.SMOKE_TEST)
    visitor = as_user(cast.visitor)
    rows = visitor.get(url(cast, "test_instance_list")).context["rows"]
    assert [row.pk for row in rows] == [tested.pk]
    assert names(visitor, url(cast, "instance_list")) == {"both"}
    assert names(visitor, url(cast, "test_instance_list", env="dev")) == {"in_dev"}
    assert "Nothing is scheduled in Development" in visitor.get(url(cast, "instance_list", env="dev")).content.decode()


@pytest.mark.parametrize(
    "query",
    [
        {"bizdate": "yesterday"},
        {"bizdate": "2026-13-01"},
        {"state": "broken"},
        {"type": "cobol"},
        {"owner": "nobody"},
        {"owner": "99999999"},
        {"workflow": "x"},
        {"task": "-1"},
        {"task": "9" * 40},
        {"q": "x" * 300},
        {"q": "a\x00b"},
        {"scheduled_from": "soon"},
        {"scheduled_from": "2026-11-21T10:00", "scheduled_to": "2026-11-21T09:00"},
        {"after": "x"},
        {"after": "1"},
        {"after": "1.2.3"},
        {"before": "99999999999999999999.1"},
        {"after": "9223372036854775807.1"},
    ],
    ids=str,
)
def test_what_cannot_be_read_is_told_in_words(cast: Cast, query: dict[str, str]) -> None:
    answer = as_user(cast.visitor).get(url(cast, "instance_list"), query)
    assert answer.status_code == 422
    assert "note state-failure" in answer.content.decode() or "paging.cursor" in answer.content.decode()


@pytest.mark.parametrize("shown", ["x", "1,b", ",".join(["1"] * 60), "9" * 30])
def test_bad_rows_are_not_refreshed(cast: Cast, shown: str) -> None:
    answer = as_user(cast.visitor).get(url(cast, "instance_list"), {"shown": shown}, headers=HTMX)
    assert answer.status_code == 422


def test_an_id_beyond_all_ids_finds_nothing(cast: Cast) -> None:
    assert names(as_user(cast.visitor), url(cast, "instance_list"), q="9" * 40) == set()


def test_an_unchanged_list_answers_with_nothing(cast: Cast, bizdate: date) -> None:
    instance = cast.instance(cast.task(), State.WAIT_TIME, bizdate=bizdate)
    visitor = as_user(cast.visitor)
    poll, tag = poll_of(visitor, url(cast, "instance_list"))
    unchanged = visitor.get(poll, headers={**HTMX, "HX-PTag": tag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    TaskInstance.objects.filter(pk=instance.pk).update(state=State.RUNNING, started_at=clock.now())
    changed = visitor.get(poll, headers={**HTMX, "HX-PTag": tag})
    assert changed.status_code == 200
    assert "Running" in changed.content.decode()
    assert "<html" not in changed.content.decode()
    assert changed["HX-PTag"] != tag
    assert changed["Cache-Control"] == "no-store"


def test_a_refresh_keeps_the_rows_that_are_shown_and_announces_new_ones(cast: Cast, bizdate: date) -> None:
    task = cast.task("shown")
    instance = cast.instance(task, State.WAIT_TIME, bizdate=bizdate)
    visitor = as_user(cast.visitor)
    poll, tag = poll_of(visitor, url(cast, "instance_list"), state="wait_time")
    TaskInstance.objects.filter(pk=instance.pk).update(state=State.SUCCESS)
    cast.instance(cast.task("new"), State.WAIT_TIME, bizdate=bizdate)
    html = visitor.get(poll, headers={**HTMX, "HX-PTag": tag}).content.decode()
    assert f'id="i{instance.pk}"' in html
    assert "Succeeded" in html
    assert "1 new" in html
    assert ">new<" not in html


def test_it_asks_again_soon_only_while_something_goes_on(cast: Cast, bizdate: date) -> None:
    instance = cast.instance(cast.task(), State.SUCCESS, bizdate=bizdate)
    visitor, address = as_user(cast.visitor), url(cast, "instance_list")
    assert visitor.get(address).context["every"] == 15
    TaskInstance.objects.filter(pk=instance.pk).update(state=State.RUNNING)
    assert visitor.get(address).context["every"] == 3


def test_a_refresh_shows_no_rows_of_other_workspaces(cast: Cast, bizdate: date) -> None:
    other = Cast("other")
    foreign = other.instance(other.task("foreign_secret"), bizdate=bizdate)
    answer = as_user(cast.visitor).get(url(cast, "instance_list"), {"shown": foreign.pk}, headers=HTMX)
    assert "foreign_secret" not in answer.content.decode()


def test_buttons_stay_and_say_which_permission_is_missing(cast: Cast, bizdate: date) -> None:
    cast.instance(cast.task(), bizdate=bizdate)
    visitor = {action["label"]: action["why_not"] for action in _actions(cast, cast.visitor)}
    assert len(visitor) == len(operations_on("instance"))
    for spec in operations_on("instance").values():
        assert f"({spec.permission})" in visitor[str(spec.name)]
    for user in (cast.admin, cast.owner):
        assert _refused(cast, user) == set()
    assert _refused(cast, cast.operator) == {"Force rerun downstream"}
    emergencies = {"Remove dependencies", "Change priority", "Change resource group"}
    assert _refused(cast, cast.developer) == {"Force rerun downstream", *emergencies}


def _refused(cast: Cast, user: User) -> set[str]:
    return {str(action["label"]) for action in _actions(cast, user) if action["why_not"]}


def _actions(cast: Cast, user: Any) -> list[dict[str, str]]:
    return as_user(user).get(url(cast, "instance_list")).context["actions"]


def test_names_never_become_markup(cast: Cast, bizdate: date) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x>"
    cast.instance(cast.task(evil), State.FAILURE, bizdate=bizdate, reason={"code": evil, "params": {evil: evil}})
    html = as_user(cast.visitor).get(url(cast, "instance_list"), {"q": "<script>"}).content.decode()
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert "&lt;script&gt;alert(1)" in html


def _fill(cast: Cast, bizdate: date, count: int) -> None:
    root = cast.instance(
        cast.task("a_rather_long_root_name_as_people_write_them", "virtual"), State.RUNNING, bizdate=bizdate
    )
    states = (State.NOT_RUN, State.WAIT_RESOURCE, State.FAILURE, State.SUCCESS, State.WAIT_TIME, State.WAIT_TRIGGER)
    for index in range(count - 1):
        task = cast.task(
            f"dwd_customer_lifetime_value_{index:03d}",
            "http_trigger" if index % 6 == 5 else "shell",
            owner=cast.developer,
        )
        cast.instance(
            task,
            states[index % 6],
            upstream=[root] if index % 6 == 0 else (),
            bizdate=bizdate,
            frozen=index % 9 == 0,
            kind=Kind.SKIP if index % 11 == 0 else Kind.NORMAL,
            started_at=clock.now(),
            finished_at=clock.now(),
            attempt=1,
            reason={"code": "attempt.exit_code", "params": {"exit_code": 1}},
        )


def test_fifty_rows_weigh_little(cast: Cast, bizdate: date) -> None:
    _fill(cast, bizdate, 51)
    answer = as_user(cast.operator).get(url(cast, "instance_list"))
    assert len(answer.context["rows"]) == 50
    assert len(answer.content) <= 80 * 1024


def test_the_number_of_queries_does_not_grow_with_the_rows(
    cast: Cast, bizdate: date, django_assert_max_num_queries: Any
) -> None:
    _fill(cast, bizdate, 51)
    operator, address = as_user(cast.operator), url(cast, "instance_list")
    poll, tag = poll_of(operator, address)
    with django_assert_max_num_queries(16):
        operator.get(address)
    with django_assert_max_num_queries(16):
        operator.get(poll, headers={**HTMX, "HX-PTag": tag})
