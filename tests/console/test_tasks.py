"""Tasks: the list with its filters, a task's page, and running one now."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.utils import timezone

from opscenter.console.cron_words import in_words
from opscenter.operations.models import Operation
from opscenter.production.models import Task, WorkflowInstance
from opscenter.production.rules.states import State
from tests.cast import Cast
from tests.console.visits import as_user, url

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def cast() -> Cast:
    return Cast()


def names(cast: Cast, user: Any, **query: Any) -> set[str]:
    answer = as_user(user).get(url(cast, "task_list"), query)
    assert answer.status_code == 200, answer.content.decode()
    return {row["task"].name for row in answer.context["rows"]}


def page(cast: Cast, user: Any, task: Task, **query: Any) -> str:
    answer = as_user(user).get(url(cast, "task", number=task.number), query)
    assert answer.status_code == 200
    return answer.content.decode()


def test_each_filter_narrows_the_list(cast: Cast) -> None:
    flow = cast.workflow("flow")
    red = cast.task("red_daily", owner=cast.developer, workflow=flow)
    cast.task("gate", "http_trigger", recurrence="Pause", cron="00 15 00-23/1 * * ?")
    cast.task("gone", status=Task.Status.OFFLINE)
    cast.task("in_dev", environment="Dev")
    for query, found in (
        ({}, {"red_daily", "gate"}),
        ({"q": "DAILY"}, {"red_daily"}),
        ({"q": str(red.number)}, {"red_daily"}),
        ({"q": "9" * 40}, set()),
        ({"type": "http_trigger"}, {"gate"}),
        ({"owner": "mine"}, {"red_daily"}),
        ({"owner": cast.owner.uid}, {"gate"}),
        ({"recurrence": "Pause"}, {"gate"}),
        ({"cycle": "hour"}, {"gate"}),
        ({"cycle": "day"}, {"red_daily"}),
        ({"cycle": "year"}, set()),
        ({"workflow": flow.number}, {"red_daily"}),
        ({"status": "offline"}, {"gone"}),
    ):
        assert names(cast, cast.developer, **query) == found, query


@pytest.mark.parametrize(
    "query",
    [{name: "nonsense"} for name in ("type", "owner", "recurrence", "cycle", "workflow", "status", "after", "before")]
    + [{"q": "a\x00"}, {"q": "x" * 256}],
    ids=str,
)
def test_what_cannot_be_read_is_told_in_words(cast: Cast, query: dict[str, str]) -> None:
    answer = as_user(cast.visitor).get(url(cast, "task_list"), query)
    assert answer.status_code == 422
    assert "note state-failure" in answer.content.decode() or "paging.cursor" in answer.content.decode()


def test_a_row_says_what_the_list_is_for(cast: Cast) -> None:
    task = cast.task("orders", cron="00 30 05 ? * MON,FRI", recurrence="Skip")
    html = as_user(cast.visitor).get(url(cast, "task_list")).content.decode()
    for part in ("orders", str(task.number), "Every Mon, Fri, at 05:30", "00 30 05 ? * MON,FRI", "Dry run", "default"):
        assert part in html, part


def test_the_list_is_walked_by_pages_and_weighs_little(cast: Cast, django_assert_max_num_queries: Any) -> None:
    for index in range(55):
        cast.task(f"dwd_customer_lifetime_value_{index}", owner=cast.developer)
    visitor, address = as_user(cast.visitor), url(cast, "task_list")
    with django_assert_max_num_queries(14):
        first = visitor.get(address)
    assert len(first.context["rows"]) == 50
    assert len(first.content) <= 80 * 1024
    second = visitor.get(address, {"after": first.context["page"].after})
    seen = [row["task"].pk for answer in (first, second) for row in answer.context["rows"]]
    assert len(seen) == len(set(seen)) == 55
    back = visitor.get(address, {"before": second.context["page"].before})
    assert [row["task"].pk for row in back.context["rows"]] == seen[:50]


def test_an_empty_list_says_what_to_do(cast: Cast) -> None:
    lists = ("task_list", "manual_task_list", "manual_task_workflows")
    for address in (url(cast, name) for name in lists):
        may = as_user(cast.developer).get(address).content.decode()
        assert f'href="{url(cast, "workflow_import")}">Import a workflow' in may
        may_not = as_user(cast.visitor).get(address).content.decode()
        assert "Import a workflow</button>" in may_not and "workflow.develop" in may_not, "disabled, with the reason"
        assert url(cast, "workflow_import") not in may_not
    html = as_user(cast.visitor).get(url(cast, "task_list"), {"q": "x"}).content.decode()
    assert "No task fits these filters" in html


def test_a_tasks_page_tells_all_of_it(cast: Cast) -> None:
    up = cast.task("before_it")
    task = cast.task(
        "orders",
        upstream=[up],
        workflow=cast.workflow("flow"),
        version={"parameters": "dt=$bizdate", "rerun_times": 2, "timeout": 3600, "message": "first"},
    )
    cast.task("after_it", upstream=[task])
    cast.instance(task, State.FAILURE, reason={"code": "attempt.signal", "params": {"signal": "SIGKILL"}})
    html = page(cast, cast.visitor, task)
    for part in (
        "before_it",
        "after_it",
        "flow",
        f"acme_daily.{task.number}_out",
        "$bizdate",
        "2 times automatically",
        "1 h",
        "2026-11-21 00:00:00",
        "SIGKILL",
        "T+1 Next Day",
    ):
        assert part in html, part


def test_versions_and_their_code(cast: Cast) -> None:
    task = cast.task(content="echo <one>", version={"message": "first <b>"})
    cast.version(task, content="echo <two>", message="second")
    assert "echo &lt;two&gt;" in page(cast, cast.visitor, task, view="code")
    assert "echo &lt;one&gt;" in page(cast, cast.visitor, task, view="code", version=1)
    versions = page(cast, cast.visitor, task, view="versions")
    assert "first &lt;b&gt;" in versions
    assert versions.index("second") < versions.index("first")


@pytest.mark.parametrize(
    "query", [{"view": "x"}, {"view": "code", "version": "7"}, {"view": "code", "version": "x"}], ids=str
)
def test_parts_that_do_not_exist_are_not_found(cast: Cast, query: dict[str, str]) -> None:
    task = cast.task()
    assert as_user(cast.visitor).get(url(cast, "task", number=task.number), query).status_code == 404


def test_a_neighbour_in_another_workspace_is_told_by_name_alone(cast: Cast) -> None:
    other = Cast("other")
    theirs = other.task("theirs")
    task = cast.task("ours", upstream=[theirs])
    html = page(cast, cast.visitor, task)
    assert "theirs" in html
    assert f"/w/{other.workspace.pk}/" not in html


@pytest.mark.parametrize("view", ["task", "task_run"])
def test_tasks_of_others_are_not_there(cast: Cast, view: str) -> None:
    task = cast.task("secret_name")
    other = Cast("other")
    for user, address in (
        (cast.stranger, url(cast, view, number=task.number)),
        (other.admin, url(other, view, number=task.number)),
        (cast.admin, url(cast, view, env="dev", number=task.number)),
        (cast.admin, url(cast, view, number=10**30)),
    ):
        answer = as_user(user).get(address)
        assert answer.status_code == 404
        assert "secret_name" not in answer.content.decode()


def test_names_never_become_markup(cast: Cast) -> None:
    evil = "<script>alert(1)</script>"
    task = cast.task(
        evil, description=evil, version={"parameters": evil, "message": evil}, workflow=cast.workflow(evil)
    )
    cast.task("next", upstream=[task])
    for address in (
        url(cast, "task_list"),
        *(url(cast, "task", number=task.number) + f"?view={v}" for v in ("overview", "code", "versions")),
    ):
        assert evil not in as_user(cast.visitor).get(address).content.decode()


class TestRunNow:
    """The dialog and its deed."""

    def ask(self, cast: Cast, user: Any, task: Task, **data: Any) -> Any:
        address = url(cast, "task_run", number=task.number)
        return as_user(user).post(address, {"bizdate": "2026-11-10", "at": "05:30", "comment": "once"} | data)

    def test_it_proposes_yesterday_and_the_tasks_time(self, cast: Cast) -> None:
        task = cast.task(cron="00 30 05 * * ?")
        client = as_user(cast.operator)
        form = client.get(url(cast, "task_run", number=task.number)).context["form"]
        assert form.initial == {"bizdate": timezone.now().date() - timedelta(days=1), "at": "05:30:00"}
        assert not WorkflowInstance.objects.exists(), "asking changes nothing"

    def test_it_makes_a_test_instance_and_leads_to_it(self, cast: Cast) -> None:
        task = cast.task("orders")
        answer = self.ask(cast, cast.operator, task)
        family = WorkflowInstance.objects.get()
        instance = family.task_instances.get()
        assert (family.type, instance.bizdate) == (WorkflowInstance.Type.SMOKE_TEST, date(2026, 11, 10))
        assert f"{instance.scheduled_at:%Y-%m-%d %H:%M:%S}" == "2026-11-11 05:30:00"
        assert answer["Location"] == url(cast, "instance", pk=instance.pk)

    def test_it_takes_parameters_of_this_run(self, cast: Cast) -> None:
        task = cast.task("orders", version={"parameters": "day=$bizdate"})
        self.ask(cast, cast.operator, task, parameters="day=${yyyymm}\nregion='two words'")
        family = WorkflowInstance.objects.get()
        assert family.parameters == {"tasks": {str(task.number): {"day": "${yyyymm}", "region": "two words"}}}
        operation = as_user(cast.operator).get(url(cast, "operation", pk=Operation.objects.get().pk))
        assert f"{task.number}: day=&#x27;${{yyyymm}}&#x27;" in operation.content.decode()

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("bizdate", "soon"),
            ("bizdate", ""),
            ("bizdate", "0001-01-01"),
            ("bizdate", "9999-12-31"),
            ("at", "25:00"),
            ("at", ""),
            ("comment", "x" * 1001),
            ("comment", "a\x00"),
            ("parameters", "day"),
            ("parameters", "day=$nonsense"),
            ("parameters", "day='two\nlines'"),
        ],
    )
    def test_a_wrong_value_is_told_at_its_field(self, cast: Cast, field: str, value: str) -> None:
        answer = self.ask(cast, cast.operator, cast.task(), **{field: value})
        assert answer.status_code == 422
        assert set(answer.context["form"].errors) == {field}
        assert not WorkflowInstance.objects.exists()

    def test_who_may_not_is_told(self, cast: Cast) -> None:
        task = cast.task(owner=cast.operator)
        for user in (cast.visitor, cast.deployer, cast.developer):
            answer = self.ask(cast, user, task)
            assert answer.status_code == 403
            assert "task.test" in answer.content.decode()
            assert "task.test" in page(cast, user, task), "the button stays and says why"
        assert self.ask(cast, cast.developer, cast.task(owner=cast.developer)).status_code == 302

    def test_an_offline_task_says_why_it_cannot(self, cast: Cast) -> None:
        task = cast.task(status=Task.Status.OFFLINE)
        assert "is offline" in page(cast, cast.operator, task)
        assert self.ask(cast, cast.operator, task).status_code == 409


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("00 30 00 * * ?", "Every day, at 00:30"),
        ("00 15 00-23/1 * * ?", "Every day, every 1 hour from 00:15 to 23:15"),
        ("00 00-59/10 8-17 * * ?", "Every day, every 10 minutes from 08:00 to 17:50"),
        ("00 00 08,12,18 * * ?", "Every day, at 08:00, 12:00, 18:00"),
        ("00 00 01,02,03,05,08 * * ?", "Every day, 5 times from 01:00 to 08:00"),
        ("15 30 05 ? * MON,SUN", "Every Sun, Mon, at 05:30:15"),
        ("00 00 02 1,15,L * ?", "On day 1, 15, the last of the month, at 02:00"),
        ("00 00 02 1 1,7 ?", "On day 1 of the month in Jan, Jul, at 02:00"),
        ("not a cron", "not a cron"),
    ],
)
def test_schedules_in_words(cron: str, words: str) -> None:
    assert in_words(cron) == words
