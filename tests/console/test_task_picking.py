"""Naming tasks in the dialog of a backfill: found as one types, chosen, or typed by name or id."""

import html as entities
import re
from typing import Any

import pytest
from django.test import Client

from opscenter.production.models import Backfill, Task
from opscenter.production.rules.backfill import Mode
from opscenter.workspaces.models import Member, Workspace
from tests.console.test_backfills import asked, confirm, preview
from tests.console.visits import as_user, url
from tests.operations.backfilling import backfill, kinds
from tests.operations.guarded import Guarded

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Guarded:
    return Guarded()


@pytest.fixture
def elsewhere(cast: Guarded) -> Workspace:
    """Another workspace of the tenant, of which the operator is a member and the administrator is not."""
    found = Workspace.objects.create(tenant=cast.tenant, name="elsewhere")
    Member.objects.create(workspace=found, user=cast.operator, roles=["role_project_pe"])
    return found


def found(cast: Guarded, client: Client, text: str, *chosen: Task, env: str = "prod") -> list[str]:
    """The names that are offered, in order."""
    given: dict[str, Any] = {"field": "exclude", "exclude": [*(task.number for task in chosen), text]}
    answer = client.get(url(cast, "backfill_pick", env=env), given)
    assert answer.status_code == 200
    return re.findall(r"<button.*?cut\">(.*?)</span>", answer.content.decode())


def chips(page: str, name: str) -> list[str]:
    """The numbers that a field shows as chosen."""
    return re.findall(rf'<input type="checkbox" class="sr-only" name="{name}" value="([0-9]+)" checked>', page)


def typed(page: str, name: str) -> str:
    """The text of a field."""
    entered = re.search(rf'<input type="text" name="{name}"([^>]*)>', page)
    assert entered
    value = re.search(r'value="([^"]*)"', entered[1])
    return entities.unescape(value[1]) if value else ""


def test_what_fits_is_offered_the_nearest_first(cast: Guarded, elsewhere: Workspace) -> None:
    for name in ("old_orders", "orders", "orders_clean", "customers"):
        cast.task(name)
    cast.task("orders_far", workspace=elsewhere)
    client = as_user(cast.operator)
    assert found(cast, client, "ord") == ["orders", "orders_clean", "old_orders", "orders_far"]
    assert found(cast, client, "Clean ord") == ["orders_clean"]
    assert found(cast, client, "customers, cle") == ["orders_clean"], "the last word counts"
    assert found(cast, client, str(Task.objects.get(name="customers").number)) == ["customers"]
    assert found(cast, as_user(cast.admin), "ord") == ["orders", "orders_clean", "old_orders"]
    assert found(cast, client, "") == []
    assert found(cast, client, "ord", Task.objects.get(name="orders"), Task.objects.get(name="orders_far")) == [
        "orders_clean", "old_orders",
    ]  # fmt: skip
    assert found(cast, client, "ord", env="dev") == []


def test_what_cannot_be_backfilled_is_not_offered(cast: Guarded) -> None:
    cast.task("offline_one")
    Task.objects.filter(name="offline_one").update(status=Task.Status.OFFLINE)
    cast.task("manual_one")
    Task.objects.filter(name="manual_one").update(trigger=Task.Trigger.MANUAL)
    root = cast.task("root_one", is_root=True)
    client = as_user(cast.operator)
    assert found(cast, client, "_one") == []
    assert found(cast, client, root.name) == []
    answer = client.get(url(cast, "backfill_pick"), {"field": "tasks", "tasks": "_one"}).content.decode()
    assert "No task fits" in answer


def test_more_than_a_page_says_so(cast: Guarded) -> None:
    for n in range(21):
        cast.task(f"many_{n:02}")
    client = as_user(cast.operator)
    answer = client.get(url(cast, "backfill_pick"), {"field": "tasks", "tasks": "many"}).content.decode()
    assert answer.count("data-pick") == 20
    assert "There are more" in answer


def test_strangers_are_offered_nothing(cast: Guarded) -> None:
    assert as_user(cast.stranger).get(url(cast, "backfill_pick"), {"field": "tasks", "tasks": "a"}).status_code == 404


def test_names_and_ids_that_are_typed_become_chosen_ones(cast: Guarded) -> None:
    a = cast.task("a")
    b = cast.task("b", upstream=[a])
    cast.task("c two words", upstream=[b])
    client = as_user(cast.operator)
    fields: dict[str, Any] = asked(mode="descendants", tasks="a", exclude=[str(b.number), "c two words"])
    shown = preview(cast, client, fields)
    assert chips(shown, "tasks") == [str(a.number)]
    assert chips(shown, "exclude") == [str(b.number), str(Task.objects.get(name="c two words").number)]
    assert typed(shown, "tasks") == typed(shown, "exclude") == ""
    confirm(cast, client, shown)
    job = Backfill.objects.get()
    assert job.request["exclude"] == [int(one) for one in chips(shown, "exclude")]
    shown = preview(cast, client, asked(mode="advanced", tasks=f"{b.number} a"))
    assert chips(shown, "tasks") == [str(b.number), str(a.number)]


