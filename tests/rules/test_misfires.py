"""What was missed while no scheduler was there, and what of it runs nevertheless: by tables."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscenter.production.rules.misfires import Missed, Policy, missed, not_run
from opscenter.production.rules.states import Kind

NIGHT = datetime(2026, 3, 15, tzinfo=UTC)

KEPT = [  # what each of the late instances waits for, which of them were missed
    ({}, set()),
    ({1: []}, {1}),
    ({1: [], 2: [1], 3: [2]}, {1, 2, 3}),  # all of it, down from the root
    ({1: [9]}, set()),  # 9 runs, failed, is frozen, waits for a trigger or is not due yet
    ({1: [9], 2: [1], 3: [2]}, set()),  # and what comes after it
    ({1: [], 2: [1, 9], 3: [1]}, {1, 3}),
    ({1: [], 2: [1], 3: [9], 4: [2, 3], 5: [4, 1]}, {1, 2}),
]


@pytest.mark.parametrize(("waits_for", "expected"), KEPT)
def test_missed_is_what_only_the_absence_kept(waits_for, expected):
    assert missed(waits_for) == expected


@given(st.dictionaries(st.integers(0, 12), st.lists(st.integers(0, 14), max_size=3), max_size=12))
def test_nothing_missed_waits_for_anything_that_was_not(edges):
    waits_for = {pk: [up for up in upstream if up < pk or up > 12] for pk, upstream in edges.items()}
    found = missed(waits_for)
    assert found == {pk for pk in waits_for if pk in found and set(waits_for[pk]) <= found}
    # and it is the largest such set: whoever was left out waits, in the end, for something else
    assert all(not set(waits_for[pk]) <= found for pk in set(waits_for) - found)


def instances(policy: Policy, *hours: int, task: int = 1) -> list[Missed]:
    """Missed instances of a task at these hours; their ids are task and hour."""
    return [Missed(100 * task + hour, task, NIGHT + timedelta(hours=hour), policy) for hour in hours]


POLICIES = [
    ([], set()),
    (instances(Policy.ALL, 1, 2, 3), set()),
    (instances(Policy.LATEST, 1, 2, 3), {101, 102}),
    (instances(Policy.LATEST, 3, 1, 2), {101, 102}),  # whatever the order
    (instances(Policy.LATEST, 7), set()),
    (instances(Policy.NONE, 1, 2, 3), {101, 102, 103}),
    (instances(Policy.NONE, 7), {107}),
    (instances(Policy.LATEST, 1, 2) + instances(Policy.LATEST, 2, 3, task=2), {101, 202}),
    (instances(Policy.ALL, 1) + instances(Policy.NONE, 2, task=2) + instances(Policy.LATEST, 3, 4, task=3), {202, 303}),
]


@pytest.mark.parametrize(("found", "dry"), POLICIES)
def test_the_policy_says_what_is_not_run(found, dry):
    assert not_run(found) == dry


def test_a_missed_instance_is_a_dry_run_and_to_clients_of_dataworks_one_that_they_know():
    assert Kind.MISSED.is_dry_run
    assert {kind.wire for kind in Kind} == set(range(8)) and Kind.MISSED.wire == Kind.SKIP
