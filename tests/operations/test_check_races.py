"""Races around checks, with real transactions: whoever comes first, every operation ends once and as one of them said."""

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import transaction

from extensions.models import Check, Enablement, Event, Extension
from extensions.rules import DEFAULT_LIMIT
from extensions.tokens import token_of
from opscenter.base.reasons import Refused
from opscenter.operations import checked, enablements, extensions
from opscenter.operations.models import Operation, OperationTarget
from opscenter.production.models import Task
from opscenter.workspaces.models import AuditEntry
from tests.operations.at_once import at_once, meanwhile
from tests.operations.guarded import (
    OPEN,
    Guarded,
    check_of,
    checks_of,
    frozen,
    pass_time,
    say,
    status_of,
    told,
    trail,
)

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 12


def codes(answers: list[Any]) -> Counter[str]:
    """How often each refusal came back; what succeeded counts as "done". Any other error is raised."""
    found: Counter[str] = Counter()
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, Refused):
            raise answer
        found[answer.reason.code if isinstance(answer, Refused) else "done"] += 1
    return found


def assert_whole(operation: Operation, *tasks: Task) -> None:
    """Status, targets, tasks and audit trail tell the same story, and tell it once."""
    status = status_of(operation)
    ends = [
        action for action, _ in trail(operation) if action in ("task.freeze", "operation.block", "operation.cancel")
    ]
    assert ends == [{"applied": "task.freeze", "blocked": "operation.block", "cancelled": "operation.cancel"}[status]]
    assert frozen(*tasks) == [status == "applied"] * len(tasks)
    assert {target is None for target in told(operation).values()} == {status == "applied"}
    assert not Check.objects.filter(event__operation=operation.pk, state="checking").exists()


def test_two_verdicts_at_once_and_one_stands(cast: Guarded) -> None:
    cast.extension()
    seen = set()
    for number in range(ROUNDS):
        task = cast.task(str(number))
        operation = cast.freeze(task)
        check = check_of(operation)
        calls = [partial(say, check, "OK"), partial(say, check, "FAIL")]
        random.shuffle(calls)
        assert codes(at_once(*calls)) == {"done": 1, "verdict.contradiction": 1}
        verdict = check_of(operation).verdict
        assert status_of(operation) == {"OK": "applied", "FAIL": "blocked"}[verdict]
        assert_whole(operation, task)
        seen.add(verdict)
    assert seen <= {"OK", "FAIL"}


def test_the_same_verdict_eight_times_at_once_is_applied_once(cast: Guarded) -> None:
    cast.extension()
    task = cast.task()
    operation = cast.freeze(task)
    check = check_of(operation)
    assert codes(at_once(*[lambda: say(check, "OK")] * 8)) == {"done": 8}
    assert_whole(operation, task)


