"""Freezing and unfreezing tasks on pages: the question, who may, who is asked first, and what the pages then say."""

from typing import Any

import pytest
from django.test import Client

from opscenter.operations.models import Operation
from opscenter.production.models import Recurrence, Task
from opscenter.production.rules.states import Kind, State
from opscenter.workspaces.models import AuditEntry, User
from tests.console.visits import as_user, url
from tests.operations.guarded import Guarded, check_of, frozen, say

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def cast() -> Guarded:
    return Guarded()


def do(cast: Guarded, user: User | Client, code: str, *tasks: Task, env: str = "prod", **data: Any) -> Any:
    client = as_user(user) if isinstance(user, User) else user
    headers = data.pop("headers", {})
    address = url(cast, "task_operate", env=env, code=code)
    return client.post(address, {"id": [one.pk for one in tasks]} | data, headers=headers)


def question(cast: Guarded, user: User, code: str, *tasks: Task, env: str = "prod", **headers: str) -> str:
    address = url(cast, "task_operate", env=env, code=code)
    answer = as_user(user).get(address, {"id": [one.pk for one in tasks]}, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def page(cast: Guarded, user: User, task: Task, **query: str) -> str:
    return as_user(user).get(url(cast, "task", number=task.number), query).content.decode()


# the question


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "dialog"])
def test_the_question_names_the_tasks_and_says_what_will_happen(cast: Guarded, headers: dict[str, str]) -> None:
    tasks = [cast.task(f"daily_{index}") for index in range(7)]
    already = cast.task("sleeps", recurrence=Recurrence.PAUSE)
    html = question(cast, cast.operator, "freeze", *tasks, already, **headers)
    for part in (
        "Freeze 7 tasks?",
        "born frozen",
        "Instances that exist already run as they are",
        "and 2 more",
        "1 task stays as it is",
        "is frozen already",
        "Comment",
    ):
        assert part in html, part
    assert html.count(">daily_") == 5
    assert ("<html" in html) == (headers == {})
    assert "Checked by" not in html
    assert frozen(*tasks) == [False] * 7, "asking changes nothing"


def test_it_says_who_is_asked_first_and_who_only_advises(cast: Guarded) -> None:
    task = cast.task()
    for name in ("Calendar", "Guard"):
        cast.extension(name)
    cast.extension("Adviser", is_mandatory=False)
    cast.extension("Elsewhere", points=["unfreeze-node"])
    html = question(cast, cast.operator, "freeze", task)
    assert "Checked by 2 extensions first: Calendar, Guard." in html
    assert "1 extension is asked for advice: Adviser." in html
    assert "Elsewhere" not in html


def test_in_development_nobody_is_asked(cast: Guarded) -> None:
    cast.extension()
    task = cast.task(environment="Dev")
    assert "Checked by" not in question(cast, cast.operator, "freeze", task, env="dev")
    answer = do(cast, cast.operator, "freeze", task, env="dev", headers=HTMX)
    assert "HX-Redirect" in answer.headers
    assert frozen(task) == [True]


def test_nothing_to_do_offers_nothing(cast: Guarded) -> None:
    html = question(cast, cast.operator, "unfreeze", cast.task("awake"))
    assert "None of the chosen tasks allows this now." in html
    assert "is-primary" not in html.split("<form", 1)[1].split("</form>")[0]


def test_what_is_being_checked_already_is_told_with_its_page(cast: Guarded) -> None:
    cast.extension()
    task = cast.task("busy")
    operation = cast.freeze(task)
    html = question(cast, cast.operator, "freeze", task, **HTMX)
    assert "is being checked by extensions" in html
    assert url(cast, "operation", pk=operation.pk) in html


def test_tasks_of_others_are_left_alone(cast: Guarded) -> None:
    other = Guarded("other")
    foreign, in_dev = other.task("foreign_name"), cast.task("dev_name", environment="Dev")
    html = question(cast, cast.operator, "freeze", foreign, in_dev)
    assert "foreign_name" not in html
    assert "dev_name" not in html
    assert "2 chosen tasks do not exist here any more." in html
    result = as_user(cast.operator).get(do(cast, cast.operator, "freeze", foreign)["Location"])
    assert "foreign_name" not in result.content.decode()
    assert frozen(foreign, in_dev) == [False, False]