def test_what_is_no_task_stays_in_the_field_with_the_reason(cast: Guarded, elsewhere: Workspace) -> None:
    a = cast.task("a")
    twins = [cast.task("twin"), cast.task("twin")]
    cast.task("a", workspace=elsewhere)
    client = as_user(cast.operator)
    page = entities.unescape(preview(cast, client, asked(mode="advanced", tasks="a, nothing, twin, 123"), status=422))
    assert "There is no task “nothing”" in page
    assert f"Several tasks are called “twin”: {twins[0].number}, {twins[1].number}." in page
    assert chips(page, "tasks") == [str(a.number)], "the one of this workspace is meant"
    assert typed(page, "tasks") == "123, nothing, twin"


def test_a_task_of_another_workspace_shows_where_it_is(cast: Guarded, elsewhere: Workspace) -> None:
    far = cast.task("far", workspace=elsewhere)
    shown = preview(cast, as_user(cast.operator), asked(tasks="far"))
    assert chips(shown, "tasks") == [str(far.number)]
    assert "elsewhere</small>" in shown


def test_what_the_mode_does_not_ask_for_counts_for_nothing(cast: Guarded) -> None:
    a = cast.task("a")
    b = cast.task("b", upstream=[a])
    client = as_user(cast.operator)
    hidden = {"depth": "-3", "include": "nonsense", "exclude": "nonsense too", "workspaces": "0"}
    assert "1 instance: 1 task" in preview(cast, client, asked(a, last_1="2026-11-01", **hidden))
    shown = preview(cast, client, asked(a, b, mode="advanced", last_1="2026-11-01", include="nonsense"))
    assert "2 instances: 2 tasks" in shown


def test_a_free_choice_may_be_larger_than_what_a_job_begins_with(cast: Guarded) -> None:
    a, b = cast.task("a"), cast.task("b")
    confirm(cast, as_user(cast.operator), preview(cast, as_user(cast.operator), asked(a, b, mode="advanced")))
    asked_for = Backfill.objects.get().request
    assert (asked_for["roots"], asked_for["include"]) == ([], [a.number, b.number])


def test_thousands_are_no_more_values_than_a_request_may_have(cast: Guarded) -> None:
    pattern = cast.task("many")
    numbers = [pattern.number]
    copies = []
    for n in range(1500):
        one = Task.objects.get(pk=pattern.pk)
        one.pk, one.number, one.name = None, 710_000_000 + n, f"many_{n}"
        copies.append(one)
        numbers.append(one.number)
    Task.objects.bulk_create(copies)
    client = as_user(cast.operator)
    page = preview(cast, client, asked(mode="advanced", tasks=",".join(map(str, numbers)), last_1="2026-11-01"))
    assert len(chips(page, "tasks")) == 100
    assert "and 1401 more tasks" in page
    (rest,) = re.findall(r'name="tasks" value="([0-9,]+)" checked>and', page)
    again = preview(cast, client, asked(mode="advanced", tasks=[*chips(page, "tasks"), rest, ""], last_1="2026-11-01"))
    assert "1501 tasks, 1 business date" in again
    confirm(cast, client, again)
    assert sorted(Backfill.objects.get().request["include"]) == sorted(numbers)


def test_asking_again_brings_the_tasks_and_everything_else_back(cast: Guarded) -> None:
    a = cast.task("a")
    b = cast.task("b", upstream=[a])
    job = backfill(cast, mode=Mode.ADVANCED, include=[a, b], exclude=[b], autostart=False)
    assert set(kinds(job)) == {"a", "b"}
    page = as_user(cast.operator).get(url(cast, "backfill_new"), {"like": job.pk}).content.decode()
    assert chips(page, "tasks") == [str(a.number), str(b.number)]
    assert chips(page, "exclude") == [str(b.number)]
    assert re.search(r'name="later"[^>]* checked', page)


def test_the_page_of_a_job_names_the_tasks_it_was_asked_for_with(cast: Guarded) -> None:
    a = cast.task("a_first")
    b = cast.task("b_left", upstream=[a])
    job = backfill(cast, a, mode=Mode.DESCENDANTS, exclude=[b])
    page = as_user(cast.operator).get(url(cast, "backfill", pk=job.pk)).content.decode()
    assert "<dt>Begins with</dt><dd>a_first</dd>" in page
    assert "<dt>Leave out</dt><dd>b_left</dd>" in page


def test_weekends_without_hours_are_whole_days(cast: Guarded) -> None:
    a = cast.task("a")
    client = as_user(cast.operator)
    confirm(cast, client, preview(cast, client, asked(a, weekend="on")))
    assert Backfill.objects.get().request["run_window"] == ["00:00:00", "23:59:59", True]
