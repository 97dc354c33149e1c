"""Backfills on pages: the dialog and its preview, the list, a job's page, and the ways there."""

import html as entities
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from opscenter.base import clock
from opscenter.engine import backfill_watch
from opscenter.operations.models import Operation
from opscenter.production.models import Backfill, BackfillMail, Task, TaskInstance
from opscenter.production.rules.backfill import Mode
from opscenter.production.rules.states import State
from tests.console.visits import as_user, url
from tests.operations.backfilling import FIRST, backfill, get, instances
from tests.operations.guarded import Guarded, check_of, say

pytestmark = pytest.mark.django_db
D = [FIRST + timedelta(days=n) for n in range(5)]


@pytest.fixture
def cast() -> Guarded:
    return Guarded()


@pytest.fixture
def line(cast: Guarded) -> list[Task]:
    a = cast.task("a")
    b = cast.task("b", upstream=[a])
    return [a, b, cast.task("c", upstream=[b])]


def asked(*tasks: Task, **fields: Any) -> dict[str, Any]:
    """The fields of the dialog."""
    return {
        "mode": "current", "tasks": ",".join(str(task.number) for task in tasks), "order": "asc", "groups": "1",
        "first_1": "2026-11-01", "last_1": "2026-11-02", "on_failure": "wait",
    } | fields  # fmt: skip


def preview(cast: Guarded, client: Client, fields: dict[str, Any], status: int = 200) -> str:
    answer = client.get(url(cast, "backfill_new"), fields | {"step": "preview"})
    assert answer.status_code == status
    return answer.content.decode()


def confirm(cast: Guarded, client: Client, shown: str) -> Any:
    """Press the button of a preview."""
    form = shown[shown.index('<form method="post" action="/w') :]
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[: form.index("</form>")])
    data: dict[str, list[str]] = {"step": ["make"]}
    for name, value in hidden:
        data.setdefault(name, []).append(entities.unescape(value))
    return client.post(url(cast, "backfill_new"), data)


def test_from_the_task_to_the_job(cast: Guarded, line: list[Task]) -> None:
    client = as_user(cast.operator)
    task_page = client.get(url(cast, "task", number=line[0].number)).content.decode()
    assert f"{url(cast, 'backfill_new')}?tasks={line[0].number}" in task_page
    dialog = client.get(url(cast, "backfill_new"), {"tasks": line[0].number}).content.decode()
    assert f'value="{line[0].number}"' in dialog
    assert "Nothing is made before you have seen it" in dialog
    shown = preview(cast, client, asked(line[0], mode="descendants", parameters=f"x=1\n{line[0].number}: y='a b'"))
    assert "6 instances: 3 tasks, 2 business dates" in shown
    assert not Backfill.objects.exists()
    answer = confirm(cast, client, shown)
    job = Backfill.objects.get()
    assert answer["Location"] == url(cast, "backfill", pk=job.pk)
    assert [one.task.name for one in instances(job)] == ["a", "b", "c"] * 2
    assert job.request["parameters"] == {"workflow": {"x": "1"}, "tasks": {str(line[0].number): {"y": "a b"}}}
    page = client.get(answer["Location"]).content.decode()
    for part in (
        job.name,
        "0 of 6 instances succeeded",
        "2026-11-02",
        "Pause",
        "Stop all",
        "These and what comes after",
    ):
        assert part in page, part
    assert f"{url(cast, 'backfill_instance_list')}?backfill={job.pk}" in page


def test_chosen_rows_of_the_task_list_lead_to_the_dialog(cast: Guarded, line: list[Task]) -> None:
    client = as_user(cast.operator)
    chosen = {"id": [line[0].pk, line[1].pk]}
    tasks = f"{line[0].number}%2C{line[1].number}"
    answer = client.get(url(cast, "backfill_new"), chosen)
    assert answer["Location"] == f"{url(cast, 'backfill_new')}?tasks={tasks}&mode=advanced"
    answer = client.get(url(cast, "backfill_new"), chosen, headers={"HX-Request": "true"})
    assert "id=" in answer["HX-Redirect"]
    assert "Backfill" in client.get(url(cast, "task_list")).content.decode()


