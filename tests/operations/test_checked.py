"""Operations under check: what verdicts make of them, and what the audit trail keeps of it."""

import uuid

import pytest

from extensions.models import Check, Delivery, Event
from opscenter.base.reasons import Invalid, Refused
from opscenter.base.reasons import say as words_of
from opscenter.operations import checked
from opscenter.operations.models import Operation
from opscenter.production.models import Task
from opscenter.workspaces.models import AuditEntry
from tests.operations.guarded import (
    OPEN,
    Guarded,
    check_of,
    checks_of,
    event_of,
    frozen,
    say,
    status_of,
    told,
    trail,
)

pytestmark = pytest.mark.django_db


# asked


def test_until_the_verdict_nothing_is_done(cast: Guarded) -> None:
    extension = cast.extension(answer_limit=90)
    task = cast.task()
    operation = cast.freeze(task, comment="closing the month")
    assert (operation.status, operation.settled_at, told(operation)) == ("checking", None, {task.pk: OPEN})
    assert frozen(task) == [False]
    event, check = event_of(operation), check_of(operation)
    assert (event.point, event.workspace, event.environment, event.operator) == (
        "freeze-node", cast.workspace, "Prod", cast.operator,
    )  # fmt: skip
    assert (check.extension, check.state, check.is_mandatory, check.verdict) == (extension, "checking", True, "")
    assert check.due_at is not None and (check.due_at - check.opened_at).total_seconds() == 90
    delivery = Delivery.objects.get()
    assert (delivery.of_check, delivery.status) == (check, "pending")
    assert delivery.due_at is not None and delivery.due_at <= check.due_at
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.address) == ("operation.ask", cast.operator, "10.1.2.3")
    assert entry.params == {
        "operation": "freeze_task",
        "extensions": ["guard"],
        "count": 1,
        "comment": "closing the month",
    }


def test_nobody_listens_and_it_is_done_at_once(cast: Guarded) -> None:
    task = cast.task()
    operation = cast.freeze(task, comment="closing the month")
    assert (operation.status, told(operation), frozen(task)) == ("applied", {task.pk: None}, [True])
    assert operation.settled_at is not None
    assert not Event.objects.exists()
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.address) == ("task.freeze", "10.1.2.3")
    assert entry.params == {"done": [task.pk], "refused": [], "comment": "closing the month"}


# decided by verdicts


@pytest.mark.parametrize("verdict", ["OK", "WARN"])
def test_passed_means_applied(cast: Guarded, verdict: str) -> None:
    cast.extension()
    task = cast.task()
    operation = cast.freeze(task, comment="closing the month")
    check = say(check_of(operation), verdict, "mind the quota")
    assert (check.state, check.words) == ("passed", "mind the quota")
    assert (status_of(operation), told(operation), frozen(task)) == ("applied", {task.pk: None}, [True])
    assert operation.settled_at is not None and operation.settled_at >= check.ended_at  # type: ignore[operator]
    assert trail(operation) == [("operation.ask", cast.operator), ("task.freeze", cast.operator)]
    entry = AuditEntry.objects.get(action="task.freeze")
    assert entry.params == {"done": [task.pk], "refused": [], "comment": "closing the month"}
    assert Delivery.objects.get().status == "ended", "nobody needs the message any more"


def test_fail_means_blocked_with_the_extensions_words(cast: Guarded) -> None:
    cast.extension()
    tasks = [cast.task("a"), cast.task("b")]
    operation = cast.freeze(*tasks)
    say(check_of(operation), "FAIL", "the month is being closed")
    assert status_of(operation) == "blocked"
    assert told(operation) == dict.fromkeys((task.pk for task in tasks), "operation.blocked")
    assert frozen(*tasks) == [False, False]
    target = operation.targets.first()
    assert target is not None and target.reason is not None
    assert words_of(**target.reason) == "The extension “guard” blocked it: the month is being closed"
    assert trail(operation) == [("operation.ask", cast.operator), ("operation.block", None)]
    entry = AuditEntry.objects.get(action="operation.block")
    assert (entry.face, entry.params) == (
        "system",
        {"operation": "freeze_task", "extension": "guard", "words": "the month is being closed", "why": None},
    )


