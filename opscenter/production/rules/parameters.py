"""Scheduling parameters: values fixed by an instance's business date and scheduled time (spec/opscenter.md 4).

Codes of errors: in an assignment text, with ``position`` (from 1): ``parameters.name`` (text), ``parameters.no_value``
(text), ``parameters.duplicate`` (name), ``parameters.quote`` (text), ``parameters.equals_sign`` (name, value). In an
expression, with ``expression`` and its ``position`` (from 1) in the text evaluated: ``parameters.unknown_name``,
``parameters.unclosed``, ``parameters.format``, ``parameters.out_of_range``.
"""

import calendar
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from opscenter.base.reasons import Invalid


class ParameterError(Invalid):
    """An assignment or expression that has no value; ``reason`` names the code and the place."""


@dataclass(frozen=True)
class Context:
    """What the values of an instance's parameters come from.

    Attributes:
        bizdate: the business date; base of ``${...}``.
        scheduled_local: the scheduled time, naive, in the tenant's zone; base of ``$[...]``.
        current_date: the local date it is now; of a backfill instance the business date plus one.
    """

    bizdate: date
    scheduled_local: datetime
    current_date: date
    node_id: int
    workflow_id: int
    instance_id: int


LONGEST_NAME = 128
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[1-9][0-9]*")
_WORD = re.compile(r"\S+")
_BARE = re.compile(r"[^\s=\"']+")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_TOKENS: dict[str, Callable[[datetime], str]] = {
    "yyyy": lambda at: f"{at.year:04}",
    "yy": lambda at: f"{at.year % 100:02}",
    "mm": lambda at: f"{at.month:02}",
    "dd": lambda at: f"{at.day:02}",
    "hh24": lambda at: f"{at.hour:02}",
    "hh12": lambda at: f"{(at.hour + 11) % 12 + 1:02}",
    "hh": lambda at: f"{(at.hour + 11) % 12 + 1:02}",
    "mi": lambda at: f"{at.minute:02}",
    "ss": lambda at: f"{at.second:02}",
}
_TIME_TOKEN = re.compile("hh24|hh12|hh|mi|ss|yyyy|yy|mm|dd")
_DATE_TOKENS = "yyyy|yy|mm|dd"
_COUNT = r"[0-9]+(?:\*[0-9]+)*"


def _format_of(tokens: str) -> str:
    # atomic: yyyy read as yy twice would make a long wrong format take for ever
    return rf"(?>{tokens})(?:[-/:_. ]?(?>{tokens}))*"


_BY_BIZDATE = re.compile(rf"(?P<format>{_format_of(_DATE_TOKENS)})(?P<offset>[+-]{_COUNT})?")
_FORMAT = _format_of(_TIME_TOKEN.pattern)
_BY_TIME = re.compile(
    rf"(?:(?P<format>{_FORMAT})|add_months\( *(?P<of>{_FORMAT}) *, *(?P<months>[+-]?{_COUNT}) *\))"
    rf"(?P<offsets>(?:[+-]{_COUNT}(?:/24(?:/60)?)?)*)"
)
_OFFSET = re.compile(rf"(?P<sign>[+-])(?P<count>{_COUNT})(?P<unit>/24(?:/60)?)?")
_UNITS = {None: timedelta(days=1), "/24": timedelta(hours=1), "/24/60": timedelta(minutes=1)}
_EXPRESSION = re.compile(
    r"\$\{(?P<bizdate>[^{}]*)\}|\$\[(?P<time>[^\[\]]*)\]|\$(?P<name>[A-Za-z_][A-Za-z0-9_]*)|\$[{\[]"
)
# an escaped character and the shell's $$ are passed over, so that what follows them is not taken for an expression
_IN_CODE = re.compile(
    r"\\.|\$\$|\$\{(?P<bizdate>[^{}\n]*)\}|\$\[(?P<time>[^\[\]\n]*)\]|\$(?P<name>bizdate|cyctime)(?![A-Za-z0-9_])"
)


@dataclass(frozen=True)
class Assignment:
    """``name=expression`` in a text; ``start`` and ``end`` are where the expression begins, and the whole ends."""

    name: str
    expression: str
    start: int
    end: int