def test_names_never_become_markup(cast: Guarded) -> None:
    evil = "<script>alert(1)</script>"
    task, sleeps = cast.task(evil), cast.task(f"{evil}2", recurrence=Recurrence.PAUSE)
    cast.extension(evil)
    assert evil not in question(cast, cast.operator, "freeze", task, sleeps)
    assert evil not in do(cast, cast.operator, "freeze", task, headers=HTMX, comment=evil).content.decode()
    for view in ("overview", "history"):
        assert evil not in page(cast, cast.operator, task, view=view)


# the deed


def test_without_checks_it_is_done_and_told(cast: Guarded) -> None:
    tasks = [cast.task(f"t{index}") for index in range(3)]
    operator, back = as_user(cast.operator), url(cast, "task_list")
    answer = do(cast, operator, "freeze", *tasks, comment="quarter end", next=back)
    assert (answer.status_code, answer["Location"]) == (302, back)
    assert frozen(*tasks) == [True] * 3
    assert AuditEntry.objects.get(action="task.freeze").params["comment"] == "quarter end"
    assert "Done: Freeze 3 tasks." in operator.get(back).content.decode()
    do(cast, operator, "unfreeze", *tasks)
    assert frozen(*tasks) == [False] * 3
    told = as_user(cast.owner).get(url(cast, "audit_list")).content.decode()
    for part in ("Froze tasks", "Unfroze tasks", "3 tasks: “quarter end”"):
        assert part in told, part


def test_with_checks_the_dialog_turns_into_them(cast: Guarded) -> None:
    cast.extension("Guard")
    task, root = cast.task("orders"), cast.task("root", is_root=True)
    answer = do(cast, cast.operator, "freeze", task, root, headers=HTMX, next=url(cast, "task_list"))
    html = answer.content.decode()
    operation = Operation.objects.get()
    for part in ("<dialog", "Guard", "Waiting for 1 extension", f"operations/{operation.pk}/checks/", "data-refresh"):
        assert part in html, part
    assert (operation.status, frozen(task)) == ("checking", [False])


def test_as_a_page_it_leads_to_the_operation(cast: Guarded) -> None:
    cast.extension("Guard")
    answer = do(cast, cast.operator, "freeze", cast.task())
    assert answer["Location"] == url(cast, "operation", pk=Operation.objects.get().pk)


def test_an_adviser_is_shown_although_it_is_done_already(cast: Guarded) -> None:
    cast.extension("Adviser", is_mandatory=False)
    task = cast.task()
    html = do(cast, cast.operator, "freeze", task, headers=HTMX).content.decode()
    assert frozen(task) == [True]
    assert "Adviser" in html
    assert "Advisory" in html


def test_the_same_form_sent_twice_is_one_operation(cast: Guarded) -> None:
    cast.extension()
    task = cast.task()
    for _time in range(2):
        do(cast, cast.operator, "freeze", task, token="f" * 32)
    assert Operation.objects.count() == 1


@pytest.mark.parametrize("code", ["freeze", "unfreeze"])
def test_who_may_not_is_told_which_permission_is_missing(cast: Guarded, code: str) -> None:
    task = cast.task()
    for user in (cast.visitor, cast.deployer):
        answer = do(cast, user, code, task)
        assert answer.status_code == 403
        assert "task.operate" in answer.content.decode()
    assert do(cast, cast.stranger, code, task).status_code == 404
    assert not Operation.objects.exists()


def test_own_only_means_own_only(cast: Guarded) -> None:
    mine, theirs = cast.task("mine", owner=cast.developer), cast.task("theirs")
    html = question(cast, cast.developer, "freeze", mine, theirs)
    assert "Freeze 1 task?" in html
    do(cast, cast.developer, "freeze", mine, theirs)
    assert frozen(mine, theirs) == [True, False]


@pytest.mark.parametrize("code", ["stop", "destroy", "freeze-task"])
def test_other_operations_are_not_found(cast: Guarded, code: str) -> None:
    assert do(cast, cast.operator, code, cast.task()).status_code == 404


@pytest.mark.parametrize(
    ("ids", "told"),
    [([], "Choose between 1 and 1000 tasks"), (["x"], "These are no ids."), (["9" * 30], "These are no ids.")],
    ids=["none", "word", "long"],
)
def test_ids_that_are_none_are_told(cast: Guarded, ids: list[str], told: str) -> None:
    answer = as_user(cast.operator).get(url(cast, "task_operate", code="freeze"), {"id": ids})
    assert answer.status_code == 422
    assert told in answer.content.decode()