def test_the_preview_says_why(cast: Guarded, line: list[Task]) -> None:
    Task.objects.filter(pk=line[1].pk).update(recurrence="Pause")
    cast.extension(name="night guard", points=["backfill-data"])
    shown = preview(cast, as_user(cast.operator), asked(line[0], line[2], mode="advanced"))
    assert "Not chosen, but between chosen tasks" in shown
    assert "Checked by 1 extension first: night guard" in shown
    shown = preview(cast, as_user(cast.operator), asked(line[0], mode="descendants"))
    assert "its instances are born frozen" in shown


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tasks": "abc"}, "There is no task “abc”"),
        ({"tasks": "123"}, "There is no task 123"),
        ({"tasks": ""}, "Name at least one task"),
        ({"first_1": "2026-11-05"}, "A range ends before it begins"),
        ({"first_2": "2026-11-05"}, "A range has two ends"),
        ({"window_from": "01:00:00"}, "A run window has a beginning and an end"),
        ({"parameters": "day"}, "day"),
        ({"parameters": "day=$nonsense"}, "$nonsense"),
        ({"mode": "every"}, "every"),
        ({"groups": "99"}, "99"),
        ({"mode": "link"}, "one that it ends with"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_what_was_entered_stays(
    cast: Guarded, line: list[Task], fields: dict[str, Any], words: str
) -> None:
    shown = preview(cast, as_user(cast.operator), asked(line[0], name="keep me") | fields, status=422)
    assert words in entities.unescape(shown)
    assert 'value="keep me"' in shown
    assert '<form method="post" action="/w' not in shown


def test_a_problem_is_shown_instead_of_the_button(cast: Guarded, line: list[Task]) -> None:
    own = cast.task("own", owner=cast.developer)
    last = cast.task("last", upstream=[own])
    shown = preview(cast, as_user(cast.developer), asked(own, last, mode="advanced"))
    assert "You may not run “last”" in shown
    assert 'value="make"' not in shown


def test_a_changed_world_brings_a_new_preview(cast: Guarded, line: list[Task]) -> None:
    client = as_user(cast.operator)
    shown = preview(cast, client, asked(line[0], mode="descendants"))
    cast.task("new", upstream=[line[0]])
    answer = confirm(cast, client, shown)
    told = answer.content.decode()
    assert answer.status_code == 409
    assert "has changed since it was previewed" in told
    assert "8 instances: 4 tasks" in told
    assert not Backfill.objects.exists()
    assert confirm(cast, client, told).status_code == 302


def test_pressing_twice_makes_one(cast: Guarded, line: list[Task]) -> None:
    client = as_user(cast.operator)
    shown = preview(cast, client, asked(line[0]))
    first, second = confirm(cast, client, shown), confirm(cast, client, shown)
    assert first["Location"] == second["Location"]
    assert Backfill.objects.count() == 1


def test_while_it_is_checked_the_page_shows_the_verdicts(cast: Guarded, line: list[Task]) -> None:
    cast.extension(name="night guard", points=["backfill-data"])
    client = as_user(cast.operator)
    page = confirm(cast, client, preview(cast, client, asked(line[0])))["Location"]
    shown = client.get(page).content.decode()
    assert "night guard" in shown
    assert "Checking" in shown
    assert "data-refresh" in shown
    say(check_of(Operation.objects.get(code="make_backfill")), "FAIL", "Not at night")
    shown = client.get(page).content.decode()
    assert "Not at night" in shown
    assert "Blocked" in shown
    assert not TaskInstance.objects.exists()


def test_the_list(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=2)
    other = backfill(cast, line[1], by=cast.admin, name="of the administrator")
    TaskInstance.objects.filter(pk=get(job, D[0], "a").pk).update(state=State.SUCCESS)
    client = as_user(cast.operator)
    shown = client.get(url(cast, "backfill_list")).content.decode()
    for part in (job.name, other.name, "1 of 2", "2026-11-01 – 2026-11-02", "Running"):
        assert part in shown, part
    mine = client.get(url(cast, "backfill_list"), {"creator": "me"}).content.decode()
    assert job.name in mine
    assert other.name not in mine
    assert "No backfill fits" in client.get(url(cast, "backfill_list"), {"q": "nowhere"}).content.decode()
    dev = client.get(url(cast, "backfill_list", env="dev")).content.decode()
    assert "Nothing has been backfilled yet" in dev


def test_operations_on_a_job(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], mode=Mode.DESCENDANTS)
    client = as_user(cast.operator)
    for code, state, paused in (("pause", "started", True), ("resume", "started", False), ("stop", "stopped", False)):
        address = url(cast, "backfill_operate", code=code)
        assert job.name in client.get(address, {"id": job.pk}).content.decode()
        assert client.post(address, {"id": job.pk, "comment": "now"}).status_code == 302
        job.refresh_from_db()
        assert (job.state, job.is_paused) == (state, paused)
    history = client.get(url(cast, "operation_list")).content.decode()
    assert job.name in history
    assert client.get(url(cast, "backfill_operate", code="make"), {"id": job.pk}).status_code == 404


def test_the_page_of_a_stopped_job_looks_again_until_the_last_run_has_ended(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=2)
    running = TaskInstance.objects.filter(pk=get(job, D[0], "a").pk)
    running.update(state=State.RUNNING)
    Backfill.objects.filter(pk=job.pk).update(state=Backfill.State.STOPPED)
    client = as_user(cast.operator)
    assert "data-refresh" in client.get(url(cast, "backfill", pk=job.pk)).content.decode()
    running.update(state=State.FAILURE)
    assert "data-refresh" not in client.get(url(cast, "backfill", pk=job.pk)).content.decode()


