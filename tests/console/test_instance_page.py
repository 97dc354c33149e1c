"""An instance's page: who opens it, why it waits and what helps, neighbours, attempts, receipts, history, code."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from opscenter.base import clock, heartbeat
from opscenter.base.models import Process
from opscenter.console.templatetags import looks
from opscenter.operations import door
from opscenter.operations.actor import Actor
from opscenter.operations.registry import operations_on
from opscenter.production.models import Attempt, LogChunk, Recurrence, TaskInstance, Transition, TriggerCommand
from opscenter.production.rules.states import Kind, State
from opscenter.production.transitions import transition
from opscenter.workspaces.models import AuditEntry, Member, User
from tests.cast import MIDNIGHT, Cast
from tests.console.visits import as_user, url

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
VIEWS = ("overview", "history", "code")


@pytest.fixture
def cast() -> Cast:
    return Cast()


def page(cast: Cast, user: User, instance: TaskInstance, **query: Any) -> str:
    answer = as_user(user).get(url(cast, "instance", pk=instance.pk), query)
    assert answer.status_code == 200, answer.content.decode()
    return answer.content.decode()


def context(cast: Cast, user: User, instance: TaskInstance, **query: Any) -> Any:
    return as_user(user).get(url(cast, "instance", pk=instance.pk), query).context


def attempt(instance: TaskInstance, number: int = 1, log: str = "", **fields: Any) -> Attempt:
    values = {
        "state": Attempt.State.SUCCESS,
        "claimed_at": clock.now(),
        "version": instance.task.version,
        "host": "box-1",
    }
    made = Attempt.objects.create(instance=instance, number=number, **(values | fields))
    LogChunk.objects.create(attempt=made, seq=0, bizdate=instance.bizdate, text=log)
    TaskInstance.objects.filter(pk=instance.pk).update(attempt=number)
    return made


def receipt(cast: Cast, instance: TaskInstance, status: str, code: str, **fields: Any) -> TriggerCommand:
    values: dict[str, Any] = {"params": {}} | fields
    return TriggerCommand.objects.create(
        tenant=cast.tenant,
        workspace=cast.workspace,
        instance=instance,
        task_number=instance.task.number,
        environment=instance.environment,
        scheduled_at=instance.scheduled_at,
        caller=cast.operator,
        access_key_id="LTAI5tKey",
        face="api",
        api="RunTriggerNode 2020-05-18",
        status=status,
        reason={"code": code, "params": values.pop("params")},
        **values,
    )


@pytest.mark.parametrize("state", list(State), ids=lambda state: state.name)
def test_every_state_and_kind_has_a_page(cast: Cast, state: State) -> None:
    kinds = (Kind.NORMAL, Kind.PAUSE, Kind.SKIP, Kind.EXPIRED)
    for node_type, kind in zip(("shell", "http_trigger", "virtual", "shell"), kinds, strict=True):
        instance = cast.instance(cast.task(node_type, node_type), state, kind=kind, frozen=kind is Kind.PAUSE)
        for view in VIEWS:
            html = page(cast, cast.visitor, instance, view=view)
            assert "explain." not in html
            assert "attempt." not in html


def test_it_says_what_it_waits_for_and_offers_what_helps(cast: Cast) -> None:
    failed = cast.instance(cast.task("broken_upstream"), State.FAILURE)
    waiting = cast.instance(cast.task("waiting"), State.NOT_RUN, upstream=[failed])
    operator = context(cast, cast.operator, waiting)["checklist"]
    assert operator["title"] == "Why it is not running"
    (condition,) = [one for one in operator["unmet"] if "broken_upstream (Failed)" in one["text"]]
    assert [remedy["label"] for remedy in condition["remedies"]] == ["Rerun: upstream", "Set to succeeded: upstream"]
    assert all(remedy["why_not"] == "" and f"id={failed.pk}" in remedy["url"] for remedy in condition["remedies"])
    visitor = context(cast, cast.visitor, waiting)["checklist"]
    (same,) = [one for one in visitor["unmet"] if "broken_upstream (Failed)" in one["text"]]
    assert all("instance.operate" in remedy["why_not"] for remedy in same["remedies"])


def test_a_remedy_in_another_workspace_needs_membership_there(cast: Cast) -> None:
    other = Cast("other")
    failed = other.instance(other.task("theirs"), State.FAILURE)
    waiting = cast.instance(cast.task("ours"), State.NOT_RUN, upstream=[failed])
    found = context(cast, cast.operator, waiting)
    (condition,) = [one for one in found["checklist"]["unmet"] if "theirs" in one["text"]]
    assert all("another workspace" in remedy["why_not"] for remedy in condition["remedies"])
    assert [row["url"] for row in found["upstream"]["rows"]] == [""]
    Member.objects.create(workspace=other.workspace, user=cast.operator, roles=["role_project_pe"])
    found = context(cast, cast.operator, waiting)
    (condition,) = [one for one in found["checklist"]["unmet"] if "theirs" in one["text"]]
    assert all(f"/w/{other.workspace.pk}/prod/" in remedy["url"] for remedy in condition["remedies"])
    assert f"/w/{other.workspace.pk}/prod/instances/{failed.pk}/" in found["upstream"]["rows"][0]["url"]


def test_a_frozen_instance_of_a_frozen_task_says_both(cast: Cast) -> None:
    task = cast.task("gate", "http_trigger", recurrence=Recurrence.PAUSE)
    html = page(cast, cast.operator, cast.instance(task, State.WAIT_TRIGGER, kind=Kind.PAUSE, frozen=True))
    assert "born frozen" in html
    assert "Unfreeze the task, then trigger it again." in html


def test_neighbours_link_both_ways(cast: Cast) -> None:
    first = cast.instance(cast.task("first"), State.SUCCESS)
    second = cast.instance(cast.task("second"), State.RUNNING, upstream=[first])
    assert url(cast, "instance", pk=second.pk) in page(cast, cast.visitor, first)
    assert url(cast, "instance", pk=first.pk) in page(cast, cast.visitor, second)


def test_many_neighbours_are_cut(cast: Cast) -> None:
    first = cast.instance(cast.task("first"), State.RUNNING)
    for index in range(30):
        cast.instance(cast.task(f"next_{index}"), State.NOT_RUN, upstream=[first])
    found = context(cast, cast.visitor, first)["downstream"]
    assert len(found["rows"]) == 25
    assert found["has_more"]


def test_attempts_tell_parameters_resources_and_end(cast: Cast) -> None:
    instance = cast.instance(cast.task(), State.FAILURE)
    attempt(
        instance,
        1,
        "first log\n",
        state=Attempt.State.LOST,
        reason={"code": "attempt.lost", "params": {"host": "box-7"}},
    )
    attempt(
        instance,
        2,
        "second log\n",
        state=Attempt.State.FAILURE,
        exit_code=3,
        parameters={"bizdate": "20261120"},
        resources={"lib.py": 4},
        started_at=clock.now() - timedelta(seconds=75),
        finished_at=clock.now(),
    )
    html = page(cast, cast.visitor, instance)
    for part in ("box-7 was lost", "1 min 15 s", "20261120", "lib.py", "Log of attempt 2", "second log"):
        assert part in html, part
    assert "first log" not in html
    assert "first log" in page(cast, cast.visitor, instance, attempt=1)


def test_receipts_say_what_became_of_each_call(cast: Cast) -> None:
    instance = cast.instance(cast.task("gate", "http_trigger"), State.WAIT_TRIGGER)
    until = clock.now() + timedelta(hours=3)
    receipt(cast, instance, "refused", "trigger.instance_frozen")
    expired = receipt(cast, instance, "expired", "trigger.held", held_until=MIDNIGHT, settled_at=clock.now())
    assert expired.reason["code"] == "trigger.held", "the receipt keeps what the caller was told"
    receipt(cast, instance, "spent", "trigger.fired")
    receipt(cast, instance, "fired", "trigger.held")
    receipt(
        cast,
        instance,
        "held",
        "trigger.held",
        params={"until": until.isoformat(), "unmet": ["upstream", "time"], "upstream": 2, "due_at": until.isoformat()},
        held_until=until,
    )
    html = page(cast, cast.visitor, instance)
    for part in (
        "The instance is frozen. Unfreeze the instance",
        "expired on 2026-11-21 00:00:00 UTC: the other conditions were not met within 24 hours",
        "rerun since",
        "held until all conditions were met",
        "2 upstream instances succeed",
        "LTAI5tKey",
        "RunTriggerNode 2020-05-18",
    ):
        assert part in html, part


def test_the_snippet_names_this_instance(cast: Cast, settings: Any) -> None:
    settings.PUBLIC_URL = "https://ops.example.com:8443"
    instance = cast.instance(cast.task("gate", "http_trigger"), State.WAIT_TRIGGER)
    text = context(cast, cast.visitor, instance)["snippet"]
    for part in (
        'endpoint="ops.example.com:8443"',
        'protocol="https"',
        f"task_id={instance.task.number}",
        f"trigger_time={round(instance.scheduled_at.timestamp() * 1000)}",
        'env_type="Prod"',
    ):
        assert part in text, part
    compile(text, "snippet", "exec")


def test_history_joins_states_and_operations(cast: Cast) -> None:
    instance = cast.instance(cast.task("told"), State.FAILURE)
    actor = Actor(cast.operator, AuditEntry.Face.CONSOLE)
    door.apply("freeze", actor, cast.workspace, "Prod", [instance.pk], comment="looking into <it>")
    door.apply("freeze", actor, cast.workspace, "Prod", [instance.pk])
    door.apply("set_success", actor, cast.workspace, "Prod", [instance.pk], comment="data is there")
    Transition.objects.filter(instance=instance).update(bizdate=instance.bizdate)
    html = page(cast, cast.visitor, instance, view="history")
    for part in (
        "looking into &lt;it&gt;",
        "data is there",
        "is frozen already",
        "acme-operator",
        "Refused",
        "Succeeded",
    ):
        assert part in html, part
    entries = context(cast, cast.visitor, instance, view="history")["entries"]
    assert [entry["at"] for entry in entries] == sorted((entry["at"] for entry in entries), reverse=True)


def test_history_tells_a_claim_from_the_wait_before_it(cast: Cast) -> None:
    instance = cast.instance(cast.task())
    with transaction.atomic():
        transition([instance.pk], {State.WAIT_RESOURCE}, State.CLAIMED)
        transition([instance.pk], {State.CLAIMED}, State.RUNNING)
    steps = context(cast, cast.visitor, instance, view="history")["entries"]
    assert [str(looks.of_state(step["state"]).word) for step in steps] == ["Running", "Starting"]
    TaskInstance.objects.filter(pk=instance.pk).update(state=State.CLAIMED)
    assert "Waiting for resources" in page(cast, cast.visitor, instance), "everywhere else it is that state"


def test_stopped_before_its_first_attempt_it_does_not_blame_the_workers(cast: Cast) -> None:
    worker = heartbeat.register(Process.Kind.WORKER, {"groups": None, "children": 1})
    Process.objects.filter(pk=worker.pk).update(seen_at=clock.now() + timedelta(hours=1))
    stopped = cast.instance(cast.task(), State.FAILURE, reason={"code": "attempt.stopped", "params": {}})
    found = context(cast, cast.operator, stopped)["checklist"]
    assert "has room: 0 of 8 slots are taken" in " ".join(one["text"] for one in found["met"])
    assert not [one for one in found["unmet"] if "No live worker" in one["text"]]
    Process.objects.all().delete()
    found = context(cast, cast.operator, stopped)["checklist"]
    assert [one for one in found["unmet"] if "No live worker" in one["text"]]


def test_the_code_is_the_attempts_own(cast: Cast) -> None:
    task = cast.task(content="echo old <b>")
    instance = cast.instance(task, State.SUCCESS)
    attempt(instance)
    cast.version(task, content="echo new")
    assert "echo old &lt;b&gt;" in page(cast, cast.visitor, instance, view="code")
    waiting = cast.instance(task, State.NOT_RUN, version=task.version, scheduled_at=clock.now())
    assert "echo new" in page(cast, cast.visitor, waiting, view="code")


def test_logs_and_names_never_become_markup(cast: Cast) -> None:
    evil = "<script>alert(1)</script>"
    instance = cast.instance(cast.task(evil), State.FAILURE)
    made = attempt(
        instance,
        1,
        f"{evil}\n\x1b[31m{evil}\x1b[0m\n",
        host=evil,
        state=Attempt.State.FAILURE,
        parameters={evil: evil},
        reason={"code": "attempt.error", "params": {"error": evil}},
    )
    TaskInstance.objects.filter(pk=instance.pk).update(reason=made.reason)
    for view in VIEWS:
        assert evil not in page(cast, cast.visitor, instance, view=view)
    assert (
        evil
        not in as_user(cast.visitor).get(url(cast, "instance_glance", pk=instance.pk), headers=HTMX).content.decode()
    )


def test_an_unchanged_page_answers_with_nothing(cast: Cast) -> None:
    instance = cast.instance(cast.task(), State.WAIT_TIME)
    visitor = as_user(cast.visitor)
    poll = visitor.get(url(cast, "instance", pk=instance.pk)).context["poll_url"]
    first = visitor.get(poll, headers=HTMX)
    assert first.status_code == 200
    assert "<html" not in first.content.decode()
    again = visitor.get(poll, headers={**HTMX, "HX-PTag": first["HX-PTag"]})
    assert (again.status_code, again.content) == (304, b"")
    TaskInstance.objects.filter(pk=instance.pk).update(state=State.RUNNING)
    assert visitor.get(poll, headers={**HTMX, "HX-PTag": first["HX-PTag"]}).status_code == 200


def test_a_new_attempt_is_announced_not_put_in_place(cast: Cast) -> None:
    instance = cast.instance(cast.task(), State.RUNNING)
    attempt(instance, 1)
    visitor = as_user(cast.visitor)
    poll = visitor.get(url(cast, "instance", pk=instance.pk)).context["poll_url"]
    assert "has begun" not in visitor.get(poll, headers=HTMX).content.decode()
    attempt(instance, 2, state=Attempt.State.RUNNING)
    assert "Attempt 2 has begun" in visitor.get(poll, headers=HTMX).content.decode()


@pytest.mark.parametrize("view", ["instance", "instance_glance", "instance_log", "instance_trigger"])
def test_instances_of_others_are_not_there(cast: Cast, view: str) -> None:
    instance = cast.instance(cast.task("secret_name", "http_trigger"), State.WAIT_TRIGGER)
    attempt(instance)
    other = Cast("other")
    for user, address in (
        (cast.stranger, url(cast, view, pk=instance.pk)),
        (other.admin, url(other, view, pk=instance.pk)),
        (cast.admin, url(cast, view, env="dev", pk=instance.pk)),
        (cast.admin, url(cast, view, pk=10**30)),
    ):
        answer = as_user(user).get(address)
        assert answer.status_code == 404
        assert "secret_name" not in answer.content.decode()


@pytest.mark.parametrize("query", [{"view": "x"}, {"attempt": "x"}, {"attempt": "9" * 30}, {"attempt": "7"}], ids=str)
def test_parts_that_do_not_exist_are_not_found(cast: Cast, query: dict[str, str]) -> None:
    instance = cast.instance(cast.task())
    assert as_user(cast.visitor).get(url(cast, "instance", pk=instance.pk), query).status_code == 404


def test_buttons_follow_the_table_of_operations(cast: Cast) -> None:
    instance = cast.instance(cast.task("gate", "http_trigger"), State.WAIT_TRIGGER)
    allowed = {str(one["label"]) for one in context(cast, cast.operator, instance)["actions"] if not one["why_not"]}
    of_waiting = {"Stop", "Freeze", "Rerun with downstream"}
    emergencies = {"Change priority", "Change resource group", "Remove dependencies"}
    assert allowed == {"Trigger now", *of_waiting, *emergencies}
    visitor = context(cast, cast.visitor, instance)["actions"]
    assert len(visitor) == len(operations_on("instance")) + 1
    assert all("permission" in one["why_not"] for one in visitor)


def test_the_number_of_queries_does_not_grow(cast: Cast, django_assert_max_num_queries: Any) -> None:
    first = cast.instance(cast.task("gate", "http_trigger"), State.WAIT_TRIGGER)
    middle = cast.instance(cast.task("middle"), State.NOT_RUN, upstream=[first])
    for index in range(20):
        cast.instance(cast.task(f"next_{index}"), State.NOT_RUN, upstream=[middle])
        receipt(cast, first, "refused", "trigger.task_frozen")
        attempt(middle, index + 1)
    operator = as_user(cast.operator)
    for instance in (first, middle):
        for view in VIEWS:
            with django_assert_max_num_queries(31):
                operator.get(url(cast, "instance", pk=instance.pk), {"view": view})
