"""The answer limit of a check: what silence means, what progress reports give, what cannot be delivered at all."""

from datetime import timedelta
from typing import Any

import pytest

from extensions import rules
from extensions.models import Check, Delivery
from extensions.tokens import token_of
from opscenter.base import clock
from opscenter.base.reasons import Refused
from opscenter.base.reasons import say as words_of
from opscenter.operations import checked, tasks
from opscenter.workspaces.models import AuditEntry
from tests.operations.guarded import (
    Guarded,
    check_of,
    checks_of,
    frozen,
    pass_time,
    say,
    seconds_left,
    status_of,
    told,
    trail,
)

pytestmark = pytest.mark.django_db


def delivered(check: Check) -> None:
    """The extension got the message."""
    Delivery.objects.filter(of_check=check).update(status=Delivery.Status.DELIVERED, due_at=None)


def progress(check: Check, percent: int | None = None, words: str = "") -> Check:
    return checked.report_by_token(check.pk, token_of(check), percent, words)


SILENCE = [  # (mandatory, silence blocks) -> check, operation, frozen
    (True, True, "failed", "blocked", False),
    (True, False, "passed", "applied", True),
    (False, True, "ended", "applied", True),
    (False, False, "ended", "applied", True),
]
MEANING = {
    "failed": "In this workspace no answer counts as FAIL.",
    "passed": "In this workspace no answer counts as passed.",
    "ended": "It only advises here, so nothing waited for it.",
}


@pytest.mark.parametrize("arrived", [True, False], ids=["arrived", "never-arrived"])
@pytest.mark.parametrize(("mandatory", "blocks", "state", "status", "is_frozen"), SILENCE)
def test_silence_means_what_the_workspace_has_set(
    cast: Guarded, mandatory: bool, blocks: bool, state: str, status: str, is_frozen: bool, arrived: bool
) -> None:
    cast.extension(is_mandatory=mandatory, silence_blocks=blocks, answer_limit=600)
    task = cast.task()
    operation = cast.freeze(task)
    check = check_of(operation)
    if arrived:
        delivered(check)
    pass_time(check, seconds=599)
    checked.run_limits()
    assert check_of(operation).state == "checking"
    pass_time(check, seconds=1)
    assert checked.run_limits() is None, "nothing is left to wait for"
    check = check_of(operation)
    assert (check.state, check.verdict, check.due_at, check.ended_by) == (state, "", None, None)
    assert (status_of(operation), frozen(task)) == (status, [is_frozen])
    assert check.reason is not None
    assert check.reason["code"] == ("check.silent" if arrived else "check.unreachable")
    text = words_of(**check.reason)
    assert text.endswith(MEANING[state])
    assert ("did not answer within 600 seconds" in text) is arrived
    assert ("could not be delivered" in text) is not arrived


def test_who_reads_a_blocked_operation_learns_that_it_was_silence(cast: Guarded) -> None:
    cast.extension(answer_limit=5)
    operation = cast.freeze(cast.task())
    delivered(check_of(operation))
    pass_time(check_of(operation), seconds=5)
    checked.run_limits()
    target = operation.targets.get()
    assert target.reason is not None
    assert words_of(**target.reason) == (
        "The extension “guard” blocked it: The extension got the message and did not answer within 5 seconds. "
        "In this workspace no answer counts as FAIL."
    )
    assert trail(operation)[-1] == ("operation.block", None)
    why = AuditEntry.objects.get(action="operation.block").params["why"]
    assert (why["code"], why["params"]["seconds"]) == ("check.silent", 5)


def test_a_message_that_can_never_arrive_is_not_waited_for(cast: Guarded) -> None:
    cast.extension("blocks")
    cast.extension("lets pass", silence_blocks=False)
    task = cast.task()
    operation = cast.freeze(task)
    strict, lenient = checks_of(operation)
    checked.unreachable(lenient.pk)
    assert (status_of(operation), checks_of(operation)[1].state) == ("checking", "passed")
    checked.unreachable(strict.pk)
    assert (status_of(operation), frozen(task)) == ("blocked", [False])
    checked.unreachable(strict.pk)  # the courier may say so twice
    assert [check.state for check in checks_of(operation)] == ["failed", "passed"]


def test_a_check_that_was_answered_is_not_unreachable_any_more(cast: Guarded) -> None:
    cast.extension()
    operation = cast.freeze(cast.task())
    say(check_of(operation), "OK")
    checked.unreachable(check_of(operation).pk)
    assert (status_of(operation), check_of(operation).verdict) == ("applied", "OK")