def test_an_instance_and_its_job_name_each_other(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=2)
    client = as_user(cast.operator)
    page = client.get(url(cast, "instance", pk=get(job, D[1], "a").pk)).content.decode()
    assert url(cast, "backfill", pk=job.pk) in page
    assert "2026-11-01 of the backfill" in page
    listed = client.get(url(cast, "backfill_instance_list"), {"backfill": job.pk}).content.decode()
    assert listed.count("data-row-link") == 2
    assert "_root" not in listed
    scheduled = client.get(url(cast, "instance_list"), {"bizdate": "all"}).content.decode()
    assert scheduled.count("data-row-link") == Task.objects.filter(is_root=True).count()


def test_it_can_be_asked_for_again(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], mode=Mode.DESCENDANTS, groups=2, count=2, priority=7)
    dialog = as_user(cast.operator).get(url(cast, "backfill_new"), {"like": job.pk}).content.decode()
    assert re.search(r'value="descendants" checked', dialog)
    assert 'value="2026-11-01"' in dialog
    assert re.search(r'<option value="7" selected', dialog)


def test_who_may_only_look_is_told_why(cast: Guarded, line: list[Task]) -> None:
    lacking = 'aria-disabled="true" title="You lack the permission'
    html = as_user(cast.visitor).get(url(cast, "backfill_list")).content.decode()
    assert lacking in html
    assert "Nothing has been backfilled yet" in html
    assert url(cast, "backfill_new") not in html
    job = backfill(cast, line[0])
    html = as_user(cast.visitor).get(url(cast, "backfill", pk=job.pk)).content.decode()
    assert html.count(lacking) == 5
    assert "like=" not in html


def test_a_job_of_another_workspace_does_not_exist_here(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0])
    assert as_user(cast.stranger).get(url(cast, "backfill", pk=job.pk)).status_code == 404
    assert as_user(cast.operator).get(url(cast, "backfill", env="dev", pk=job.pk)).status_code == 404
    assert as_user(cast.visitor).get(url(cast, "backfill", pk=job.pk)).status_code == 200
    assert as_user(cast.visitor).get(url(cast, "backfill_new")).status_code == 403


def test_the_dialog_asks_at_which_ends_to_tell_and_the_top_bar_tells_until_it_is_looked_at(
    cast: Guarded, line: list[Task]
) -> None:
    client, other = as_user(cast.operator), as_user(cast.admin)
    confirm(cast, client, preview(cast, client, asked(line[0], alert="Failure")))
    job = Backfill.objects.get()
    assert job.request["alert"] == {"type": "Failure"}
    TaskInstance.objects.filter(workflow_instance__backfill_date__backfill=job).update(state=State.FAILURE, due_at=None)
    backfill_watch.run_backfills()
    tasks, page = url(cast, "task_list"), url(cast, "backfill", pk=job.pk)
    assert "ended-menu" not in other.get(tasks).content.decode(), "it is told to who asked for it"
    shown = client.get(tasks).content.decode()
    assert "1 backfill of yours has ended" in shown and page in shown and job.name in shown
    assert "ended-menu" in client.get(tasks).content.decode()
    other.get(page)
    assert "ended-menu" in client.get(tasks).content.decode(), "somebody else looked at it"
    looked = client.get(page).content.decode()
    assert "something failed and nothing goes on" in looked
    assert "ended-menu" not in client.get(tasks).content.decode()


def test_a_mail_too_where_there_is_a_server_and_an_address(cast: Guarded, line: list[Task], settings: Any) -> None:
    client = as_user(cast.operator)

    def dialog() -> str:
        return entities.unescape(client.get(url(cast, "backfill_new")).content.decode())

    assert "This installation has no mail server" in dialog()
    settings.EMAIL_HOST = "mail.example.com"
    assert "You have no mail address yet" in dialog()
    wanted = asked(line[0], last_1="2026-11-01", alert="Success", mail="on")
    shown = preview(cast, client, wanted)
    assert "disabled" in re.findall(r'<input type="checkbox" name="mail"[^>]*>', shown)[0]
    confirm(cast, client, shown)
    assert Backfill.objects.latest("pk").request["alert"] == {"type": "Success"}
    cast.operator.email = "operator@example.com"
    cast.operator.save(update_fields=["email"])
    assert "To operator@example.com" in dialog()
    assert "Say at which end you want the mail" in preview(cast, client, wanted | {"alert": ""}, status=422)
    confirm(cast, client, preview(cast, client, wanted))
    job = Backfill.objects.latest("pk")
    assert job.request["alert"] == {"type": "Success", "notice": "Mail", "language": "en"}
    page = client.get(url(cast, "backfill", pk=job.pk)).content.decode()
    assert "Tell me if all succeeded, by mail too" in page
    again = client.get(url(cast, "backfill_new"), {"like": job.pk}).content.decode()
    assert "checked" in re.findall(r'<input type="checkbox" name="mail"[^>]*>', again)[0]
    BackfillMail.objects.create(
        backfill=job, outcome="success", ended_at=clock.now(), state=BackfillMail.State.GIVEN_UP,
        reason={"code": "mail.failed", "params": {"error": "550 no such <person>"}},
    )  # fmt: skip
    page = client.get(url(cast, "backfill", pk=job.pk)).content.decode()
    assert "Not sent" in page
    assert "The mail server did not take it: 550 no such &lt;person&gt;" in page
