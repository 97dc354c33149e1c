"""Which instance waits for which: the table of spec/opscenter.md 3.5; loops."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscenter.production.rules.cron import Cycle, parse
from opscenter.production.rules.dependencies import Runs, find_cycle, knots, match, match_previous
from opscenter.production.rules.planning import Planned, plan_day

UTC_ZONE = ZoneInfo("UTC")
MONDAY = date(2026, 3, 16)


def runs(planned: Sequence[Planned], cycle: Cycle, chained: bool = False) -> Runs:
    return Runs([one.scheduled_at for one in planned], cycle, chained)


def _edges(upstream, downstream, day=MONDAY, chained_up=False, chained_down=False):
    """The edges as text: downstream time -> upstream times."""
    up, down = parse(upstream), parse(downstream)
    ups, downs = (plan_day(cron, day, UTC_ZONE, (None, None)) for cron in (up, down))
    found = {}
    for a, b in match(runs(ups, up.cycle, chained_up), runs(downs, down.cycle, chained_down)):
        found.setdefault(f"{downs[b].scheduled_at:%H:%M}", []).append(f"{ups[a].scheduled_at:%H:%M}")
    return found


TABLE = [
    # day -> day: the one of the day, whatever their times
    ("0 0 1 * * ?", "0 0 1 * * ?", {"01:00": ["01:00"]}),
    ("0 0 5 * * ?", "0 0 1 * * ?", {"01:00": ["05:00"]}),
    # day -> hour: every instance
    ("0 0 1 * * ?", "0 0 0/12 * * ?", {"00:00": ["01:00"], "12:00": ["01:00"]}),
    # hour -> day: all of the day, also later ones
    ("0 0 */6 * * ?", "0 0 7 * * ?", {"07:00": ["00:00", "06:00", "12:00", "18:00"]}),
    # hour -> week, month: as to day
    ("0 0 0,12 * * ?", "0 0 7 ? * MON", {"07:00": ["00:00", "12:00"]}),
    ("0 0 0,12 * * ?", "0 0 7 1 * ?", {"07:00": ["00:00", "12:00"]}),
    # day -> week on a day off: the dry run
    ("0 0 1 * * ?", "0 0 7 ? * FRI", {"07:00": ["01:00"]}),
    # the same points
    ("0 15 1-3 * * ?", "0 15 1-3 * * ?", {"01:15": ["01:15"], "02:15": ["02:15"], "03:15": ["03:15"]}),
    # the same frequency, other points: the nearest that is not later; the first takes the day's first
    ("0 30 1-3 * * ?", "0 15 1-3 * * ?", {"01:15": ["01:30"], "02:15": ["01:30"], "03:15": ["02:30"]}),
    ("0 15 1-3 * * ?", "0 30 1-3 * * ?", {"01:30": ["01:15"], "02:30": ["02:15"], "03:30": ["03:15"]}),
    # hour -> rarer hour: the nearest one, not all
    ("0 0 * * * ?", "0 0 6,12 * * ?", {"06:00": ["06:00"], "12:00": ["12:00"]}),
    ("0 30 * * * ?", "0 0 6,12 * * ?", {"06:00": ["05:30"], "12:00": ["11:30"]}),
    # hour -> minute: the hour's instance for each
    (
        "0 0 1,2 * * ?",
        "0 0/30 1,2 * * ?",
        {"01:00": ["01:00"], "01:30": ["01:00"], "02:00": ["02:00"], "02:30": ["02:00"]},
    ),
    # minute -> hour: those since the previous hour instance, up to its own time
    (
        "0 0/20 0-2 * * ?",
        "0 0 1,2 * * ?",
        {"01:00": ["00:00", "00:20", "00:40", "01:00"], "02:00": ["01:20", "01:40", "02:00"]},
    ),
    # an hour without minute instances of its own still waits for the nearest; one before all of them for the first
    (
        "0 0/30 8 * * ?",
        "0 0 7-10 * * ?",
        {"07:00": ["08:00"], "08:00": ["08:00"], "09:00": ["08:30"], "10:00": ["08:30"]},
    ),
    # minute -> minute
    ("0 0/20 1 * * ?", "0 0/30 1 * * ?", {"01:00": ["01:00"], "01:30": ["01:20"]}),
]


@pytest.mark.parametrize(("upstream", "downstream", "expected"), TABLE)
def test_same_day_matching(upstream, downstream, expected):
    assert _edges(upstream, downstream) == expected


CHAINED = [
    # hour (chained) -> day: the nearest not later, or the day's first
    ("0 0 */6 * * ?", "0 0 7 * * ?", True, False, {"07:00": ["06:00"]}),
    ("0 0 8-10 * * ?", "0 0 7 * * ?", True, False, {"07:00": ["08:00"]}),
    # day -> hour (chained): its first alone
    ("0 0 1 * * ?", "0 0 0/12 * * ?", False, True, {"00:00": ["01:00"]}),
    # day -> day: chains change nothing
    ("0 0 1 * * ?", "0 0 2 * * ?", True, True, {"02:00": ["01:00"]}),
    # hour -> hour: as without
    ("0 0 1,2 * * ?", "0 30 1,2 * * ?", True, True, {"01:30": ["01:00"], "02:30": ["02:00"]}),
]


@pytest.mark.parametrize(("upstream", "downstream", "chained_up", "chained_down", "expected"), CHAINED)
def test_same_day_matching_with_dependence_on_oneself(upstream, downstream, chained_up, chained_down, expected):
    assert _edges(upstream, downstream, MONDAY, chained_up, chained_down) == expected


BY_CYCLE = {
    Cycle.MINUTE: "0 10/25 1-5 * * ?",
    Cycle.HOUR: "0 15 1-23/3 * * ?",
    Cycle.DAY: "0 0 4 * * ?",
    Cycle.WEEK: "0 0 5 ? * MON",
    Cycle.MONTH: "0 0 6 L * ?",  # MONDAY is a day off for it, and for the next
    Cycle.YEAR: "0 0 7 1 1,7 ?",
}


@pytest.mark.parametrize("chained_down", [False, True])
@pytest.mark.parametrize("chained_up", [False, True])
@pytest.mark.parametrize("down", BY_CYCLE)
@pytest.mark.parametrize("up", BY_CYCLE)
def test_same_day_matching_of_every_pair_of_cycles(up, down, chained_up, chained_down):
    """The rules of spec 3.5 once more, word for word and without regard to speed."""
    upstream, downstream = BY_CYCLE[up], BY_CYCLE[down]
    assert (parse(upstream).cycle, parse(downstream).cycle) == (up, down)
    ups, downs = ([f"{at:%H:%M}" for at in parse(text).times_of_day()] for text in (upstream, downstream))
    expected = {}
    for n, at in enumerate(downs):
        earlier = [one for one in ups if one <= at]
        nearest = earlier[-1:] or ups[:1]
        if up.is_daylike:
            waits_for = [] if chained_down and not down.is_daylike and n > 0 else ups
        elif down.is_daylike:
            waits_for = nearest if chained_up else ups
        elif (up, down) == (Cycle.MINUTE, Cycle.HOUR):
            waits_for = [one for one in earlier if n == 0 or one > downs[n - 1]] or nearest
        else:
            waits_for = nearest
        if waits_for:
            expected[at] = waits_for
    assert _edges(upstream, downstream, MONDAY, chained_up, chained_down) == expected


def _previous(upstream, downstream, chained=False):
    """The edges of a cross-cycle dependency as text: downstream time -> day and time of what it waits for."""
    up, down = parse(upstream), parse(downstream)
    sunday = MONDAY - timedelta(days=1)
    before, now, downs = (plan_day(cron, day, UTC_ZONE) for cron, day in ((up, sunday), (up, MONDAY), (down, MONDAY)))
    line = [*before, *now]
    known = runs(before, up.cycle, chained), runs(now, up.cycle, chained), runs(downs, down.cycle)
    found = {}
    for a, b in match_previous(*known):
        found.setdefault(f"{downs[b].scheduled_at:%H:%M}", []).append(f"{line[a].scheduled_at:%a %H:%M}")
    return found


PREVIOUS = [
    # itself: day after day, hour after hour; the first of today after the last of yesterday
    ("0 0 1 * * ?", "0 0 1 * * ?", False, {"01:00": ["Sun 01:00"]}),
    ("0 0 1-3 * * ?", "0 0 1-3 * * ?", True, {"01:00": ["Sun 03:00"], "02:00": ["Mon 01:00"], "03:00": ["Mon 02:00"]}),
    ("0 0/30 1 * * ?", "0 0/30 1 * * ?", True, {"01:00": ["Sun 01:30"], "01:30": ["Mon 01:00"]}),
    # another day task: yesterday's, whatever the times
    ("0 0 5 * * ?", "0 0 1 * * ?", False, {"01:00": ["Sun 05:00"]}),
    ("0 0 1 * * ?", "0 0 5 * * ?", False, {"05:00": ["Sun 01:00"]}),
    # 02:00 waits for 01:00 of an hour task (spec 3.5)
    ("0 0 0-2 * * ?", "0 0 1,2 * * ?", False, {"01:00": ["Mon 00:00"], "02:00": ["Mon 01:00"]}),
    (
        "0 30 0-2 * * ?",
        "0 0 0-2 * * ?",
        False,
        {"00:00": ["Sun 02:30"], "01:00": ["Sun 02:30"], "02:00": ["Mon 00:30"]},
    ),
    # a day task on an hour task: all of yesterday's, or the last where they are chained
    ("0 0 0/12 * * ?", "0 0 7 * * ?", False, {"07:00": ["Sun 00:00", "Sun 12:00"]}),
    ("0 0 0/12 * * ?", "0 0 7 * * ?", True, {"07:00": ["Sun 12:00"]}),
    # an hour task on a day task: yesterday's for each
    ("0 0 7 * * ?", "0 0 0/12 * * ?", False, {"00:00": ["Sun 07:00"], "12:00": ["Sun 07:00"]}),
    # minutes before hours: the run before those that it would wait for today
    ("0 0/30 0-2 * * ?", "0 0 1,2 * * ?", False, {"01:00": ["Sun 02:30"], "02:00": ["Mon 01:00"]}),
]


@pytest.mark.parametrize(("upstream", "downstream", "chained", "expected"), PREVIOUS)
def test_cross_cycle_matching(upstream, downstream, chained, expected):
    assert _previous(upstream, downstream, chained) == expected


def test_the_first_day_of_all_has_no_cycle_before_it():
    cron = parse("0 0 1-3 * * ?")
    planned = plan_day(cron, MONDAY, UTC_ZONE)
    assert match_previous(runs([], cron.cycle), runs(planned, cron.cycle), runs(planned, cron.cycle)) == [
        (0, 1),
        (1, 2),
    ]


def test_nothing_to_wait_for():
    cron = parse("0 0 1 * * ?")
    planned = plan_day(cron, MONDAY, UTC_ZONE, (None, None))
    nothing, something = runs([], cron.cycle), runs(planned, cron.cycle)
    assert match(nothing, something) == match(something, nothing) == []
    assert match_previous(nothing, something, nothing) == match_previous(nothing, nothing, something) == []


def test_an_old_daily_instance_beside_a_new_one_is_waited_for_too():
    start = datetime(2026, 3, 16, tzinfo=UTC)
    ups = [Planned(start + timedelta(hours=hour), 1, dry_run=False) for hour in (1, 12)]
    day, hour = parse("0 0 12 * * ?").cycle, parse("0 0 2,14 * * ?")
    downs = plan_day(hour, MONDAY, UTC_ZONE, (None, None))
    assert match(runs(ups, day), runs(downs, hour.cycle)) == [(0, 0), (1, 0), (0, 1), (1, 1)]


def test_pairs_name_positions_whatever_the_order():
    hours = parse("0 0 1,2 * * ?")
    planned = plan_day(hours, MONDAY, UTC_ZONE, (None, None))
    assert sorted(match(runs(planned[::-1], hours.cycle), runs(planned, hours.cycle))) == [(0, 1), (1, 0)]


CRONS = st.sampled_from(
    [
        "0 0 1 * * ?",
        "0 0 1 ? * TUE",
        "0 0 0/5 * * ?",
        "0 30 2-20/3 * * ?",
        "0 0 * * * ?",
        "0 */45 * * * ?",
        "0 5/20 8-17 * * ?",
        "0 0,7 3,4 * * ?",
    ]
)


@given(CRONS, CRONS)
def test_every_downstream_instance_waits_for_something_and_no_edge_is_made_twice(upstream, downstream):
    up, down = parse(upstream), parse(downstream)
    ups, downs = (plan_day(cron, MONDAY, UTC_ZONE, (None, None)) for cron in (up, down))
    pairs = match(runs(ups, up.cycle), runs(downs, down.cycle))
    assert len(pairs) == len(set(pairs))
    assert {b for _, b in pairs} == set(range(len(downs)))
    assert all(0 <= a < len(ups) for a, _ in pairs)


@given(st.sets(st.integers(0, 1439), min_size=1), st.sets(st.integers(0, 1439), min_size=1))
def test_between_hours_each_waits_for_the_nearest_that_is_not_later(upstream, downstream):
    start = datetime(2026, 3, 16, tzinfo=UTC)
    ups, downs = (
        [Planned(start + timedelta(minutes=m), n, dry_run=False) for n, m in enumerate(sorted(minutes), start=1)]
        for minutes in (upstream, downstream)
    )
    hour = parse("0 0 * * * ?").cycle
    pairs = match(runs(ups, hour), runs(downs, hour))
    assert [b for _, b in pairs] == list(range(len(downs)))
    for a, b in pairs:
        earlier = [one for one in ups if one.scheduled_at <= downs[b].scheduled_at]
        assert ups[a] == (earlier[-1] if earlier else ups[0])


@given(st.sets(st.integers(0, 1439), min_size=1), st.sets(st.integers(0, 1439), min_size=1))
def test_each_minute_instance_is_waited_for_by_the_next_hour_instance(upstream, downstream):
    start = datetime(2026, 3, 16, tzinfo=UTC)
    ups, downs = (
        [Planned(start + timedelta(minutes=m), n, dry_run=False) for n, m in enumerate(sorted(minutes), start=1)]
        for minutes in (upstream, downstream)
    )
    pairs = set(match(runs(ups, parse("0 * * * * ?").cycle), runs(downs, parse("0 0 * * * ?").cycle)))
    assert {b for _, b in pairs} == set(range(len(downs)))
    for a, up in enumerate(ups):
        following = [b for b, down in enumerate(downs) if down.scheduled_at >= up.scheduled_at]
        if following:
            assert (a, following[0]) in pairs


LOOPS = [
    ({}, None),
    ({"a": ["b"], "b": ["c"], "c": []}, None),
    ({"a": ["b", "c"], "b": ["d"], "c": ["d"]}, None),
    ({"a": ["a"]}, ["a"]),
    ({"a": ["b"], "b": ["c"], "c": ["b"]}, ["b", "c"]),
    ({"x": ["a"], "a": ["b"], "b": ["c"], "c": ["a"]}, ["a", "b", "c"]),
]


@pytest.mark.parametrize(("edges", "loop"), LOOPS)
def test_find_cycle(edges, loop):
    assert find_cycle(edges) == loop


KNOTS = [
    ({}, []),
    ({"a": ["b"], "b": ["c"], "c": []}, []),
    ({"a": ["a"]}, []),  # alone
    ({"a": ["b"], "b": ["a"]}, [{"a", "b"}]),
    ({"x": ["a"], "a": ["b"], "b": ["c", "y"], "c": ["a"], "y": []}, [{"a", "b", "c"}]),
    ({"a": ["b"], "b": ["a", "c"], "c": ["d"], "d": ["c"]}, [{"c", "d"}, {"a", "b"}]),
    ({"a": ["b"], "b": ["c"], "c": ["b", "a"]}, [{"a", "b", "c"}]),
]


@pytest.mark.parametrize(("edges", "groups"), KNOTS)
def test_knots(edges, groups):
    assert knots(edges) == groups


def test_knots_go_deeper_than_the_stack():
    chain = {n: [n + 1] for n in range(100_000)}
    assert knots(chain) == []
    assert len(knots(chain | {100_000: [0]})[0]) == 100_001


@given(st.dictionaries(st.integers(0, 8), st.lists(st.integers(0, 8), max_size=4)))
def test_two_are_in_a_knot_if_each_leads_to_the_other(edges):
    def reached(start: int) -> set[int]:
        seen, left = set(), [start]
        while left:
            for follower in edges.get(left.pop(), ()):
                if follower not in seen:
                    seen.add(follower)
                    left.append(follower)
        return seen

    groups = knots(edges)
    for a in range(9):
        for b in range(a):
            tied = a in reached(b) and b in reached(a)
            assert any({a, b} <= group for group in groups) is tied
    assert sum(map(len, groups)) == len(set().union(*groups))


def test_find_cycle_goes_deeper_than_the_stack():
    chain = {n: [n + 1] for n in range(100_000)}
    assert find_cycle(chain) is None
    assert len(find_cycle(chain | {100_000: [0]})) == 100_001


@given(st.dictionaries(st.integers(0, 8), st.lists(st.integers(0, 8), max_size=4)))
def test_a_loop_is_one_and_without_one_there_is_an_order(edges):
    loop = find_cycle(edges)
    if loop is not None:
        assert all(after in edges[before] for before, after in zip(loop, loop[1:] + loop[:1], strict=True))
        return
    left = {node: set(following) for node, following in edges.items()}
    while left:
        free = [node for node, following in left.items() if not following & left.keys()]
        assert free, "no loop was found, but these wait for each other"
        for node in free:
            del left[node]
