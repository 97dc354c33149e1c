"""Cron expressions: the forms of spec/opscenter.md 3.3, Quartz' meaning, and what is refused."""

from datetime import date, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscenter.production.rules.cron import CronError, Cycle, parse

FORMS = [  # text, canonical text, cycle, how many times a day, the first of them
    ("00 00/10 * * * ?", "00 00/10 * * * ?", Cycle.MINUTE, 144, time(0, 0)),
    ("00 */30 00-23 * * ?", "00 */30 00-23 * * ?", Cycle.MINUTE, 48, time(0, 0)),
    ("00 00-59/10 8-17 * * * ?", "00 00-59/10 08-17 * * ?", Cycle.MINUTE, 60, time(8, 0)),
    ("00 15 00-23/1 * * ?", "00 15 00-23/1 * * ?", Cycle.HOUR, 24, time(0, 15)),
    ("00 15 * * * ?", "00 15 * * * ?", Cycle.HOUR, 24, time(0, 15)),
    ("00 00 */6 * * ?", "00 00 */6 * * ?", Cycle.HOUR, 4, time(0, 0)),
    ("00 00 00-23/1 * * ?", "00 00 00-23/1 * * ?", Cycle.HOUR, 24, time(0, 0)),
    ("0 0 8,12,20 * * ?", "00 00 08,12,20 * * ?", Cycle.HOUR, 3, time(8, 0)),
    ("00 30 05 * * ?", "00 30 05 * * ?", Cycle.DAY, 1, time(5, 30)),
    ("45 30 02 * * ?", "45 30 02 * * ?", Cycle.DAY, 1, time(2, 30, 45)),
    ("00 05 00 * * 2,5", "00 05 00 ? * MON,THU", Cycle.WEEK, 1, time(0, 5)),
    ("00 00 01 ? * MON", "00 00 01 ? * MON", Cycle.WEEK, 1, time(1, 0)),
    ("0 0 1 ? * mon-fri", "00 00 01 ? * MON-FRI", Cycle.WEEK, 1, time(1, 0)),
    ("00 20 00 1 * ?", "00 20 00 1 * ?", Cycle.MONTH, 1, time(0, 20)),
    ("00 00 02 L * ?", "00 00 02 L * ?", Cycle.MONTH, 1, time(2, 0)),
    ("00 00 02 1,15,l * ?", "00 00 02 1,15,L * ?", Cycle.MONTH, 1, time(2, 0)),
    ("00 10 00 1 1-12/3 ?", "00 10 00 1 1-12/3 ?", Cycle.YEAR, 1, time(0, 10)),
    ("00 00 02 1 1,4,7,10 ?", "00 00 02 1 1,4,7,10 ?", Cycle.YEAR, 1, time(2, 0)),
    ("00 00 02 1 jan,apr ?", "00 00 02 1 1,4 ?", Cycle.YEAR, 1, time(2, 0)),
    ("0 0 2 * * ? *", "00 00 02 * * ?", Cycle.DAY, 1, time(2, 0)),
    ("30 2 * * *", "00 30 02 * * ?", Cycle.DAY, 1, time(2, 30)),
    ("30 2 ? * 1", "00 30 02 ? * SUN", Cycle.WEEK, 1, time(2, 30)),
    ("0 0 2 * * ? 2026-2027", "00 00 02 * * ? 2026-2027", Cycle.YEAR, 1, time(2, 0)),
    ("  0  0   2 1-31 *  1-7 ", "00 00 02 1-31 * ?", Cycle.DAY, 1, time(2, 0)),
    ("0 0 2 ? * ?", "00 00 02 * * ?", Cycle.DAY, 1, time(2, 0)),
]


@pytest.mark.parametrize(("text", "canonical", "cycle", "times", "first"), FORMS)
def test_forms(text, canonical, cycle, times, first):
    cron = parse(text)
    assert (cron.text, cron.cycle) == (canonical, cycle)
    assert len(cron.times_of_day()) == times
    assert cron.times_of_day()[0] == first
    assert parse(canonical) == cron


TIMES = [
    ("0 5/20 3 * * ?", ["03:05", "03:25", "03:45"]),
    ("0 50/5 23 * * ?", ["23:50", "23:55"]),
    ("0 10-30/10 4,6 * * ?", ["04:10", "04:20", "04:30", "06:10", "06:20", "06:30"]),
    ("0 0 5/8 * * ?", ["05:00", "13:00", "21:00"]),
    ("0 0 1-4,3-6 * * ?", ["01:00", "02:00", "03:00", "04:00", "05:00", "06:00"]),
]


@pytest.mark.parametrize(("text", "expected"), TIMES)
def test_times_of_day(text, expected):
    assert [f"{at:%H:%M}" for at in parse(text).times_of_day()] == expected


DAYS = [  # text, days on which it runs, days on which it does not
    ("0 0 2 L * ?", ["2026-02-28", "2028-02-29", "2026-04-30"], ["2026-02-27", "2028-02-28", "2026-04-29"]),
    ("0 0 2 31 * ?", ["2026-01-31"], ["2026-01-30", "2026-04-30"]),
    ("0 0 2 ? * 1", ["2026-03-15"], ["2026-03-16", "2026-03-14"]),  # a Sunday
    ("0 0 2 ? * 7", ["2026-03-14"], ["2026-03-15"]),
    ("0 0 2 ? * 2-6", ["2026-03-16", "2026-03-20"], ["2026-03-21", "2026-03-22"]),
    ("0 0 2 ? * 2/2", ["2026-03-16", "2026-03-18", "2026-03-20"], ["2026-03-17", "2026-03-15"]),
    ("0 0 2 1 1-12/3 ?", ["2026-01-01", "2026-10-01"], ["2026-02-01", "2026-01-02"]),
    ("0 0 2 * * ? 2026,2028", ["2026-12-31", "2028-01-01"], ["2027-06-01"]),
    ("0 0 2 */10 * ?", ["2026-03-01", "2026-03-11", "2026-03-31"], ["2026-03-10"]),
]


