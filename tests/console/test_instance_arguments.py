"""Operations on instances that ask for more than a comment: the trees to tick, the forms, and what the pages then say."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client

from opscenter.base import clock
from opscenter.operations.models import Operation
from opscenter.production.models import InstanceEdge, ResourceGroup, TaskInstance
from opscenter.production.rules.states import State
from opscenter.workspaces.models import Member, User, Workspace
from tests.cast import Cast, usable_group
from tests.console.visits import as_user, url

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def cast() -> Cast:
    return Cast()


def bizdate() -> date:
    return clock.now().date() - timedelta(days=1)


def chain(cast: Cast, *states: State, prefix: str = "step") -> list[TaskInstance]:
    """Instances of yesterday one behind the other; each names its place."""
    made: list[TaskInstance] = []
    for number, state in enumerate(states):
        task = cast.task(f"{prefix}_{number}")
        made.append(cast.instance(task, state, upstream=made[-1:], bizdate=bizdate()))
    return made


def ask(user: User, cast: Cast, code: str, *chosen: TaskInstance, **headers: str) -> str:
    address = url(cast, "instance_operate", code=code)
    answer = as_user(user).get(address, {"id": [one.pk for one in chosen]}, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def do(user: User | Client, cast: Cast, code: str, *chosen: TaskInstance, **data: Any) -> Any:
    client = as_user(user) if isinstance(user, User) else user
    return client.post(url(cast, "instance_operate", code=code), {"id": [one.pk for one in chosen]} | data)


def state(instance: TaskInstance) -> State:
    return State(TaskInstance.objects.get(pk=instance.pk).state)


# the tree


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "dialog"])
def test_the_question_offers_one_level_of_descendants(cast: Cast, headers: dict[str, str]) -> None:
    made = chain(cast, State.SUCCESS, State.SUCCESS, State.SUCCESS)
    html = ask(cast.operator, cast, "rerun-downstream", made[0], **headers)
    assert f'name="downstream" value="{made[1].pk}"' in html and "step_2" not in html
    assert url(cast, "instance_descendants", pk=made[1].pk) in html, "the next level on demand"
    level = as_user(cast.operator).get(url(cast, "instance_descendants", pk=made[1].pk), headers=HTMX).content.decode()
    assert f'value="{made[2].pk}"' in level and "descendants/" not in level, "nothing is below it"


def test_what_cannot_be_ticked_says_why(cast: Cast) -> None:
    made = chain(cast, State.SUCCESS, State.RUNNING)
    other = Workspace.objects.create(tenant=cast.tenant, name="other")
    theirs = cast.instance(cast.task("theirs", workspace=other), State.SUCCESS, bizdate=bizdate())
    InstanceEdge.objects.create(upstream=made[0], downstream=theirs, met=True, bizdate=bizdate())
    html = ask(cast.operator, cast, "rerun-downstream", made[0])
    assert html.count('name="downstream"') == html.count(" disabled>") == 2
    assert "The instance is in the state “Running”" in html and "It is of another workspace" in html


def test_a_level_has_its_bound(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opscenter.console.descendants.LEVEL_SHOWN", 3)
    (first,) = chain(cast, State.SUCCESS)
    for number in range(5):
        cast.instance(cast.task(f"below_{number}"), State.SUCCESS, upstream=[first], bizdate=bizdate())
    html = ask(cast.operator, cast, "rerun-downstream", first)
    assert html.count('name="downstream"') == 3 and "2 more are not shown." in html


def test_what_is_ticked_is_rerun_after_it(cast: Cast) -> None:
    made = chain(cast, State.SUCCESS, State.SUCCESS, State.SUCCESS)
    answer = do(cast.operator, cast, "rerun-downstream", made[0], downstream=[made[1].pk], comment="again")
    assert answer.status_code == 302
    assert [state(one) for one in made] == [State.WAIT_RESOURCE, State.NOT_RUN, State.SUCCESS]
    operation = Operation.objects.get()
    assert operation.params == {"instances": [made[0].pk, made[1].pk], "arguments": {"start": [made[0].pk]}}


def test_ids_that_are_none_are_told(cast: Cast) -> None:
    (first,) = chain(cast, State.SUCCESS)
    answer = do(cast.operator, cast, "rerun-downstream", first, downstream=["x"])
    assert answer.status_code == 422 and not Operation.objects.exists()


def test_levels_are_of_the_workspace_and_for_who_may_operate(cast: Cast) -> None:
    other = Cast("other")
    made = chain(cast, State.SUCCESS, State.SUCCESS)
    theirs = chain(other, State.SUCCESS, State.SUCCESS)
    assert as_user(cast.operator).get(url(cast, "instance_descendants", pk=theirs[0].pk)).status_code == 404
    assert as_user(cast.visitor).get(url(cast, "instance_descendants", pk=made[0].pk)).status_code == 403


# dependencies


def test_upstream_instances_are_chosen_and_no_longer_waited_for(cast: Cast) -> None:
    made = chain(cast, State.RUNNING, State.NOT_RUN)
    html = ask(cast.operator, cast, "remove-dependencies", made[1])
    assert f'name="upstream" value="{made[0].pk}"' in html and "step_0" in html
    refused = do(cast.operator, cast, "remove-dependencies", made[1])
    assert refused.status_code == 422 and "Choose at least one" in refused.content.decode()
    do(cast.operator, cast, "remove-dependencies", made[1], upstream=[made[0].pk], comment="late")
    assert state(made[1]) == State.WAIT_RESOURCE
    history = as_user(cast.operator).get(url(cast, "instance", pk=made[1].pk), {"view": "history"}).content.decode()
    assert f"upstream instance {made[0].pk}" in history and "“late”" in history


# priority and group


def test_a_priority_is_chosen_and_told_in_the_history(cast: Cast) -> None:
    made = chain(cast, State.WAIT_RESOURCE)
    assert "<option" in ask(cast.operator, cast, "set-priority", made[0])
    assert do(cast.operator, cast, "set-priority", made[0], priority="4").status_code == 422
    do(cast.operator, cast, "set-priority", made[0], priority="7", comment="urgent")
    assert TaskInstance.objects.get().priority == 7
    page = as_user(cast.owner).get(url(cast, "operation", pk=Operation.objects.get().pk)).content.decode()
    assert "Asked for" in page and "priority 7" in page
    history = as_user(cast.operator).get(url(cast, "instance", pk=made[0].pk), {"view": "history"}).content.decode()
    assert "Changed" in history and "priority 7" in history


def test_a_group_is_one_of_the_tenant(cast: Cast) -> None:
    usable_group(cast.workspace, "night")
    ResourceGroup.objects.create(tenant=cast.stranger.tenant, name="foreign")
    made = chain(cast, State.WAIT_RESOURCE)
    html = ask(cast.operator, cast, "set-resource-group", made[0])
    assert "night" in html and "foreign" not in html
    do(cast.operator, cast, "set-resource-group", made[0], resource_group="night")
    assert TaskInstance.objects.get().resource_group.name == "night"


# force


def test_force_offers_the_workspaces_that_one_administers(cast: Cast) -> None:
    found = {}
    for name, role in (("mine", "role_project_admin"), ("operated", "role_project_pe")):
        found[name] = workspace = Workspace.objects.create(tenant=cast.tenant, name=name)
        Member.objects.create(workspace=workspace, user=cast.admin, roles=[role])
    made = chain(cast, State.SUCCESS, State.SUCCESS)
    html = ask(cast.admin, cast, "force-rerun", made[0])
    offered = [one.pk for one in found.values() if f'name="workspaces" value="{one.pk}"' in html]
    assert offered == [found["mine"].pk]
    refused = do(cast.admin, cast, "force-rerun", made[0], start="self")
    assert refused.status_code == 422, "no workspace is chosen"
    do(cast.admin, cast, "force-rerun", made[0], start="self", workspaces=[cast.workspace.pk])
    assert [state(one) for one in made] == [State.WAIT_RESOURCE, State.NOT_RUN]


def test_one_under_way_is_told_and_live(cast: Cast) -> None:
    made = chain(cast, State.SUCCESS, State.RUNNING)
    answer = do(cast.admin, cast, "force-rerun", made[0], start="self", workspaces=[cast.workspace.pk])
    operation = Operation.objects.get()
    assert answer["Location"] == url(cast, "operation", pk=operation.pk)
    html = as_user(cast.admin).get(answer["Location"]).content.decode()
    for part in ("Under way", "1 of 2 instances are back", "Being stopped", "data-refresh", "from the instance itself"):
        assert part in html, part
    assert "Force rerun downstream step_0" in html, "it was asked for of one instance"


def test_buttons_say_why_it_cannot_be_forced(cast: Cast) -> None:
    old = cast.instance(cast.task(), State.SUCCESS)
    said = {one["label"]: one["why_not"] for one in _actions(cast, cast.admin, old)}
    assert "yesterday" in said["Force rerun downstream"]
    said = {one["label"]: one["why_not"] for one in _actions(cast, cast.operator, old)}
    assert "(instance.force_rerun)" in said["Force rerun downstream"]


def _actions(cast: Cast, user: User, instance: TaskInstance) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = as_user(user).get(url(cast, "instance", pk=instance.pk)).context["actions"]
    return found


# once more


def test_what_was_left_is_asked_for_with_what_was_asked_for_then(cast: Cast) -> None:
    """The same priority and comment, not those that the objects have now."""
    running, waiting = cast.instance(cast.task("a"), State.RUNNING), cast.instance(cast.task("b"))
    answer = do(cast.operator, cast, "set-priority", running, waiting, priority=7, comment="before the report")
    page = as_user(cast.operator).get(answer["Location"])
    question = as_user(cast.operator).get(page.context["again"]["url"])
    assert question.context["ids"] == []  # it runs still
    TaskInstance.objects.filter(pk=running.pk).update(state=State.WAIT_RESOURCE)
    question = as_user(cast.operator).get(page.context["again"]["url"])
    assert question.context["ids"] == [running.pk]
    assert question.context["form"]["priority"].value() == 7
    assert question.context["form"]["comment"].value() == "before the report"


def test_the_upstream_that_was_chosen_then_is_chosen_again(cast: Cast) -> None:
    first, second = chain(cast, State.FAILURE, State.RUNNING)
    answer = do(cast.operator, cast, "remove-dependencies", second, upstream=first.pk)
    page = as_user(cast.operator).get(answer["Location"])
    TaskInstance.objects.filter(pk=second.pk).update(state=State.NOT_RUN)
    question = as_user(cast.operator).get(page.context["again"]["url"])
    assert question.context["shown"]["chosen"] == [str(first.pk)]
    assert f'value="{first.pk}" checked' in question.content.decode()