# what was left undone is asked for again


def test_again_asks_for_what_was_not_done(cast: Guarded) -> None:
    cast.extension("Guard")
    first, second = cast.task("first"), cast.task("second")
    operation = cast.freeze(first, second)
    say(check_of(operation), "FAIL", "Not now")
    answer = as_user(cast.operator).get(url(cast, "task_operate", code="freeze"), {"again": operation.pk})
    html = answer.content.decode()
    assert "Freeze 2 tasks?" in html
    assert f'name="id" value="{first.pk}"' in html


@pytest.mark.parametrize(
    ("who", "code", "status"), [("operator", "unfreeze", 404), ("stranger", "freeze", 404), ("visitor", "freeze", 403)]
)
def test_again_knows_no_other_operations(cast: Guarded, who: str, code: str, status: int) -> None:
    cast.extension("Guard")
    operation = cast.freeze(cast.task())
    say(check_of(operation), "FAIL")
    client = as_user(getattr(cast, who))
    assert client.get(url(cast, "task_operate", code=code), {"again": operation.pk}).status_code == status
    for wrong in ("x", "9" * 30, operation.pk + 1):
        assert as_user(cast.owner).get(url(cast, "task_operate", code="freeze"), {"again": wrong}).status_code == 404


def test_again_with_nothing_left_says_so(cast: Guarded) -> None:
    operation = cast.freeze(cast.task())
    answer = as_user(cast.operator).get(url(cast, "task_operate", code="freeze"), {"again": operation.pk})
    assert answer.status_code == 422


# what the pages say

ALWAYS = ["Undeploy", "Change owner", "Change resource group", "Change priority"]


@pytest.mark.parametrize(
    ("who", "facts", "possible"),
    [
        ("operator", {}, {"Freeze", *ALWAYS}),
        ("operator", {"recurrence": "Pause"}, {"Unfreeze", *ALWAYS}),
        ("operator", {"recurrence": "Skip"}, {"Freeze", *ALWAYS}),
        ("operator", {"status": "Offline"}, set()),
        ("operator", {"is_root": True}, {"Change owner"}),
        ("developer", {}, set()),
        ("visitor", {}, set()),
    ],
)
def test_the_buttons_are_always_there_and_say_why_not(
    cast: Guarded, who: str, facts: dict[str, Any], possible: set[str]
) -> None:
    task = cast.task(**facts)
    actions = as_user(getattr(cast, who)).get(url(cast, "task", number=task.number)).context["actions"]
    assert [str(one["label"]) for one in actions] == ["Freeze", "Unfreeze", *ALWAYS]
    assert {str(one["label"]) for one in actions if not one["why_not"]} == possible


@pytest.mark.parametrize(("who", "may"), [("operator", True), ("developer", True), ("visitor", False)])
def test_rows_are_selected_and_frozen_together(cast: Guarded, who: str, may: bool) -> None:
    task = cast.task("orders")
    answer = as_user(getattr(cast, who)).get(url(cast, "task_list"))
    html = answer.content.decode()
    assert f'name="id" value="{task.pk}"' in html
    assert [bool(one["why_not"]) for one in answer.context["actions"]] == [not may] * 8  # two of them make runs
    assert ('data-key="f"' in html) is may


def test_a_frozen_task_says_since_when_and_by_whom(cast: Guarded) -> None:
    by_hand, published = cast.task("by_hand"), cast.task("published", recurrence=Recurrence.PAUSE)
    thawed = cast.task("thawed")
    operation = cast.freeze(by_hand, thawed)
    cast.unfreeze(thawed)
    Task.objects.filter(pk=thawed.pk).update(recurrence=Recurrence.PAUSE)  # as publishing it frozen does
    rows = as_user(cast.visitor).get(url(cast, "task_list")).context["rows"]
    known = {row["task"].name: row["freeze"].by if row["freeze"] else None for row in rows}
    assert known == {"by_hand": cast.operator, "published": None, "thawed": None}
    assert url(cast, "operation", pk=operation.pk) in page(cast, cast.visitor, by_hand)
    assert "acme-operator" not in page(cast, cast.visitor, published)


