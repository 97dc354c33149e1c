"""The pure rules of checks: tables written by hand, and what must hold for all of them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extensions import rules
from extensions.rules import Outcome, Standing, decide, due_after_report, retry_at

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
STATES = ("checking", "passed", "failed", "ended")


def m(state: str) -> Standing:
    return Standing(state, is_mandatory=True)


def a(state: str) -> Standing:
    return Standing(state, is_mandatory=False)


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        ([], Outcome.GO),
        ([m("checking")], Outcome.WAIT),
        ([m("passed")], Outcome.GO),
        ([m("failed")], Outcome.BLOCKED),
        ([m("ended")], Outcome.GO),
        ([m("passed"), m("checking")], Outcome.WAIT),
        ([m("passed"), m("passed")], Outcome.GO),
        ([m("passed"), m("failed")], Outcome.BLOCKED),
        ([m("checking"), m("failed")], Outcome.BLOCKED),
        ([a("checking")], Outcome.GO),
        ([a("failed")], Outcome.GO),
        ([a("checking"), a("failed")], Outcome.GO),
        ([m("passed"), a("checking")], Outcome.GO),
        ([m("passed"), a("failed")], Outcome.GO),
        ([m("checking"), a("passed")], Outcome.WAIT),
        ([m("checking"), a("failed")], Outcome.WAIT),
        ([m("failed"), a("passed")], Outcome.BLOCKED),
    ],
)
def test_what_checks_decide_together(checks: list[Standing], expected: Outcome) -> None:
    assert decide(checks) is expected
    assert decide(reversed(checks)) is expected


standings = st.lists(st.builds(Standing, st.sampled_from(STATES), st.booleans()), max_size=8)


@given(standings, st.sampled_from(STATES), st.randoms())
def test_advisory_checks_and_the_order_change_nothing(checks, state, dice) -> None:
    shuffled = [*checks, a(state)]
    dice.shuffle(shuffled)
    assert decide(shuffled) is decide(checks)


@given(standings)
def test_every_outcome_has_its_reason(checks) -> None:
    mandatory = {check.state for check in checks if check.is_mandatory}
    match decide(checks):
        case Outcome.BLOCKED:
            assert "failed" in mandatory
        case Outcome.WAIT:
            assert "checking" in mandatory and "failed" not in mandatory
        case Outcome.GO:
            assert mandatory <= {"passed", "ended"}


@given(standings, st.integers(0, 7), st.sampled_from(["passed", "failed", "ended"]))
def test_what_is_decided_stays_decided_whatever_ends_later(checks, index, state) -> None:
    """A check that ends after the operation was blocked cannot release it; nor can one add to a wait that is over."""
    before = decide(checks)
    if index < len(checks) and checks[index].state == "checking":
        checks[index] = Standing(state, checks[index].is_mandatory)
    if before is not Outcome.WAIT:
        assert decide(checks) is before


@pytest.mark.parametrize(
    ("age", "limit", "more"),
    [
        (0, 600, 600),
        (300, 600, 600),
        (3000, 600, 600),
        (3001, 600, 599),
        (3590, 600, 10),
        (3600, 600, 0),
        (0, 5, 5),
        (0, 3600, 3600),
        (1, 3600, 3599),
    ],
)
def test_progress_gives_the_limit_again_within_an_hour(age: int, limit: int, more: int) -> None:
    opened = NOW - timedelta(seconds=age)
    assert due_after_report(opened, limit, NOW) == NOW + timedelta(seconds=more)


limits = st.integers(rules.SHORTEST_LIMIT, rules.LONGEST_LIMIT)


@given(limits, st.lists(st.floats(0, 1), max_size=50))
def test_reports_never_shorten_the_wait_nor_stretch_it_beyond_an_hour(limit, moments) -> None:
    """Each report comes at some moment before the limit is over."""
    now, due = NOW, NOW + timedelta(seconds=limit)
    for share in moments:
        now += (due - now) * share
        after = due_after_report(NOW, limit, now)
        assert due <= after <= NOW + rules.LONGEST_WAIT
        assert after <= now + timedelta(seconds=limit)
        due = after


def test_the_limits_fit_together() -> None:
    assert rules.SHORTEST_LIMIT <= rules.DEFAULT_LIMIT == 600 <= rules.LONGEST_LIMIT
    assert timedelta(seconds=rules.LONGEST_LIMIT) <= rules.LONGEST_WAIT == timedelta(minutes=60)


@pytest.mark.parametrize(
    ("tries", "jitter", "asked", "expected"),
    [
        (1, 0, None, 5),
        (1, 1, None, 6),
        (2, 0, None, 30),
        (3, 0.5, None, 132),
        (6, 0, None, 1200),
        (7, 0, None, 1200),
        (500, 1, None, 1440),
        (1, 0, 3, 5),
        (1, 0, 7.5, 7.5),
        (1, 0, 86_400, 1200),
        (1, 0, -5, 5),
        (6, 1, 86_400, 1440),
    ],
)
def test_when_a_delivery_is_tried_again(tries: int, jitter: float, asked: float | None, expected: float) -> None:
    assert retry_at(NOW, tries, jitter, asked) == NOW + timedelta(seconds=expected)


@given(st.integers(1, 1000), st.floats(0, 1), st.none() | st.floats(-10, 1e6))
def test_a_retry_is_soon_enough_and_later_ones_are_no_sooner(tries, jitter, asked) -> None:
    wait = (retry_at(NOW, tries, jitter, asked) - NOW).total_seconds()
    assert rules.RETRY_AFTER[0] <= wait <= rules.LONGEST_RETRY_AFTER * 1.2
    assert retry_at(NOW, tries + 1, jitter, asked) >= retry_at(NOW, tries, jitter, asked)
    assert retry_at(NOW, tries, jitter, None) <= retry_at(NOW, tries, jitter, asked)
