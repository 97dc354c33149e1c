"""Cron expressions with Quartz meaning: 5, 6 or 7 fields are read, 6 are written (spec/opscenter.md 3.3).

Codes of errors, each with ``part`` (the field) and ``value`` (the text that is wrong) unless said otherwise:
``cron.fields`` (count), ``cron.syntax``, ``cron.unsupported``, ``cron.out_of_range`` (lowest, highest),
``cron.range_wraps``, ``cron.step`` (highest), ``cron.both_days`` (no part), ``cron.too_often``, ``cron.never`` (no
part).
"""

import calendar
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any

from opscenter.base.reasons import Invalid


class Cycle(StrEnum):
    """How often a task runs. MINUTE and HOUR: several times a day; the others: once on the days they run."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"

    @property
    def is_daylike(self) -> bool:
        """At most one run a day (DataWorks' CycleType DAY)."""
        return self not in (Cycle.MINUTE, Cycle.HOUR)


class CronError(Invalid):
    """A text that is no cron expression, or one that this product does not run."""

    @property
    def code(self) -> str:
        """What is wrong, as a code."""
        return self.reason.code

    @property
    def params(self) -> Mapping[str, Any]:
        """Which part and which text of it."""
        return self.reason.params


@dataclass(frozen=True)
class _Field:
    """A field of the expression: its name in errors, its values, their names, the digits it is written with."""

    name: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()
    digits: int = 1
    any_mark: bool = False  # takes ``?``

    @cached_property
    def everything(self) -> frozenset[int]:
        return frozenset(range(self.lowest, self.highest + 1))


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_SECOND = _Field("second", 0, 59, digits=2)
_MINUTE = _Field("minute", 0, 59, digits=2)
_HOUR = _Field("hour", 0, 23, digits=2)
_DAY = _Field("day_of_month", 1, 31, any_mark=True)
_MONTH = _Field("month", 1, 12, _MONTHS)
_WEEKDAY = _Field("day_of_week", 1, 7, _WEEKDAYS, any_mark=True)
_YEAR = _Field("year", 1970, 2199, digits=4, any_mark=True)
_LAST = 0
"""Stands for ``L`` among the days of a month."""

_PART = re.compile(r"(?P<first>[A-Z]{3}|[0-9]{1,4}|\*)(?:-(?P<last>[A-Z]{3}|[0-9]{1,4}))?(?:/(?P<step>[0-9]{1,4}))?")
_QUARTZ_ONLY = re.compile(r"L|LW|L-[0-9]+|[0-9]+L|[A-Z]{3}L|[0-9]+W|[0-9A-Z]+#[0-9]+|C|[0-9]+C")


@dataclass(frozen=True)
class Cron:
    """A schedule: which days, and at which times of those days. Local time; zones are the planner's matter.

    Attributes:
        text: the canonical form: six fields, times with two digits, weekdays by name, one of the two day fields ``?``.
            A seventh is written only where years are limited, since the schedule would change without it.
        days: days of the month; 0 stands for the last one.
        weekdays: 1 is Sunday.
    """

    text: str
    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    years: frozenset[int]

    @cached_property
    def cycle(self) -> Cycle:
        """How often it runs; several times a day counts more than on which days."""
        if len(self.minutes) > 1:
            return Cycle.MINUTE
        if len(self.hours) > 1:
            return Cycle.HOUR
        if self.months != _MONTH.everything or self.years != _YEAR.everything:
            return Cycle.YEAR
        if not _DAY.everything <= self.days:
            return Cycle.MONTH
        if self.weekdays != _WEEKDAY.everything:
            return Cycle.WEEK
        return Cycle.DAY

    def runs_on(self, day: date) -> bool:
        """Whether it runs on a local day; on others its instances are dry runs."""
        is_last = day.day == calendar.monthrange(day.year, day.month)[1]
        return (
            day.year in self.years
            and day.month in self.months
            and day.isoweekday() % 7 + 1 in self.weekdays
            and (day.day in self.days or (is_last and _LAST in self.days))
        )

    def times_of_day(self) -> list[time]:
        """Its local times of a day, in order; the same on every day."""
        return [time(*parts) for parts in itertools.product(self.hours, self.minutes, self.seconds)]


@lru_cache(maxsize=4096)
def parse(text: str) -> Cron:
    """Read 5 (no seconds), 6 or 7 (years) fields.

    Raises:
        CronError: naming the field and the value that are wrong.
    """
    parts = text.upper().split()
    if not 5 <= len(parts) <= 7:
        raise CronError("cron.fields", count=len(parts), value=text[:200])
    if len(parts) == 5:
        parts.insert(0, "0")
    second, minute, hour, day, month, weekday, *year = parts
    years, year_text = _read(_YEAR, *year) if year else (_YEAR.everything, "*")
    (seconds, second_text), (minutes, minute_text), (hours, hour_text) = (
        _read(_SECOND, second),
        _read(_MINUTE, minute),
        _read(_HOUR, hour),
    )
    if len(seconds) > 1:
        raise CronError("cron.too_often", part=_SECOND.name, value=second)
    (days, day_text), (months, month_text), (weekdays, weekday_text) = (
        _read(_DAY, day),
        _read(_MONTH, month),
        _read(_WEEKDAY, weekday),
    )
    if _DAY.everything <= days:
        if weekdays != _WEEKDAY.everything:
            day_text = "?"
    elif weekdays != _WEEKDAY.everything:
        raise CronError("cron.both_days", value=f"{day} {weekday}")
    if day_text != "?":
        weekday_text = "?"
    if not _ever_runs(days, months, years):
        raise CronError("cron.never", value=text[:200])
    fields = [second_text, minute_text, hour_text, day_text, month_text, weekday_text]
    if years != _YEAR.everything:
        fields.append(year_text)
    return Cron(
        " ".join(fields),
        tuple(sorted(seconds)),
        tuple(sorted(minutes)),
        tuple(sorted(hours)),
        days,
        months,
        weekdays,
        years,
    )


def _read(field: _Field, text: str) -> tuple[frozenset[int], str]:
    """The values of a field, and its canonical text."""
    if text == "?" and field.any_mark:
        return field.everything, "*"
    found: set[int] = set()
    written = []
    for part in text.split(","):
        values, canonical = _read_part(field, part)
        found |= values
        written.append(canonical)
    return frozenset(found), ",".join(written)


def _read_part(field: _Field, part: str) -> tuple[set[int], str]:
    """One member of a list: ``*``, ``a``, ``a-b``, any of them with ``/step``; ``L`` for the last day of the month."""
    if part == "L" and field is _DAY:
        return {_LAST}, "L"
    match = _PART.fullmatch(part)
    if match is None:
        kind = "cron.unsupported" if _QUARTZ_ONLY.fullmatch(part) else "cron.syntax"
        raise CronError(kind, part=field.name, value=part)
    first_text, last_text, step_text = match.group("first", "last", "step")
    if first_text == "*":
        if last_text is not None:
            raise CronError("cron.syntax", part=field.name, value=part)
        first, last, canonical = field.lowest, field.highest, "*"
    else:
        first = last = _value(field, first_text, part)
        canonical = _write(field, first)
        if last_text is not None:
            last = _value(field, last_text, part)
            canonical += "-" + _write(field, last)
        elif step_text is not None:
            last = field.highest
    if last < first:
        raise CronError("cron.range_wraps", part=field.name, value=part)
    step = 1
    if step_text is not None:
        step = int(step_text)
        if not 1 <= step <= field.highest:
            raise CronError("cron.step", part=field.name, value=part, highest=field.highest)
        canonical += f"/{step}"
    return set(range(first, last + 1, step)), canonical


def _value(field: _Field, text: str, part: str) -> int:
    if text in field.names:
        return field.names.index(text) + field.lowest
    if not text.isdigit() or len(text) > max(2, field.digits):
        raise CronError("cron.syntax", part=field.name, value=part)
    value = int(text)
    if not field.lowest <= value <= field.highest:
        raise CronError("cron.out_of_range", part=field.name, value=part, lowest=field.lowest, highest=field.highest)
    return value


def _write(field: _Field, value: int) -> str:
    if field is _WEEKDAY:
        return _WEEKDAYS[value - 1]
    return f"{value:0{field.digits}}"


def _ever_runs(days: frozenset[int], months: frozenset[int], years: frozenset[int]) -> bool:
    """Whether any of the years has one of the months with one of the days (February 30 never comes)."""
    if _LAST in days:
        return True
    leap = any(calendar.isleap(year) for year in years)
    longest = max(calendar.monthrange(2024 if leap else 2023, month)[1] for month in months)
    return min(days) <= longest
