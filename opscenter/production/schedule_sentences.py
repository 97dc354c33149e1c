"""What the complaints about crons (rules.cron) and scheduling parameters (rules.parameters) say."""

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy, pgettext_lazy

from opscenter.base.reasons import sentence

SHOWN = 60
"""Characters of a text that is wrong; its beginning is enough to find it."""

_FIELDS: dict[str, Promise] = {
    "second": pgettext_lazy("cron field", "second"),
    "minute": pgettext_lazy("cron field", "minute"),
    "hour": pgettext_lazy("cron field", "hour"),
    "day_of_month": pgettext_lazy("cron field", "day of the month"),
    "month": pgettext_lazy("cron field", "month"),
    "day_of_week": pgettext_lazy("cron field", "day of the week"),
    "year": pgettext_lazy("cron field", "year"),
}


def _shown(name: str, value: Any) -> str:
    if name == "part":
        return str(_FIELDS[value])
    if name == "known":
        return ", ".join(f"${one}" for one in value)
    return Truncator(value).chars(SHOWN)


def _say(code: str, text: Promise) -> None:
    def told(params: Mapping[str, Any]) -> str:
        return str(text) % {name: _shown(name, value) for name, value in params.items()}

    sentence(code)(told)


for _code, _text in {
    "cron.fields": gettext_lazy(
        "A cron has 5, 6 or 7 fields; “%(value)s” has %(count)s. Write six, such as 00 30 02 * * ? for 02:30 every day: "
        "second, minute, hour, day of the month, month, day of the week."
    ),
    "cron.syntax": gettext_lazy(
        "“%(value)s” cannot be read in the field “%(part)s”. Write *, a number, a range such as 1-5, a step such as "
        "0/10, or several of these with commas between them."
    ),
    "cron.unsupported": gettext_lazy(
        "“%(value)s” in the field “%(part)s” is not run here. Write numbers, ranges or lists of them; L alone, as day of "
        "the month, is its last day."
    ),
    "cron.out_of_range": gettext_lazy(
        "“%(value)s” is out of range in the field “%(part)s”. Write numbers from %(lowest)s to %(highest)s."
    ),
    "cron.range_wraps": gettext_lazy(
        "The range “%(value)s” in the field “%(part)s” ends before it begins. Write two ranges with a comma between them."
    ),
    "cron.step": gettext_lazy(
        "The step in “%(value)s” in the field “%(part)s” is out of range. Write a step from 1 to %(highest)s."
    ),
    "cron.both_days": gettext_lazy(
        "“%(value)s” limits both the day of the month and the day of the week. Limit one of them, and write ? for the "
        "other."
    ),
    "cron.too_often": gettext_lazy(
        "“%(value)s” in the field “%(part)s” would run it several times a minute. Write one number from 0 to 59."
    ),
    "cron.never": gettext_lazy(
        "“%(value)s” never runs: none of its months has such a day. Write another day or month."
    ),
    "parameters.name": gettext_lazy(
        "“%(text)s” (at character %(position)s) does not begin with the name of a parameter. Write name=value; a name is "
        "made of letters, digits and _, or is a number such as 1."
    ),
    "parameters.no_value": gettext_lazy(
        "“%(text)s” (at character %(position)s) has no value. Write name=value, or name='' for an empty value."
    ),
    "parameters.duplicate": gettext_lazy(
        "The parameter “%(name)s” is assigned twice, the second time at character %(position)s. Write it once."
    ),
    "parameters.quote": gettext_lazy(
        "The quotation mark at character %(position)s is not closed, or no space follows the closing one: %(text)s — "
        "write name='value' and then a space."
    ),
    "parameters.equals_sign": gettext_lazy(
        "The value “%(value)s” of the parameter “%(name)s” has an equals sign (at character %(position)s). Write the value "
        "in quotation marks, or a space before the next name."
    ),
    "parameters.unknown_name": gettext_lazy(
        "“%(expression)s” is not known. Write one of %(known)s, or a date such as ${yyyymmdd} or $[yyyymmdd]."
    ),
    "parameters.unclosed": gettext_lazy(
        "“%(expression)s” opens a bracket behind a dollar sign and does not close it. Write ${...} or $[...]."
    ),
    "parameters.format": gettext_lazy(
        "“%(expression)s” is no date. Write for example ${yyyymmdd-1}, counted from the business date, or "
        "$[yyyymmddhh24miss-1/24], counted from the scheduled time."
    ),
    "parameters.out_of_range": gettext_lazy(
        "“%(expression)s” leads out of the years 1 to 9999. Write a smaller offset."
    ),
    "parameters.overrides": gettext_lazy(
        "The parameters of this run cannot be read (at “%(path)s”). They are texts by name, for the workflow or for the "
        "number of a task."
    ),
}.items():
    _say(_code, _text)
