"""Schedules in words: “Every day at 00:30”."""

from datetime import time
from itertools import pairwise

from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from opscenter.production.rules import cron
from opscenter.production.rules.cron import Cron, CronError

_LISTED = 4
"""Times of day and days that are named one by one; more are counted."""


def in_words(text: str) -> str:
    """The schedule in words; as it is written where it cannot be read."""
    try:
        found = cron.parse(text)
    except CronError:
        return text
    return _("%(days)s, %(times)s") % {"days": _days(found), "times": _times(found.times_of_day())}


def _times(times: list[time]) -> str:
    if len(times) <= _LISTED:
        return _("at %(times)s") % {"times": ", ".join(_clock(at) for at in times)}
    minutes = [at.hour * 60 + at.minute for at in times]
    steps = {later - earlier for earlier, later in pairwise(minutes)}
    span = {"first": _clock(times[0]), "last": _clock(times[-1]), "count": len(times)}
    if len(steps) != 1:
        return _("%(count)s times from %(first)s to %(last)s") % span
    return _("every %(step)s from %(first)s to %(last)s") % {**span, "step": _step(steps.pop())}


def _step(minutes: int) -> str:
    if minutes % 60:
        return ngettext("%(n)s minute", "%(n)s minutes", minutes) % {"n": minutes}
    return ngettext("%(n)s hour", "%(n)s hours", minutes // 60) % {"n": minutes // 60}


def _clock(at: time) -> str:
    return f"{at:%H:%M:%S}" if at.second else f"{at:%H:%M}"


def _days(found: Cron) -> str:
    parts = []
    if len(found.weekdays) < 7:
        names = _weekday_names()
        parts.append(_("every %(days)s") % {"days": ", ".join(names[day - 1] for day in sorted(found.weekdays))})
    elif not set(range(1, 32)) <= found.days:
        numbered = sorted(day for day in found.days if day)
        days = [str(day) for day in numbered] + [_("the last")] * (0 in found.days)
        parts.append(_("on day %(days)s of the month") % {"days": ", ".join(days)})
    else:
        parts.append(_("every day"))
    if len(found.months) < 12:
        names = _month_names()
        parts.append(_("in %(months)s") % {"months": ", ".join(names[month - 1] for month in sorted(found.months))})
    if len(found.years) <= _LISTED:
        parts.append(", ".join(str(year) for year in sorted(found.years)))
    told = " ".join(parts)
    return told[0].upper() + told[1:]


def _weekday_names() -> list[str]:
    return [
        pgettext("weekday", "Sun"),
        pgettext("weekday", "Mon"),
        pgettext("weekday", "Tue"),
        pgettext("weekday", "Wed"),
        pgettext("weekday", "Thu"),
        pgettext("weekday", "Fri"),
        pgettext("weekday", "Sat"),
    ]


def _month_names() -> list[str]:
    return [
        pgettext("month", "Jan"),
        pgettext("month", "Feb"),
        pgettext("month", "Mar"),
        pgettext("month", "Apr"),
        pgettext("month", "May"),
        pgettext("month", "Jun"),
        pgettext("month", "Jul"),
        pgettext("month", "Aug"),
        pgettext("month", "Sep"),
        pgettext("month", "Oct"),
        pgettext("month", "Nov"),
        pgettext("month", "Dec"),
    ]
