"""What is at the bottom of a chain of waiting instances, told on the page and in the list, and who can put it right."""

from collections.abc import Sequence
from typing import Any

import pytest

from opscenter.base import heartbeat
from opscenter.base.models import Process
from opscenter.base.reasons import say
from opscenter.production import roots
from opscenter.production.explaining import explain_instance, short_reasons
from opscenter.production.models import Task, TaskInstance
from opscenter.production.rules.remedies import Cause
from opscenter.production.rules.states import State
from opscenter.workspaces.models import Member, User
from tests.cast import Cast
from tests.console.visits import as_user, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return Cast()


def waiting(cast: Cast, name: str, *upstream: TaskInstance, **fields: Any) -> TaskInstance:
    return cast.instance(cast.task(name), State.NOT_RUN, upstream=upstream, **fields)


def chain(cast: Cast, first: TaskInstance, levels: int) -> TaskInstance:
    for level in range(levels):
        first = waiting(cast, f"level_{level}", first)
    return first


def found(instance: TaskInstance) -> list[tuple[str, Cause]]:
    return [(one.name, one.cause) for one in roots.roots([instance.pk]).get(instance.pk, ())]


def unmet(cast: Cast, user: User, instance: TaskInstance) -> Sequence[dict[str, Any]]:
    page = as_user(user).get(url(cast, "instance", pk=instance.pk))
    assert page.status_code == 200
    shown: Sequence[dict[str, Any]] = page.context["checklist"]["unmet"]
    return shown


def test_a_failure_ten_levels_up_is_named_linked_and_repaired_from_here(cast: Cast) -> None:
    culprit = cast.instance(cast.task("load", owner=cast.developer), State.FAILURE)
    last = chain(cast, culprit, 10)
    assert found(last) == [("load", Cause.FAILED)]
    (condition,) = [one for one in unmet(cast, cast.operator, last) if "load" in one["text"]]
    assert "level_8 (Not run)" in condition["text"]
    assert "at the bottom of the chain: load (Failed)" in condition["text"]
    assert [one["label"] for one in condition["remedies"]] == ["Rerun: upstream", "Set to succeeded: upstream"]
    assert all(f"id={culprit.pk}" in one["url"] for one in condition["remedies"])
    assert condition["links"] == [{"name": "load", "url": url(cast, "instance", pk=culprit.pk)}]
    (who,) = [text for text in condition["help"] if text.startswith("Who can rerun")]
    assert who.endswith("acme-developer, acme-admin, acme-operator, acme-owner.")  # its owner first
    reason = short_reasons([last])[last.pk]
    assert say(reason.code, reason.params) == "Waits for load (Failed)"


@pytest.mark.parametrize(
    ("state", "fields", "cause"),
    [
        (State.FAILURE, {}, Cause.FAILED),
        (State.FAILURE, {"reason": {"code": "attempt.stopped", "params": {}}}, Cause.STOPPED),
        (State.WAIT_TRIGGER, {}, Cause.UNTRIGGERED),
        (State.WAIT_TIME, {}, Cause.TIME),
        (State.WAIT_TIME, {"frozen": True}, Cause.FROZEN),
        (State.WAIT_RESOURCE, {}, Cause.UNSERVED),
        (State.RUNNING, {}, Cause.RUNNING),
    ],
)
def test_each_cause_is_found_through_a_chain(cast: Cast, state: State, fields: Any, cause: Cause) -> None:
    assert found(chain(cast, cast.instance(cast.task("load"), state, **fields), 3)) == [("load", cause)]


def test_a_diamond_names_its_top_once_and_a_second_culprit_too(cast: Cast) -> None:
    top = cast.instance(cast.task("top"), State.FAILURE)
    frozen = waiting(cast, "frozen_one", top, frozen=True)
    left, right = waiting(cast, "left", top), waiting(cast, "right", frozen)
    last = waiting(cast, "last", left, right)
    assert found(last) == [("top", Cause.FAILED), ("frozen_one", Cause.FROZEN)]


def test_what_has_succeeded_or_is_no_longer_waited_for_is_no_culprit(cast: Cast) -> None:
    failed, good = cast.instance(cast.task("bad"), State.FAILURE), cast.instance(cast.task("good"), State.SUCCESS)
    middle = waiting(cast, "middle", failed, good)
    middle.upstream_edges.filter(upstream=failed).update(met=True)
    assert found(waiting(cast, "last", middle)) == []


def test_a_graph_beyond_the_bounds_is_walked_so_far_and_still_explained(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = chain(cast, cast.instance(cast.task("load"), State.FAILURE), 8)
    monkeypatch.setattr(roots, "MOST_STEPS", 4)
    assert found(last) == []
    condition = next(one for one in explain_instance(last).conditions if one.code == "upstream")
    assert [remedy.operation for remedy in condition.remedies] == ["look"]
    assert "level_6" in say(condition.reason.code, condition.reason.params)


def test_the_list_explains_a_page_of_chains_with_as_many_queries_as_one(
    cast: Cast, django_assert_max_num_queries: Any
) -> None:
    culprit = cast.instance(cast.task("load"), State.FAILURE)
    rows = [chain(cast, culprit, 3) for _ in range(8)]
    with django_assert_max_num_queries(8):
        listed = TaskInstance.objects.filter(pk__in=[row.pk for row in rows]).select_related("task", "resource_group")
        told = short_reasons(list(listed))
    assert {say(one.code, one.params) for one in told.values()} == {"Waits for load (Failed)"}


def test_a_full_group_names_who_holds_its_slots_and_who_may_add_some(cast: Cast) -> None:
    cast.group.slots = 1
    cast.group.save()
    User.objects.filter(pk=cast.admin.pk).update(is_tenant_admin=True)
    worker = heartbeat.register(Process.Kind.WORKER, {"groups": None})
    holder = cast.instance(cast.task("long_run"), State.RUNNING)
    (condition,) = unmet(cast, cast.visitor, cast.instance(cast.task("next"), State.WAIT_RESOURCE))
    assert "1 of 1 slots are taken. Those who hold them: “long_run”." in condition["text"]
    assert condition["links"] == [
        {"name": "long_run", "url": url(cast, "instance", pk=holder.pk)},
        {"name": "Resource groups", "url": url(cast, "group_list")},
    ]
    assert "Who can give the group more slots: acme-admin." in condition["help"]
    worker.delete()
    (condition,) = unmet(cast, cast.visitor, cast.instance(cast.task("after"), State.WAIT_RESOURCE))
    assert "Whoever runs Opscenter on its hosts can do that." in condition["help"]


def test_where_nobody_can_the_roles_are_named(cast: Cast) -> None:
    Member.objects.filter(workspace=cast.workspace).exclude(user=cast.visitor).delete()
    (condition,) = unmet(cast, cast.visitor, cast.instance(cast.task("gate", "http_trigger"), State.WAIT_TRIGGER))[:1]
    (who,) = [text for text in condition["help"] if "Nobody" in text]
    assert "Workspace Administrator" in who


def test_an_offline_trigger_says_that_it_must_be_published_and_who_can(cast: Cast) -> None:
    task = cast.task("gate", "http_trigger", status=Task.Status.OFFLINE)
    shown = unmet(cast, cast.visitor, cast.instance(task, State.WAIT_TRIGGER))
    (condition,) = [one for one in shown if "offline" in one["text"]]
    assert condition["help"][0] == "Publish its node again."
    assert "acme-deployer" in condition["help"][1]
