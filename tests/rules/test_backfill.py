"""Backfills: dates from ranges, order and groups, who runs and who does not, run windows."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscenter.production.rules.backfill import (
    DateRange,
    Facts,
    Graph,
    Mode,
    Order,
    Part,
    RunWindow,
    Selection,
    between,
    business_dates,
    cast,
    chains,
    choose,
    contradictions,
    earliest_start,
    levels,
    longest,
    on_link,
    predecessors,
)

DAYS = st.dates(date(2026, 1, 1), date(2026, 3, 1))
RANGES = st.lists(
    st.tuples(DAYS, st.integers(0, 20)).map(lambda one: DateRange(one[0], one[0] + timedelta(days=one[1]))),
    min_size=1,
    max_size=7,
)
D = [date(2026, 11, day) for day in range(1, 8)]


# dates


def test_both_ends_of_a_range_are_included() -> None:
    assert business_dates([DateRange(D[0], D[2])]) == D[:3]
    assert business_dates([DateRange(D[0], D[0])]) == D[:1]
    assert len(DateRange(D[0], D[2])) == 3
    assert business_dates([DateRange(D[2], D[0])]) == []


@given(RANGES, st.sampled_from(Order))
def test_no_date_is_lost_or_doubled_whatever_overlaps(ranges: list[DateRange], order: Order) -> None:
    found = business_dates(ranges, order)
    expected = {
        day for day in (date(2025, 12, 1) + timedelta(days=n) for n in range(200))
        if any(one.first <= day <= one.last for one in ranges)
    }  # fmt: skip
    assert sorted(found) == sorted(expected)
    assert found == sorted(found, reverse=order is Order.DESC)


@given(RANGES, st.integers(1, 10), st.sampled_from(Order))
def test_groups_hold_every_date_once_and_in_order(ranges: list[DateRange], groups: int, order: Order) -> None:
    days = business_dates(ranges, order)
    made = chains(days, groups)
    assert sorted(day for chain in made for day in chain) == sorted(days)
    assert len(made) == min(groups, len(days))
    assert all(chain and chain == sorted(chain, reverse=order is Order.DESC) for chain in made)
    after = predecessors(days, groups)
    assert all(after[chain[0]] is None for chain in made)
    assert all(after[later] == earlier for chain in made for earlier, later in pairwise(chain))


def test_four_dates_in_two_groups_are_dealt_out_in_turn() -> None:
    assert chains(D[:4], 2) == [[D[0], D[2]], [D[1], D[3]]]
    assert chains(D[:4], 1) == [D[:4]]
    assert chains(D[:2], 5) == [[D[0]], [D[1]]]


@pytest.mark.parametrize(
    ("days", "order", "wrong"),
    [
        (D[:3], Order.ASC, set()),
        (D[2::-1], Order.DESC, {1, 2}),
        ([D[4], D[2], D[0]], Order.DESC, set()),  # no date follows another
    ],
)
def test_the_newest_first_contradicts_what_waits_for_the_cycle_before(
    days: list[date], order: Order, wrong: set[int]
) -> None:
    assert contradictions(days, order, {(1, 1), (1, 2)}) == wrong
    assert contradictions(days, order, ()) == set()


# which tasks:  1 -> 2 -> 3 -> 4,  1 -> 5 -> 4,  6 alone

GRAPH = Graph.of([(1, 2), (2, 3), (3, 4), (1, 5), (5, 4)])
OF = {1: 10, 2: 10, 3: 20, 4: 10, 5: 20, 6: 10}


@pytest.mark.parametrize(
    ("wanted", "chosen", "left_out"),
    [
        (Selection(Mode.CURRENT, (2,)), {2}, set()),
        (Selection(Mode.DESCENDANTS, (1,)), {1, 2, 3, 4, 5}, set()),
        (Selection(Mode.DESCENDANTS, (1,), depth=1), {1, 2, 5}, set()),
        (Selection(Mode.DESCENDANTS, (1,), depth=1, exclude=frozenset({5, 6})), {1, 2}, {5}),
        (Selection(Mode.MASSIVE, (1,), workspaces=frozenset({10})), {1, 2, 4}, set()),
        (Selection(Mode.MASSIVE, (), workspaces=frozenset({10})), {1, 2, 4, 6}, set()),
        (Selection(Mode.MASSIVE, (1,), not_workspaces=frozenset({10})), {3, 5}, set()),
        (
            Selection(Mode.MASSIVE, (1,), include=(6,), exclude=frozenset({2}), workspaces=frozenset({20})),
            {3, 5, 6},
            set(),
        ),
        (Selection(Mode.MASSIVE, (1,), exclude=frozenset({2})), {1, 3, 4, 5}, {2}),
        (Selection(Mode.ADVANCED, (1,), include=(3, 6)), {1, 3, 6}, set()),
        (Selection(Mode.LINK, (1,), include=(3,)), {1, 2, 3}, set()),
        (Selection(Mode.LINK, (1,), include=(4,)), {1, 2, 3, 4, 5}, set()),
        (Selection(Mode.LINK, (3,), include=(1,)), set(), set()),
    ],
)
def test_modes(wanted: Selection, chosen: set[int], left_out: set[int]) -> None:
    assert choose(wanted, GRAPH, OF) == (chosen, left_out)


def test_levels_are_the_fewest_steps() -> None:
    assert levels(GRAPH.down, [1]) == {1: 0, 2: 1, 5: 1, 3: 2, 4: 2}
    assert levels(GRAPH.down, [1], 1) == {1: 0, 2: 1, 5: 1}


def test_what_is_between_chosen_tasks() -> None:
    assert between(GRAPH, {1, 4}) == {2, 3, 5}
    assert between(GRAPH, {2, 5}) == set()
    assert on_link(GRAPH, 2, 4) == {2, 3, 4}


def parts(**facts: dict[int, Facts]) -> dict[int, Facts]:
    return {pk: Facts() for pk in OF} | facts.get("but", {})


def test_unchosen_tasks_between_chosen_ones_are_dry_runs() -> None:
    made = cast(GRAPH, {1, 4}, set(), parts())
    assert {pk: (role.part, role.why) for pk, role in made.roles.items()} == {
        1: (Part.RUN, "backfill.chosen"),
        4: (Part.RUN, "backfill.chosen"),
        **dict.fromkeys((2, 3, 5), (Part.DRY_RUN, "backfill.unchosen")),
    }
    assert not made.barred


@pytest.mark.parametrize(("task", "barred"), [(1, True), (4, True), (2, False), (5, False)])
def test_a_missing_permission_bars_where_the_job_begins_or_ends_and_is_a_dry_run_between(
    task: int, barred: bool
) -> None:
    made = cast(GRAPH, {1, 2, 3, 4, 5}, set(), parts(but={task: Facts(is_permitted=False)}))
    assert made.barred == ({task} if barred else set())
    assert made.roles[task].part is Part.DRY_RUN
    assert made.roles[task].why == "backfill.no_permission"


@pytest.mark.parametrize(
    ("facts", "part", "why"),
    [
        (Facts(is_frozen=True), Part.FROZEN, "backfill.frozen"),
        (Facts(is_dry_run=True), Part.DRY_RUN, "backfill.recurrence"),
        (Facts(is_trigger=True), Part.RUN, "backfill.bypassed"),
    ],
)
def test_what_a_task_is_decides_what_it_does(facts: Facts, part: Part, why: str) -> None:
    role = cast(GRAPH, {1, 2}, set(), parts(but={2: facts})).roles[2]
    assert (role.part, role.why) == (part, why)


def test_what_is_not_there_to_run_gets_no_instances() -> None:
    made = cast(GRAPH, {1, 2, 6}, set(), parts(but={1: Facts(is_root=True), 6: Facts(is_online=False)}))
    assert dict(made.skipped) == {1: "backfill.root", 6: "backfill.offline"}
    assert set(made.roles) == {2}


def test_what_is_left_out_is_a_dry_run_unless_it_leads_nowhere_and_is_none_of_ones_business() -> None:
    stranger = Facts(is_permitted=False)
    made = cast(GRAPH, {1, 3}, {2, 5, 4}, parts(but={2: stranger, 4: stranger}))
    assert {pk: role.why for pk, role in made.roles.items() if role.part is Part.DRY_RUN} == {
        2: "backfill.left_out",
        5: "backfill.left_out",
    }
    assert dict(made.skipped) == {4: "backfill.left_out"}
    assert not made.barred


NODES = st.integers(1, 12)


@given(st.sets(st.tuples(NODES, NODES).filter(lambda pair: pair[0] < pair[1])), st.sets(NODES, min_size=1))
def test_the_order_of_chosen_tasks_is_kept_by_dry_runs_alone(pairs: set[tuple[int, int]], chosen: set[int]) -> None:
    """Whatever leads from one chosen task to another leads there within the job; nothing else is in it."""
    graph = Graph.of(pairs)
    made = cast(graph, chosen, set(), {pk: Facts() for pk in range(1, 13)})
    inside = Graph.of((up, down) for up, down in pairs if up in made.roles and down in made.roles)
    for one in chosen:
        assert levels(graph.down, [one]).keys() & chosen == levels(inside.down, [one]).keys() & chosen
    for pk in set(made.roles) - chosen:
        assert chosen & levels(graph.up, [pk]).keys() and chosen & levels(graph.down, [pk]).keys()


def test_the_slowest_way() -> None:
    assert longest(GRAPH, {1: 1, 2: 5, 3: 5, 4: 1, 5: 3, 6: 7}) == 12
    assert longest(GRAPH, {2: 5, 5: 3}) == 5
    assert longest(GRAPH, {}) == 0


# run windows

ZONE = ZoneInfo("Asia/Shanghai")
NIGHT = RunWindow(time(22), time(5, 59, 59))
WORK = RunWindow(time(9), time(17, 59, 59))
WEEKEND = RunWindow(time.min, time(23, 59, 59), weekend=True)


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE).astimezone(UTC)


@pytest.mark.parametrize(
    ("window", "at", "opens", "closes"),
    [
        (WORK, "2026-11-20 08:00", "2026-11-20 09:00", "2026-11-20 18:00"),
        (WORK, "2026-11-20 12:00", "2026-11-20 12:00", "2026-11-20 18:00"),
        (WORK, "2026-11-20 17:59:59", "2026-11-20 17:59:59", "2026-11-20 18:00"),
        (WORK, "2026-11-20 18:00", "2026-11-21 09:00", "2026-11-21 18:00"),
        (NIGHT, "2026-11-20 03:00", "2026-11-20 03:00", "2026-11-20 06:00"),
        (NIGHT, "2026-11-20 12:00", "2026-11-20 22:00", "2026-11-21 06:00"),
        (WEEKEND, "2026-11-20 12:00", "2026-11-21 00:00", "2026-11-22 00:00"),  # Friday noon
        (WEEKEND, "2026-11-23 00:00", "2026-11-28 00:00", "2026-11-29 00:00"),
    ],
)
def test_run_windows(window: RunWindow, at: str, opens: str, closes: str) -> None:
    assert window.opens(local(at), ZONE) == local(opens)
    assert window.closes(local(at), ZONE) == local(closes)


TIMES = st.times().map(lambda at: at.replace(microsecond=0, tzinfo=None))


@given(TIMES, TIMES, st.booleans(), st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)))
def test_a_window_opens_within_itself_and_closes_later(start: time, end: time, weekend: bool, at: datetime) -> None:
    window, moment = RunWindow(start, end, weekend), at.replace(tzinfo=UTC)
    opens = window.opens(moment, UTC)  # type: ignore[arg-type]
    assert opens >= moment
    clock = opens.time().replace(microsecond=0)
    assert start <= clock <= end if start <= end else clock >= start or clock <= end
    assert window.closes(moment, UTC) > moment  # type: ignore[arg-type]


def test_what_is_waited_for() -> None:
    now, past, later = local("2026-11-20 12:00"), local("2026-11-19 00:00"), local("2026-11-20 20:00")
    assert earliest_start(past, now, ZONE, None, immediately=False) is None
    assert earliest_start(later, now, ZONE, None, immediately=False) == later
    assert earliest_start(later, now, ZONE, None, immediately=True) is None
    assert earliest_start(past, now, ZONE, NIGHT, immediately=False) == local("2026-11-20 22:00")
    assert earliest_start(past, now, ZONE, WORK, immediately=False) is None
    assert earliest_start(later, now, ZONE, WORK, immediately=False) == local("2026-11-21 09:00")
    assert earliest_start(later, now, ZONE, WORK, immediately=True) is None