def test_the_last_verdicts_of_several_extensions_at_once(cast: Guarded) -> None:
    """Each sees whether it is the last, or somebody after it does."""
    for name in "abcd":
        cast.extension(name)
    for number in range(ROUNDS // 2):
        task = cast.task(str(number))
        operation = cast.freeze(task)
        verdicts = ["OK", "OK", "WARN", "OK" if number % 2 else "FAIL"]
        pairs = zip(checks_of(operation), verdicts, strict=True)
        answers = at_once(*[partial(say, check, verdict) for check, verdict in pairs])
        found = codes(answers)
        assert found["done"] + found["verdict.over"] == 4
        assert status_of(operation) == ("applied" if number % 2 else "blocked")
        assert_whole(operation, task)


def test_verdict_limit_cancel_mark_and_disabling_at_once(cast: Guarded) -> None:
    extension = cast.extension(allows_mark_passed=True)
    statuses = set()
    for number in range(ROUNDS):
        Enablement.objects.update(is_enabled=True)
        task = cast.task(str(number))
        operation = cast.freeze(task)
        check = check_of(operation)
        pass_time(check, seconds=DEFAULT_LIMIT)
        calls: list[Callable[[], Any]] = [
            partial(say, check, "OK"),
            partial(say, check, "FAIL"),
            checked.run_limits,
            checked.run_limits,
            partial(checked.unreachable, check.pk),
            partial(checked.cancel, cast.actor(), cast.workspace, operation.pk),
            partial(checked.mark_passed, cast.actor(cast.admin), cast.workspace, check.pk, ""),
            partial(enablements.disable, cast.actor(cast.admin), cast.workspace, extension.code),
        ]
        random.shuffle(calls)
        found = codes(at_once(*calls))
        assert set(found) <= {
            "done",
            "verdict.contradiction",
            "verdict.late",
            "verdict.over",
            "verdict.disabled",
            "check.over",
            "operation.not_checking",
        }
        assert_whole(operation, task)
        statuses.add(status_of(operation))
    assert statuses <= {"applied", "blocked", "cancelled"}


# asked for at once


def test_several_freezes_of_a_task_at_once_are_one(cast: Guarded) -> None:
    cast.extension()
    for number in range(ROUNDS // 2):
        task = cast.task(str(number))
        users = [cast.operator, cast.admin, cast.owner, cast.operator]
        operations = at_once(*[partial(cast.freeze, task, by=user) for user in users])
        outcomes = Counter(told(operation)[task.pk] for operation in operations)
        assert outcomes == {OPEN: 1, "operation.open_already": 3}
        (first,) = [operation for operation in operations if operation.status == "checking"]
        assert Event.objects.filter(message__data__nodeIds=[task.number]).count() == 1
        say(check_of(first), "OK")
        assert_whole(first, task)


def test_several_freezes_at_once_that_nobody_checks_are_one(cast: Guarded) -> None:
    task = cast.task()
    operations = at_once(*[lambda: cast.freeze(task)] * 4)
    assert Counter(told(operation)[task.pk] for operation in operations) == {None: 1, "task.frozen": 3}


def test_one_client_token_at_once_is_one_operation(cast: Guarded) -> None:
    cast.extension()
    task = cast.task()
    operations = at_once(*[lambda: cast.freeze(task, client_token="t-1")] * 4)
    assert {operation.pk for operation in operations} == {Operation.objects.get().pk}
    assert (Event.objects.count(), AuditEntry.objects.count()) == (1, 1)


def test_asking_again_while_the_first_is_being_settled(cast: Guarded) -> None:
    cast.extension()
    for number in range(ROUNDS):
        task = cast.task(str(number))
        first = cast.freeze(task)
        check = check_of(first)
        verdict = "OK" if number % 2 else "FAIL"
        _answer, again = at_once(partial(say, check, verdict), partial(cast.freeze, task))
        assert isinstance(again, Operation), again
        after = "task.frozen" if number % 2 else OPEN
        assert told(again)[task.pk] in ("operation.open_already", after)
        assert status_of(first) == {"OK": "applied", "FAIL": "blocked"}[verdict]
        assert frozen(task) == [verdict == "OK"]


@pytest.mark.parametrize("guarded", [False, True], ids=["unguarded", "guarded"])
def test_overlapping_batches_in_any_order_never_wait_in_a_ring(cast: Guarded, guarded: bool) -> None:
    """Each task is frozen by one of them; verdicts come while others still ask."""
    if guarded:
        cast.extension()
    tasks = [cast.task(str(number)) for number in range(8)]
    dice = random.Random(11)

    def batch() -> Operation:
        chosen = dice.sample(tasks, 6)
        operation = cast.freeze(*chosen)
        if operation.status == "checking":
            say(check_of(operation), "OK")
        return operation

    answers = at_once(*[batch] * 8)
    codes(answers)
    done = Counter(pk for operation in answers for pk, code in told(operation).items() if code is None)
    assert set(done.values()) == {1}
    asked = {pk for operation in answers for pk in operation.params["tasks"]}
    assert set(done) == asked
    by_now = {task.pk for task in tasks if frozen(task) == [True]}
    assert by_now == asked


def test_freezes_and_unfreezes_verdicts_and_disabling_all_at_once(cast: Guarded) -> None:
    """Nothing gets stuck, and no check outlives its extension."""
    extension = cast.extension()
    cast.extension("second")
    tasks = [cast.task(str(number)) for number in range(4)]
    over = threading.Event()

    def ask(seed: int) -> None:
        dice = random.Random(seed)
        for code in itertools.islice(itertools.cycle(["freeze_task", "unfreeze_task"]), 10):
            cast.ask(code, dice.sample(tasks, 3))

    def judge(verdict: str) -> None:
        while not over.is_set():
            for check in Check.objects.filter(state="checking").order_by("-pk")[:5]:
                try:
                    say(check, verdict)
                except Refused:
                    pass

    def toggle() -> None:
        try:
            for _ in range(6):
                enablements.disable(cast.actor(cast.admin), cast.workspace, extension.code)
                enablements.enable(cast.actor(cast.admin), cast.workspace, extension.code, has_agreed=True)
        finally:
            enablements.disable(cast.actor(cast.admin), cast.workspace, extension.code)
            over.set()

    answers = at_once(lambda: ask(1), lambda: ask(2), lambda: judge("OK"), lambda: judge("OK"), toggle)
    codes(answers)
    assert not Check.objects.filter(state="checking", extension=extension).exists()
    for check in Check.objects.filter(state="checking"):
        say(check, "OK")
    assert not Operation.objects.filter(status="checking").exists()
    assert not OperationTarget.objects.exclude(open_code=None).exists()


# one after the other, held apart by hand


def take_off_line(cast: Guarded, extension: Extension) -> None:
    extensions.take("disable", cast.actor(extension.owner), extension.code)


def switch_off(cast: Guarded, extension: Extension) -> None:
    enablements.disable(cast.actor(cast.admin), cast.workspace, extension.code)


@pytest.mark.parametrize("disable", [take_off_line, switch_off])
def test_disabling_waits_for_who_is_just_asking_and_ends_that_check_too(
    cast: Guarded, disable: Callable[[Guarded, Extension], None]
) -> None:
    extension = cast.extension(owner=cast.developer)
    task = cast.task()
    with meanwhile(lambda: disable(cast, extension)) as answers:
        operation = cast.freeze(task)
        assert operation.status == "checking"
    codes(answers)
    assert (status_of(operation), check_of(operation).state, frozen(task)) == ("applied", "passed", [True])


@pytest.mark.parametrize("disable", [take_off_line, switch_off])
def test_who_asks_waits_for_the_disabling_and_then_asks_nobody(
    cast: Guarded, disable: Callable[[Guarded, Extension], None]
) -> None:
    extension = cast.extension(owner=cast.developer)
    task = cast.task()
    with meanwhile(lambda: cast.freeze(task)) as answers:
        disable(cast, extension)
    (operation,) = answers
    assert (operation.status, frozen(task), Event.objects.count()) == ("applied", [True], 0)


def test_asking_does_not_wait_for_others_who_ask(cast: Guarded) -> None:
    """Extensions are held, not owned: freezes of other tasks go on side by side."""
    cast.extension()
    first, second = cast.task("first"), cast.task("second")
    with transaction.atomic():
        cast.freeze(first)
        (operation,) = at_once(lambda: cast.freeze(second))
        assert told(operation) == {second.pk: OPEN}


def test_a_cancel_waits_for_the_verdict_under_way(cast: Guarded) -> None:
    cast.extension()
    task = cast.task()
    operation = cast.freeze(task)
    with meanwhile(lambda: checked.cancel(cast.actor(), cast.workspace, operation.pk)) as answers:
        say(check_of(operation), "OK")
    assert codes(answers) == {"operation.not_checking": 1}
    assert_whole(operation, task)


def test_a_limit_that_ends_while_progress_is_reported_does_not_end_the_check(cast: Guarded) -> None:
    cast.extension()
    operation = cast.freeze(cast.task())
    check = check_of(operation)
    pass_time(check, seconds=DEFAULT_LIMIT)
    with meanwhile(checked.run_limits) as answers:
        checked.report_by_token(check.pk, token_of(check), 50, "")
    codes(answers)
    assert (status_of(operation), check_of(operation).state) == ("checking", "checking")