def read_assignments(text: str) -> list[Assignment]:
    """Read ``name=expression name2='expression'``; a quoted value may hold spaces and equals signs.

    Raises:
        ParameterError: with the position of what cannot be read.
    """
    found: dict[str, Assignment] = {}
    position = 0
    while word := _WORD.search(text, position):
        one = _assignment(text, word)
        if one.name in found:
            raise ParameterError("parameters.duplicate", position=word.start() + 1, name=one.name)
        found[one.name], position = one, one.end
    return list(found.values())


def parse_assignments(text: str) -> dict[str, str]:
    """The expressions of an assignment text by name, in its order.

    Raises:
        ParameterError: as ``read_assignments``.
    """
    return {one.name: one.expression for one in read_assignments(text)}


def written(name: str, expression: str) -> str | None:
    """The assignment as ``read_assignments`` reads it back; None where no quotation marks are left to put around the expression."""
    if _BARE.fullmatch(expression):
        return f"{name}={expression}"
    quote = '"' if '"' not in expression else "'"
    return None if quote in expression else f"{name}={quote}{expression}{quote}"


def is_assignable(text: str) -> bool:
    """Whether an assignment can give it a value: a name, or a position."""
    return len(text) <= LONGEST_NAME and _NAME.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """Whether a parameter can be called so by name; positions (1, 2, ...) are no names."""
    return is_assignable(text) and not text.isdigit()


def is_date(text: str) -> bool:
    """Whether ``${text}`` is a date: no parameter that many scripts share can be called so."""
    return _BY_BIZDATE.fullmatch(text) is not None


def _assignment(text: str, found: re.Match[str]) -> Assignment:
    """The assignment that begins with the word found."""
    start, word = found.start(), found[0]
    name, equals, _ = word.partition("=")
    if not _NAME.fullmatch(name):
        raise ParameterError("parameters.name", position=start + 1, text=word)
    if not equals:
        raise ParameterError("parameters.no_value", position=start + 1, text=word)
    begin = start + len(name) + 1
    if text[begin : begin + 1] in ("'", '"'):
        quoted = _QUOTED.match(text, begin)
        if quoted is None or not (quoted.end() == len(text) or text[quoted.end()].isspace()):
            raise ParameterError("parameters.quote", position=begin + 1, text=text[begin:])
        value = quoted.group(1) if quoted.group(1) is not None else quoted.group(2)
        return Assignment(name, value, begin + 1, quoted.end())
    value = word[len(name) + 1 :]
    if not value:
        raise ParameterError("parameters.no_value", position=start + 1, text=word)
    if "=" in value:
        raise ParameterError("parameters.equals_sign", position=begin + value.index("=") + 1, name=name, value=value)
    return Assignment(name, value, begin, found.end())


def resolve(assignments: Mapping[str, str], context: Context) -> dict[str, str]:
    """The value of every assignment.

    Raises:
        ParameterError: naming the expression that has none.
    """
    return {name: evaluate(expression, context) for name, expression in assignments.items()}


def evaluate(expression: str, context: Context) -> str:
    """The value of an expression: literal text, ``${...}``, ``$[...]`` and built-ins (``$bizdate``), side by side.

    Raises:
        ParameterError: what follows a ``$`` is none of these, or leads out of the calendar.
    """

    def replace(match: re.Match[str]) -> str:
        try:
            return _value(match, context)
        except ParameterError as error:
            told = {**error.reason.params, "position": match.start() + 1}
            raise ParameterError(error.reason.code, **told) from error.__cause__

    return _EXPRESSION.sub(replace, expression)


def _value(match: re.Match[str], context: Context) -> str:
    """The value of one ``${...}``, ``$[...]`` or ``$name``."""
    if match["bizdate"] is not None:
        value = _by_bizdate(match["bizdate"], context)
    elif match["time"] is not None:
        value = _by_time(match["time"], context)
    elif match["name"] is not None:
        if match["name"] not in _BUILT_INS:
            raise ParameterError("parameters.unknown_name", expression=match[0], known=sorted(_BUILT_INS))
        value = _BUILT_INS[match["name"]](context)
    else:
        raise ParameterError("parameters.unclosed", expression=match.string[match.start() :])
    if value is None:
        raise ParameterError("parameters.format", expression=match[0])
    return value


