"""The instances of a day: off-days, effective period, clock changes, the 10-minute rule."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscenter.production.rules.cron import parse
from opscenter.production.rules.planning import (
    Planned,
    bizdate_of,
    first_generated_day,
    local_to_utc,
    plan_day,
    plan_immediately,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
NO_LIMIT = (None, None)


def _local(planned, zone):
    return [f"{one.scheduled_at.astimezone(zone):%H:%M}" for one in planned]


def test_a_daily_task_has_one_instance():
    planned = plan_day(parse("45 30 02 * * ?"), date(2025, 11, 1), SHANGHAI, NO_LIMIT)
    assert planned == [Planned(datetime(2025, 10, 31, 18, 30, 45, tzinfo=UTC), 1, dry_run=False)]
    assert bizdate_of(planned[0].scheduled_at, SHANGHAI) == date(2025, 10, 31)


def test_an_hourly_task_counts_its_periods():
    planned = plan_day(parse("00 15 00-23/1 * * ?"), date(2025, 3, 15), SHANGHAI, NO_LIMIT)
    assert [one.period for one in planned] == list(range(1, 25))
    assert _local(planned, SHANGHAI)[:2] == ["00:15", "01:15"]
    assert {bizdate_of(one.scheduled_at, SHANGHAI) for one in planned} == {date(2025, 3, 14)}


OFF_DAYS = [
    ("00 05 01 ? * MON", date(2026, 3, 15), True, ["01:05"]),
    ("00 05 01 ? * MON", date(2026, 3, 16), False, ["01:05"]),
    ("00 20 00 1 * ?", date(2026, 3, 2), True, ["00:20"]),
    ("00 20 00 L * ?", date(2026, 2, 28), False, ["00:20"]),
    ("00 10 00 1 1-12/3 ?", date(2026, 2, 1), True, ["00:10"]),
    ("00 10 00 1 1-12/3 ?", date(2026, 4, 1), False, ["00:10"]),
    ("00 10 00 L 2 ?", date(2026, 2, 28), False, ["00:10"]),
    ("00 10 00 L 2 ?", date(2026, 3, 31), True, ["00:10"]),
    ("00 00 8,20 ? * MON", date(2026, 3, 15), True, ["08:00"]),
    ("00 00 8,20 ? * MON", date(2026, 3, 16), False, ["08:00", "20:00"]),
]


@pytest.mark.parametrize(("text", "day", "dry_run", "times"), OFF_DAYS)
def test_a_day_off_has_one_dry_run(text, day, dry_run, times):
    planned = plan_day(parse(text), day, SHANGHAI, NO_LIMIT)
    assert _local(planned, SHANGHAI) == times
    assert {one.dry_run for one in planned} == {dry_run}


EFFECTIVE = [
    ((datetime(2026, 3, 15, 6), None), ["06:00", "12:00", "18:00"]),
    ((None, datetime(2026, 3, 15, 12)), ["00:00", "06:00", "12:00"]),
    ((datetime(2026, 3, 15, 6, 1), datetime(2026, 3, 15, 17, 59)), ["12:00"]),
    ((datetime(2026, 3, 16), None), []),
    ((None, datetime(2026, 3, 14, 23, 59, 59)), []),
    ((datetime(1970, 1, 1), datetime(9999, 1, 1)), ["00:00", "06:00", "12:00", "18:00"]),
]


@pytest.mark.parametrize(("effective", "times"), EFFECTIVE)
def test_the_effective_period_counts_both_its_ends(effective, times):
    planned = plan_day(parse("00 00 */6 * * ?"), date(2026, 3, 15), SHANGHAI, effective)
    assert _local(planned, SHANGHAI) == times
    assert [one.period for one in planned] == list(range(1, len(times) + 1))


def test_there_is_no_dry_run_outside_the_effective_period():
    assert plan_day(parse("0 0 1 ? * MON"), date(2026, 3, 15), SHANGHAI, (datetime(2026, 3, 16), None)) == []


CLOCK_CHANGES = [  # zone, cron, day, the instances' UTC times
    # 02:00 to 03:00 is skipped
    ("Europe/Berlin", "0 30 2 * * ?", "2026-03-29", ["2026-03-29T01:00:00"]),
    ("Europe/Berlin", "45 30 2 * * ?", "2026-03-29", ["2026-03-29T01:00:00"]),
    ("Europe/Berlin", "0 0 3 * * ?", "2026-03-29", ["2026-03-29T01:00:00"]),
    (
        "Europe/Berlin",
        "0 0 1-4 * * ?",
        "2026-03-29",
        ["2026-03-29T00:00:00", "2026-03-29T01:00:00", "2026-03-29T02:00:00"],
    ),
    (
        "Europe/Berlin",
        "0 30 1-3 * * ?",
        "2026-03-29",
        ["2026-03-29T00:30:00", "2026-03-29T01:00:00", "2026-03-29T01:30:00"],
    ),
    # 02:00 to 03:00 comes twice
    ("Europe/Berlin", "0 30 2 * * ?", "2026-10-25", ["2026-10-25T00:30:00"]),
    (
        "Europe/Berlin",
        "0 0 1-3 * * ?",
        "2026-10-25",
        ["2026-10-24T23:00:00", "2026-10-25T00:00:00", "2026-10-25T02:00:00"],
    ),
    ("America/New_York", "0 15 2 * * ?", "2026-03-08", ["2026-03-08T07:00:00"]),
    ("America/New_York", "0 30 1 * * ?", "2026-11-01", ["2026-11-01T05:30:00"]),
    ("America/New_York", "0 0 2 * * ?", "2026-11-01", ["2026-11-01T07:00:00"]),
    ("Asia/Shanghai", "0 30 2 * * ?", "2026-03-29", ["2026-03-28T18:30:00"]),
    # half an hour: 02:00 to 02:30 is skipped, 01:30 to 02:00 comes twice
    ("Australia/Lord_Howe", "0 10 2 * * ?", "2026-10-04", ["2026-10-03T15:30:00"]),
    (
        "Australia/Lord_Howe",
        "0 */10 2 * * ?",
        "2026-10-04",
        ["2026-10-03T15:30:00", "2026-10-03T15:40:00", "2026-10-03T15:50:00"],
    ),
    ("Australia/Lord_Howe", "0 45 1 * * ?", "2026-04-05", ["2026-04-04T14:45:00"]),
    # the day begins at 01:00
    ("Africa/Cairo", "0 0 0 * * ?", "2026-04-24", ["2026-04-23T22:00:00"]),
    # the day ends at 23:00: what was to run then runs at midnight, once where the next day has a run at midnight too
    ("America/Nuuk", "0 30 23 * * ?", "2026-03-28", ["2026-03-29T01:00:00"]),
    ("America/Nuuk", "0 0 0,23 * * ?", "2026-03-28", ["2026-03-28T02:00:00"]),
    ("America/Nuuk", "0 0 0,23 ? * SAT", "2026-03-28", ["2026-03-28T02:00:00", "2026-03-29T01:00:00"]),
]


@pytest.mark.parametrize(("zone", "text", "day", "expected"), CLOCK_CHANGES)
def test_clock_changes(zone, text, day, expected):
    planned = plan_day(parse(text), date.fromisoformat(day), ZoneInfo(zone), NO_LIMIT)
    assert [f"{one.scheduled_at:%Y-%m-%dT%H:%M:%S}" for one in planned] == expected
    assert [one.period for one in planned] == list(range(1, len(expected) + 1))


FULL_DAYS = [
    ("Europe/Berlin", "2026-03-29", 23, 23 * 60),
    ("Europe/Berlin", "2026-10-25", 24, 24 * 60),  # the doubled hour runs once
    ("Asia/Shanghai", "2026-03-29", 24, 24 * 60),
    ("Australia/Lord_Howe", "2026-10-04", 24, 24 * 60 - 30),
    ("America/New_York", "2026-03-08", 23, 23 * 60),
]


@pytest.mark.parametrize(("zone", "day", "hours", "minutes"), FULL_DAYS)
def test_how_many_instances_a_day_has(zone, day, hours, minutes):
    where = ZoneInfo(zone)
    assert len(plan_day(parse("0 0 * * * ?"), date.fromisoformat(day), where, NO_LIMIT)) == hours
    assert len(plan_day(parse("0 * * * * ?"), date.fromisoformat(day), where, NO_LIMIT)) == minutes


ZONES = st.sampled_from(
    [ZoneInfo(name) for name in ("Europe/Berlin", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe", "UTC")]
)


@given(
    ZONES,
    st.dates(date(2020, 1, 1), date(2037, 12, 31)),
    st.sampled_from(["0 0 * * * ?", "0 */7 1-3 * * ?", "0 30 2 * * ?", "0 30 2 ? * SUN", "0 0 23 L * ?"]),
)
def test_every_day_has_distinct_ordered_instances_of_its_own(zone, day, text):
    planned = plan_day(parse(text), day, zone, NO_LIMIT)
    moments = [one.scheduled_at for one in planned]
    assert moments == sorted(set(moments)) != []
    assert {bizdate_of(moment, zone) for moment in moments} == {day - timedelta(days=1)}
    assert all(moment.utcoffset() == timedelta(0) for moment in moments)


@given(ZONES, st.datetimes(datetime(2020, 1, 1), datetime(2037, 12, 31)))
def test_a_local_time_that_exists_is_kept_and_another_moves_later_by_less_than_two_hours(zone, local):
    local = local.replace(microsecond=0)
    back = local_to_utc(local, zone).astimezone(zone).replace(tzinfo=None)
    assert local <= back < local + timedelta(hours=2)
    if back != local:
        assert back.second == 0
        before = local_to_utc(local, zone) - timedelta(seconds=1)
        assert before.astimezone(zone).replace(tzinfo=None) < local


DEPLOYED = datetime(2026, 3, 15, 4, 0, tzinfo=UTC)


def test_immediately_keeps_what_is_later_than_ten_minutes():
    planned = [
        Planned(DEPLOYED + timedelta(minutes=minutes), period, dry_run=False)
        for period, minutes in enumerate((-60, 0, 10, 11, 60), start=1)
    ]
    new = plan_immediately(planned, DEPLOYED, is_new=True)
    assert [one.scheduled_at for one in new] == [one.scheduled_at for one in planned]
    assert [(one.expired, one.dry_run) for one in new] == [(True, True)] * 3 + [(False, False)] * 2
    assert plan_immediately(planned, DEPLOYED, is_new=False) == planned[3:]


def test_immediately_counts_the_limit_to_the_second():
    edge = Planned(DEPLOYED + timedelta(minutes=10, seconds=1), 1, dry_run=False)
    assert plan_immediately([edge], DEPLOYED, is_new=True) == [edge]


GENERATED = [  # deployed at this local time, first day that knows it
    ("2026-03-15T00:00:00", date(2026, 3, 16)),
    ("2026-03-15T23:29:59", date(2026, 3, 16)),
    ("2026-03-15T23:30:00", date(2026, 3, 17)),
    ("2026-03-15T23:59:59", date(2026, 3, 17)),
]


@pytest.mark.parametrize(("local", "day"), GENERATED)
def test_a_change_after_half_past_eleven_waits_a_day_longer(local, day):
    deployed_at = datetime.fromisoformat(local).replace(tzinfo=SHANGHAI)
    assert first_generated_day(deployed_at.astimezone(UTC), SHANGHAI) == day