def test_a_fail_without_words_is_told_too(cast: Guarded) -> None:
    cast.extension()
    operation = cast.freeze(cast.task())
    say(check_of(operation), "FAIL")
    target = operation.targets.get()
    assert target.reason is not None
    assert words_of(**target.reason) == "The extension “guard” blocked it: it gave no reason"


def test_unfreezing_is_checked_the_same_way(cast: Guarded) -> None:
    cast.extension()
    task = cast.task(recurrence="Pause")
    operation = cast.unfreeze(task)
    assert (status_of(operation), frozen(task)) == ("checking", [True])
    say(check_of(operation), "OK")
    assert (status_of(operation), frozen(task)) == ("applied", [False])
    assert trail(operation)[-1] == ("task.unfreeze", cast.operator)


def test_a_batch_is_one_message_and_one_verdict(cast: Guarded) -> None:
    cast.extension()
    tasks = [cast.task(f"task-{number}") for number in range(5)]
    operation = cast.freeze(*tasks)
    assert Event.objects.count() == Check.objects.count() == Delivery.objects.count() == 1
    assert event_of(operation).message["data"]["nodeIds"] == [task.number for task in tasks]
    say(check_of(operation), "OK")
    assert frozen(*tasks) == [True] * 5
    assert set(told(operation).values()) == {None}


def test_a_batch_in_part_refused_at_once_is_partly_applied(cast: Guarded) -> None:
    cast.extension()
    good, offline = cast.task("good"), cast.task("offline", status=Task.Status.OFFLINE)
    operation = cast.freeze(offline, good)
    assert told(operation) == {offline.pk: "task.offline", good.pk: OPEN}
    say(check_of(operation), "OK")
    assert (status_of(operation), told(operation)) == ("partly", {offline.pk: "task.offline", good.pk: None})
    entry = AuditEntry.objects.get(action="task.freeze")
    assert (entry.params["done"], entry.params["refused"]) == ([good.pk], [offline.pk])


def test_nothing_is_asked_about_what_is_refused_altogether(cast: Guarded) -> None:
    cast.extension()
    operation = cast.freeze(cast.task(recurrence="Pause"), cast.task(status=Task.Status.OFFLINE))
    assert (operation.status, Event.objects.count()) == ("refused", 0)


# several extensions


def test_all_are_asked_and_all_must_pass(cast: Guarded) -> None:
    for name in ("c", "a", "b"):
        cast.extension(name)
    task = cast.task()
    operation = cast.freeze(task)
    checks = checks_of(operation)
    assert [check.extension.name for check in checks] == ["a", "b", "c"]
    assert AuditEntry.objects.get().params["extensions"] == ["a", "b", "c"]
    for check in (checks[2], checks[0]):
        say(check, "OK")
        assert (status_of(operation), frozen(task)) == ("checking", [False])
    say(checks[1], "WARN")
    assert (status_of(operation), frozen(task)) == ("applied", [True])


def test_one_fail_blocks_and_the_others_are_needed_no_more(cast: Guarded) -> None:
    for name in ("a", "b", "c"):
        cast.extension(name, is_mandatory=name != "c")
    operation = cast.freeze(cast.task())
    first, second, third = checks_of(operation)
    say(first, "OK")
    say(second, "FAIL", "no")
    assert status_of(operation) == "blocked"
    assert [check.state for check in checks_of(operation)] == ["passed", "failed", "ended"]
    reason = checks_of(operation)[2].reason
    assert reason is not None
    assert words_of(**reason) == "“b” blocked the operation, so this verdict is not needed."
    assert set(Delivery.objects.values_list("status", flat=True)) == {"ended"}
    with pytest.raises(Refused):
        say(third, "OK")


@pytest.mark.parametrize("verdict", ["OK", "WARN", "FAIL"])
def test_an_advisory_verdict_is_shown_and_decides_nothing(cast: Guarded, verdict: str) -> None:
    cast.extension("decides")
    cast.extension("advises", is_mandatory=False)
    task = cast.task()
    operation = cast.freeze(task)
    advice, decision = checks_of(operation)
    assert (advice.is_mandatory, decision.is_mandatory) == (False, True)
    say(advice, verdict, "in my opinion")
    assert (status_of(operation), frozen(task)) == ("checking", [False])
    say(decision, "OK")
    assert (status_of(operation), frozen(task)) == ("applied", [True])
    assert [(check.verdict, check.words) for check in checks_of(operation)] == [(verdict, "in my opinion"), ("OK", "")]