@pytest.mark.parametrize(("blocks", "status"), [(True, "blocked"), (False, "applied")])
def test_an_extension_whose_endpoint_is_gone_is_not_waited_for_at_all(cast: Guarded, blocks: bool, status: str) -> None:
    cast.extension(silence_blocks=blocks, gone_at=clock.now())
    operation = cast.freeze(cast.task())
    assert operation.status == status
    assert check_of(operation).state == ("failed" if blocks else "passed")
    assert not Delivery.objects.filter(status=Delivery.Status.PENDING).exists()


# progress


def test_progress_gives_the_limit_again_and_is_shown(cast: Guarded) -> None:
    cast.extension(answer_limit=100)
    check = check_of(cast.freeze(cast.task()))
    pass_time(check, seconds=90)
    assert 9 < seconds_left(check) <= 10
    progress(check, 40, "2 of 5 rules looked at")
    assert 99 < seconds_left(check) <= 100
    check.refresh_from_db()
    assert (check.progress, check.progress_words, check.reports, check.state) == (
        40, "2 of 5 rules looked at", 1, "checking",
    )  # fmt: skip
    pass_time(check, seconds=99)
    checked.run_limits()
    check.refresh_from_db()
    assert check.state == "checking"
    pass_time(check, seconds=1)
    checked.run_limits()
    check.refresh_from_db()
    assert check.state == "failed"


def test_progress_ends_after_an_hour(cast: Guarded) -> None:
    cast.extension(answer_limit=1000)
    operation = cast.freeze(cast.task())
    check = check_of(operation)
    for minutes in (15, 30, 45):
        pass_time(check, minutes=15)
        progress(check, minutes)
    assert 895 < seconds_left(check) <= 900, "an hour in all, not the whole limit again"
    pass_time(check, minutes=15)
    checked.run_limits()
    assert status_of(operation) == "blocked"


def test_the_longest_limit_is_not_shortened_by_a_report(cast: Guarded) -> None:
    cast.extension(answer_limit=rules.LONGEST_LIMIT)
    check = check_of(cast.freeze(cast.task()))
    pass_time(check, seconds=60)
    before = seconds_left(check)
    progress(check)
    assert abs(seconds_left(check) - before) < 1


def test_progress_without_numbers_and_with_too_many_words(cast: Guarded) -> None:
    cast.extension()
    check = check_of(cast.freeze(cast.task()))
    progress(check, None, "\0" + "x" * 3000)
    check.refresh_from_db()
    assert (check.progress, check.progress_words) == (None, "x" * 1000)


def test_reports_are_counted_and_end(cast: Guarded) -> None:
    cast.extension()
    operation = cast.freeze(cast.task())
    check = check_of(operation)
    Check.objects.update(reports=rules.MOST_REPORTS - 1)
    progress(check, 98)
    before = seconds_left(check)
    with pytest.raises(Refused) as error:
        progress(check, 99)
    assert error.value.reason.code == "verdict.too_many_reports"
    assert seconds_left(check) <= before and check.progress == 98
    say(check, "OK")
    assert status_of(operation) == "applied"


# the scheduler's part


def test_it_says_when_the_next_limit_ends(cast: Guarded) -> None:
    cast.extension("slow", answer_limit=600)
    cast.extension("quick", answer_limit=60, is_mandatory=False)
    operation = cast.freeze(cast.task())
    quick, slow = checks_of(operation)
    assert checked.run_limits() == quick.due_at
    pass_time(quick, seconds=60)
    assert checked.run_limits() == slow.due_at
    say(slow, "OK")
    assert checked.run_limits() is None


def test_all_that_are_over_end_in_one_go(cast: Guarded) -> None:
    cast.extension("a", silence_blocks=False)
    cast.extension("b", silence_blocks=False)
    several = [cast.task(str(number)) for number in range(4)]
    operations = [cast.freeze(task) for task in several]
    Check.objects.update(due_at=clock.now() - timedelta(seconds=1))
    checked.run_limits()
    assert [status_of(operation) for operation in operations] == ["applied"] * 4
    assert frozen(*several) == [True] * 4


def test_one_that_cannot_be_ended_does_not_hold_up_the_others(cast: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    cast.extension(silence_blocks=False)
    poison, good = cast.task("poison"), cast.task("good")
    bad, fine = cast.freeze(poison), cast.freeze(good)
    Check.objects.update(due_at=clock.now() - timedelta(seconds=1))
    freeze = tasks.EFFECTS["freeze_task"]

    def fails(chosen: Any, operation: Any) -> None:
        assert poison not in chosen
        freeze(chosen, operation)

    monkeypatch.setitem(tasks.EFFECTS, "freeze_task", fails)
    with pytest.raises(AssertionError):
        checked.run_limits()
    assert (status_of(fine), frozen(good), status_of(bad)) == ("applied", [True], "checking")
    assert check_of(bad).state == "checking", "all of it or nothing"
    monkeypatch.undo()
    checked.run_limits()
    assert (status_of(bad), told(bad)) == ("applied", {poison.pk: None})