def test_many_frozen_tasks_are_no_more_questions(cast: Guarded, django_assert_max_num_queries: Any) -> None:
    tasks = [cast.task(f"dwd_customer_lifetime_value_{index}", owner=cast.developer) for index in range(50)]
    cast.freeze(*tasks)
    client = as_user(cast.visitor)
    with django_assert_max_num_queries(14):
        answer = client.get(url(cast, "task_list"))
    assert all(row["freeze"] for row in answer.context["rows"])
    assert len(answer.content) <= 84 * 1024


def test_a_task_under_check_is_live_until_it_is_decided(cast: Guarded) -> None:
    cast.extension("Guard")
    task = cast.task("orders")
    assert "data-refresh" not in page(cast, cast.operator, task)
    operation = cast.freeze(task)
    client, address = as_user(cast.visitor), url(cast, "task", number=task.number)
    html = client.get(address).content.decode()
    assert "is being checked by extensions" in html
    assert url(cast, "operation", pk=operation.pk) in html
    part = client.get(address, {"live": "1"}, headers=HTMX)
    assert part.status_code == 200
    same = client.get(address, {"live": "1"}, headers={**HTMX, "HX-PTag": part["HX-PTag"]})
    assert same.status_code == 304
    (freeze, *_others) = client.get(address).context["actions"]
    assert freeze["why_not"]
    say(check_of(operation), "OK")
    after = client.get(address, {"live": "1"}, headers={**HTMX, "HX-PTag": part["HX-PTag"]})
    assert after.status_code == 200
    assert "Frozen" in after.content.decode()
    assert "data-refresh" not in after.content.decode()


def test_the_operator_is_told_why_the_button_waits(cast: Guarded) -> None:
    cast.extension("Guard")
    task = cast.task("orders")
    operation = cast.freeze(task)
    (freeze, unfreeze, *_others) = as_user(cast.operator).get(url(cast, "task", number=task.number)).context["actions"]
    assert f"operation {operation.pk}" in freeze["why_not"]
    assert "is not frozen" in unfreeze["why_not"]


def test_the_history_of_a_task(cast: Guarded) -> None:
    guard = cast.extension("Guard")
    task, other = cast.task("orders"), cast.task("other")
    blocked = cast.freeze(task, other, comment="first <try>")
    say(check_of(blocked), "FAIL", "Not on Fridays")
    guard.enablements.update(is_enabled=False)
    cast.freeze(task)
    cast.freeze(task)
    entries = as_user(cast.visitor).get(url(cast, "task", number=task.number), {"view": "history"}).context["entries"]
    assert [str(entry["look"].word) for entry in entries] == ["Refused", "Applied", "Blocked"]
    html = page(cast, cast.visitor, task, view="history")
    for part in ("Not on Fridays", "first &lt;try&gt;", "is frozen already", url(cast, "operation", pk=blocked.pk)):
        assert part in html, part
    assert "Nothing has been done to it yet" in page(cast, cast.visitor, cast.task("new"), view="history")


# an instance's page


def test_an_instance_born_frozen_offers_to_unfreeze_its_task(cast: Guarded) -> None:
    task = cast.task("gate", recurrence=Recurrence.PAUSE)
    instance = cast.instance(task, State.NOT_RUN, frozen=True, kind=Kind.PAUSE)

    def remedy(user: User) -> dict[str, Any]:
        checklist = as_user(user).get(url(cast, "instance", pk=instance.pk)).context["checklist"]
        found = [one for condition in checklist["unmet"] for one in condition["remedies"]]
        return next(one for one in found if str(one["label"]) == "Unfreeze the task")

    offered = remedy(cast.operator)
    assert not offered["why_not"]
    assert f"/tasks/do/unfreeze/?id={task.pk}" in offered["url"]
    assert "task.operate" in remedy(cast.visitor)["why_not"]
    as_user(cast.operator).post(offered["url"].split("?")[0], {"id": task.pk})
    assert frozen(task) == [False]


def test_a_trigger_is_offered_at_the_top_and_in_the_checklist_alone(cast: Guarded) -> None:
    gate = cast.instance(cast.task("gate", "http_trigger"), State.WAIT_TRIGGER)
    html = as_user(cast.operator).get(url(cast, "instance", pk=gate.pk)).content.decode()
    assert html.count("Trigger now") == 2