def test_nobody_waits_for_advice(cast: Guarded) -> None:
    cast.extension("decides")
    cast.extension("advises", is_mandatory=False)
    task = cast.task()
    operation = cast.freeze(task)
    advice, decision = checks_of(operation)
    say(decision, "OK")
    assert (status_of(operation), frozen(task)) == ("applied", [True])
    say(advice, "FAIL", "I would not have")
    assert (status_of(operation), frozen(task)) == ("applied", [True])
    assert checks_of(operation)[0].words == "I would not have", "advice that comes after is shown all the same"
    assert [action for action, _ in trail(operation)] == ["operation.ask", "task.freeze"]


def test_with_advice_alone_it_is_done_at_once_and_yet_told(cast: Guarded) -> None:
    cast.extension("advises", is_mandatory=False)
    task = cast.task()
    operation = cast.freeze(task)
    assert (operation.status, told(operation), frozen(task)) == ("applied", {task.pk: None}, [True])
    assert trail(operation) == [("operation.ask", cast.operator), ("task.freeze", cast.operator)]
    assert set(AuditEntry.objects.values_list("address", flat=True)) == {"10.1.2.3"}
    check = check_of(operation)
    assert (check.state, Delivery.objects.get().status) == ("checking", "pending")
    say(check, "FAIL", "I would not have")
    assert (status_of(operation), check_of(operation).verdict, frozen(task)) == ("applied", "FAIL", [True])


# asked for again


@pytest.mark.parametrize("by", ["operator", "admin"])
def test_the_same_on_the_same_task_waits_for_the_first(cast: Guarded, by: str) -> None:
    cast.extension()
    task, other = cast.task("task"), cast.task("other")
    first = cast.freeze(task)
    again = cast.freeze(task, other, by=getattr(cast, by))
    assert told(again) == {task.pk: "operation.open_already", other.pk: OPEN}
    target = again.targets.get(object_id=task.pk)
    assert target.reason is not None and target.reason["params"] == {"operation": first.pk}
    assert str(first.pk) in words_of(**target.reason)
    assert event_of(again).message["data"]["nodeIds"] == [other.number]
    say(check_of(again), "OK")
    assert (status_of(again), frozen(task, other)) == ("partly", [False, True])
    say(check_of(first), "OK")
    assert (status_of(first), frozen(task)) == ("applied", [True])


@pytest.mark.parametrize("end", ["FAIL", "cancel", "OK"])
def test_it_can_be_asked_for_again_when_the_first_is_over(cast: Guarded, end: str) -> None:
    cast.extension()
    task = cast.task()
    first = cast.freeze(task)
    if end == "cancel":
        checked.cancel(cast.actor(), cast.workspace, first.pk)
    else:
        say(check_of(first), end)
    again = cast.freeze(task)
    assert told(again) == {task.pk: "task.frozen" if end == "OK" else OPEN}


def test_freezing_in_the_other_environment_is_another_matter(cast: Guarded) -> None:
    cast.extension()
    task = cast.task()
    twin = cast.task("twin", environment="Dev", number=task.number)
    cast.freeze(task)
    assert told(cast.freeze(twin, environment="Dev")) == {twin.pk: None}
    assert frozen(task, twin) == [False, True]


def test_a_client_token_again_while_it_is_checked_is_the_same_operation(cast: Guarded) -> None:
    cast.extension()
    task = cast.task()
    token = uuid.uuid4().hex
    first = cast.freeze(task, client_token=token)
    again = cast.freeze(task, client_token=token)
    assert (again.pk, again.status) == (first.pk, "checking")
    assert (Operation.objects.count(), Event.objects.count(), AuditEntry.objects.count()) == (1, 1, 1)
    say(check_of(first), "OK")
    assert cast.freeze(task, client_token=token).status == "applied"
    with pytest.raises(Invalid) as error:
        cast.unfreeze(task, client_token=token)
    assert error.value.reason.code == "operation.client_token"