def substitute(code: str, values: Mapping[str, str], context: Context | None = None) -> str:
    """Put parameters into a script.

    ``${name}`` of an assigned name is replaced. With a context so are date expressions that stand in the code itself:
    ``${yyyymmdd-1}``, ``$[yyyymmddhh24miss]``, ``$bizdate``, ``$cyctime``. Everything else that begins with ``$`` is
    the script's own and stays; ``\\$`` keeps a dollar sign from being read here. Values are not read again.

    Raises:
        ParameterError: a date expression leads out of the calendar.
    """

    def replace(match: re.Match[str]) -> str:
        value: str | None = None
        if match["bizdate"] is not None and match["bizdate"] in values:
            value = values[match["bizdate"]]
        elif context is None:
            pass
        elif match["bizdate"] is not None:
            value = _by_bizdate(match["bizdate"], context)
        elif match["time"] is not None:
            value = _by_time(match["time"], context)
        elif match["name"] is not None:
            value = _BUILT_INS[match["name"]](context)
        return match[0] if value is None else value

    return _IN_CODE.sub(replace, code)


def positional(values: Mapping[str, str]) -> list[str]:
    """The values of the names 1, 2, ... up to the first that is not there: the script's arguments."""
    found: list[str] = []
    while (value := values.get(str(len(found) + 1))) is not None:
        found.append(value)
    return found


def _by_bizdate(inner: str, context: Context) -> str | None:
    """``${inner}``: the business date, offset in the smallest unit that the format shows; None for another text."""
    match = _BY_BIZDATE.fullmatch(inner)
    if match is None:
        return None
    at = datetime.combine(context.bizdate, time())
    if offset := match["offset"]:
        tokens = _TIME_TOKEN.findall(match["format"])
        try:
            count = _product(offset)
            if "dd" in tokens:
                at += timedelta(days=count)
            else:
                at = _add_months(at, count if "mm" in tokens else 12 * count)
        except (OverflowError, ValueError) as error:
            raise ParameterError("parameters.out_of_range", expression=f"${{{inner}}}") from error
    return _formatted(match["format"], at)


def _by_time(inner: str, context: Context) -> str | None:
    """``$[inner]``: the scheduled time with its offsets in months, days, hours, minutes; None for another text."""
    match = _BY_TIME.fullmatch(inner)
    if match is None:
        return None
    at = context.scheduled_local
    try:
        if match["months"]:
            at = _add_months(at, _product(match["months"]))
        for offset in _OFFSET.finditer(match["offsets"]):
            at += _product(offset["sign"] + offset["count"]) * _UNITS[offset["unit"]]
    except (OverflowError, ValueError) as error:
        raise ParameterError("parameters.out_of_range", expression=f"$[{inner}]") from error
    return _formatted(match["format"] or match["of"], at)


def _product(text: str) -> int:
    """``-7*2`` is -14. Raises ValueError for a number of thousands of digits."""
    result = -1 if text[0] == "-" else 1
    for factor in text.lstrip("+-").split("*"):
        result *= int(factor)
    return result


def _add_months(at: datetime, count: int) -> datetime:
    """The same day of another month, or that month's last day if it is shorter."""
    year, month = divmod(at.year * 12 + at.month - 1 + count, 12)
    if not 1 <= year <= 9999:
        raise OverflowError(count)
    return at.replace(year=year, month=month + 1, day=min(at.day, calendar.monthrange(year, month + 1)[1]))


def _formatted(template: str, at: datetime) -> str:
    return _TIME_TOKEN.sub(lambda token: _TOKENS[token[0]](at), template)


def _bizmonth(context: Context) -> str:
    """The month of the business date; the one before as long as that month is not over."""
    at = datetime.combine(context.bizdate, time())
    if (at.year, at.month) == (context.current_date.year, context.current_date.month):
        at = _add_months(at, -1)
    return _formatted("yyyymm", at)


BUILT_INS = ("bizdate", "cyctime", "gmtdate", "bizmonth", "jobid", "nodeid", "taskid")
"""Names of the built-ins, which are written ``$bizdate`` and so on."""

_BUILT_INS: dict[str, Callable[[Context], str]] = {
    "bizdate": lambda context: f"{context.bizdate:%Y%m%d}",
    "cyctime": lambda context: f"{context.scheduled_local:%Y%m%d%H%M%S}",
    "gmtdate": lambda context: f"{context.current_date:%Y%m%d}",
    "bizmonth": _bizmonth,
    "jobid": lambda context: str(context.workflow_id),
    "nodeid": lambda context: str(context.node_id),
    "taskid": lambda context: str(context.instance_id),
}