@pytest.mark.parametrize(("text", "on", "off"), DAYS)
def test_days(text, on, off):
    cron = parse(text)
    assert [day for day in on if not cron.runs_on(date.fromisoformat(day))] == []
    assert [day for day in off if cron.runs_on(date.fromisoformat(day))] == []


ERRORS = [  # text, code, part, value
    ("", "cron.fields", None, ""),
    ("0 0 2 *", "cron.fields", None, "0 0 2 *"),
    ("0 0 2 * * ? * *", "cron.fields", None, "0 0 2 * * ? * *"),
    ("0 60 2 * * ?", "cron.out_of_range", "minute", "60"),
    ("0 0 24 * * ?", "cron.out_of_range", "hour", "24"),
    ("61 0 2 * * ?", "cron.out_of_range", "second", "61"),
    ("0 0 2 0 * ?", "cron.out_of_range", "day_of_month", "0"),
    ("0 0 2 32 * ?", "cron.out_of_range", "day_of_month", "32"),
    ("0 0 2 1 13 ?", "cron.out_of_range", "month", "13"),
    ("0 0 2 ? * 0", "cron.out_of_range", "day_of_week", "0"),
    ("0 0 2 ? * 8", "cron.out_of_range", "day_of_week", "8"),
    ("0 0 2 * * ? 1969", "cron.out_of_range", "year", "1969"),
    ("0 0 22-6 * * ?", "cron.range_wraps", "hour", "22-6"),
    ("0 0 2 ? * FRI-MON", "cron.range_wraps", "day_of_week", "FRI-MON"),
    ("0 0 2 LW * ?", "cron.unsupported", "day_of_month", "LW"),
    ("0 0 2 L-3 * ?", "cron.unsupported", "day_of_month", "L-3"),
    ("0 0 2 15W * ?", "cron.unsupported", "day_of_month", "15W"),
    ("0 0 2 ? * 6#3", "cron.unsupported", "day_of_week", "6#3"),
    ("0 0 2 ? * MON#1", "cron.unsupported", "day_of_week", "MON#1"),
    ("0 0 2 ? * 6L", "cron.unsupported", "day_of_week", "6L"),
    ("0 0 2 ? * L", "cron.unsupported", "day_of_week", "L"),
    ("0 0 ? * * ?", "cron.syntax", "hour", "?"),
    ("0 x 2 * * ?", "cron.syntax", "minute", "X"),
    ("0 1,,2 2 * * ?", "cron.syntax", "minute", ""),
    ("0 001 2 * * ?", "cron.syntax", "minute", "001"),
    ("0 -5 2 * * ?", "cron.syntax", "minute", "-5"),
    ("0 *-5 2 * * ?", "cron.syntax", "minute", "*-5"),
    ("0 ٣ 2 * * ?", "cron.syntax", "minute", "٣"),
    ("0 0 2 ? * JAN", "cron.syntax", "day_of_week", "JAN"),
    ("0 0/0 * * * ?", "cron.step", "minute", "0/0"),
    ("0 0/60 * * * ?", "cron.step", "minute", "0/60"),
    ("* * * * * ?", "cron.too_often", "second", "*"),
    ("0,30 * * * * ?", "cron.too_often", "second", "0,30"),
    ("0 0 2 15 * MON", "cron.both_days", None, "15 MON"),
    ("0 0 2 30 2 ?", "cron.never", None, "0 0 2 30 2 ?"),
    ("0 0 2 29 2 ? 2027", "cron.never", None, "0 0 2 29 2 ? 2027"),
]


@pytest.mark.parametrize(("text", "code", "part", "value"), ERRORS)
def test_errors_name_the_field_and_the_value(text, code, part, value):
    with pytest.raises(CronError) as caught:
        parse(text)
    assert (caught.value.code, caught.value.params.get("part"), caught.value.params["value"]) == (code, part, value)


def test_leap_days_are_days():
    assert parse("0 0 2 29 2 ?").runs_on(date(2028, 2, 29))


def _field(lowest, highest):
    number = st.integers(lowest, highest)
    part = st.one_of(
        number.map(str),
        st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}"),
        st.tuples(number, st.integers(1, highest)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
        st.just("*"),
    )
    return st.lists(part, min_size=1, max_size=3).map(",".join)


EXPRESSIONS = st.one_of(
    st.tuples(_field(0, 59), _field(0, 23), _field(1, 28), _field(1, 12)).map(lambda f: "0 {} {} {} {} ?".format(*f)),
    st.tuples(_field(0, 59), _field(0, 23), _field(1, 7)).map(lambda f: "0 {} {} ? * {}".format(*f)),
)


@given(EXPRESSIONS, st.dates(date(2020, 1, 1), date(2035, 12, 31)))
def test_the_canonical_text_means_the_same(text, day):
    cron = parse(text)
    again = parse(cron.text)
    assert again == cron
    assert len(cron.text.split()) == 6
    assert cron.times_of_day() == sorted(set(cron.times_of_day())) != []
    assert again.runs_on(day) == cron.runs_on(day)


@given(st.text(max_size=40))
def test_any_text_is_a_schedule_or_an_error_with_a_code(text):
    try:
        parse(text)
    except CronError as error:
        assert error.code.startswith("cron.")


@given(EXPRESSIONS)
def test_every_accepted_schedule_runs_some_day(text):
    cron = parse(text)
    assert any(cron.runs_on(date(2024, 1, 1) + timedelta(days=n)) for n in range(4 * 366))
