"""Tags and filters of the console's parts. The parts are in templates/components/; /styleguide/ shows them all."""

import datetime as dt
from collections.abc import Iterable
from typing import Any
from zoneinfo import ZoneInfo

from django import template
from django.http import QueryDict
from django.template.context import RequestContext
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from opscenter.console.templatetags import ansi as ansi_text
from opscenter.console.templatetags import looks

register = template.Library()

MOMENT = "%Y-%m-%d %H:%M:%S"


@register.simple_tag
def icon(name: str, label: str = "", css: str = "") -> SafeString:
    """A symbol of the sprite. Without a label it is decoration, and a screen reader passes over it."""
    told = format_html('role="img" aria-label="{}"', label) if label else SafeString('aria-hidden="true"')
    source = f"{static('icons.svg')}#{name}"
    return format_html('<svg class="{}" {}><use href="{}"></use></svg>', f"icon {css}".strip(), told, source)


def _badge(look: looks.Look, extra: str = "") -> SafeString:
    moving = "is-moving" if look.icon == "running" else ""
    mark = icon(look.icon, css=moving)
    return format_html('<span class="state {} {}">{}<span>{}</span></span>', look.css, extra, mark, look.word)


@register.simple_tag
def state_badge(what: Any, frozen: bool = False, solid: bool = False) -> SafeString:
    """Icon and word of a state; beside it the mark of a frozen instance, or of one that will be a dry run.

    Args:
        what: a task instance, or a state's code or number.
        frozen: for codes and numbers; an instance knows by itself.
        solid: with a tinted ground, for page heads.
    """
    ground = "is-solid" if solid else ""
    if isinstance(what, (str, int)):
        shown, marks = looks.of_state(what), [looks.FROZEN] if frozen else []
    else:
        shown, marks = looks.of_instance(what), looks.marks_of(what)
    if not marks:
        return _badge(shown, ground)
    beside = format_html_join("", "{}", ((_badge(mark, "is-mark"),) for mark in marks))
    return format_html('<span class="states">{}{}</span>', _badge(shown, ground), beside)


@register.simple_tag
def attempt_badge(code: str) -> SafeString:
    """Icon and word of an attempt's state."""
    return _badge(looks.ATTEMPTS[code])


@register.simple_tag
def receipt_badge(status: str) -> SafeString:
    """Icon and word of what became of a trigger command."""
    return _badge(looks.RECEIPTS[status])


@register.simple_tag
def operation_badge(status: str, solid: bool = False) -> SafeString:
    """Icon and word of what became of an operation; ``solid`` as for ``state_badge``."""
    return _badge(looks.OPERATIONS[status], "is-solid" if solid else "")


@register.simple_tag
def look_badge(look: looks.Look, solid: bool = False) -> SafeString:
    """Icon and word of a look that was chosen elsewhere; ``solid`` as for ``state_badge``."""
    return _badge(look, "is-solid" if solid else "")


@register.simple_tag
def node_type(code: str) -> SafeString:
    """Icon and name of a node type."""
    look = looks.of_node_type(code)
    return format_html('<span class="node-type">{}<span>{}</span></span>', icon(look.icon), look.word)


@register.filter
def look_of(what: Any) -> looks.Look:
    """The look of a state or a receipt's status, for parts that need its icon or colour class alone."""
    return looks.RECEIPTS[what] if isinstance(what, str) and what in looks.RECEIPTS else looks.of_state(what)


@register.simple_tag
def copy_id(value: Any, label: str = "") -> SafeString:
    """An id in monospace with a button that copies it."""
    text = str(value)
    return format_html(
        '<span class="copy"><code>{}</code><button type="button" class="copy-button" data-copy="{}" data-done="{}"'
        ' title="{}" aria-label="{}">{}{}</button></span>',
        label or text,
        text,
        _("Copied"),
        _("Copy"),
        _("Copy %(value)s") % {"value": text},
        icon("copy"),
        icon("check"),
    )


@register.simple_tag
def cut(text: Any, css: str = "") -> SafeString:
    """A name on one line: what does not fit is cut with an ellipsis and told by the title."""
    return format_html('<span class="cut {}" title="{}">{}</span>', css, text, text)


def _in_zone(moment: dt.datetime, zone: str) -> dt.datetime:
    return moment.astimezone(ZoneInfo(zone or "UTC"))


@register.filter
def scheduled(value: dt.datetime | dt.date | None, zone: str = "UTC") -> str:
    """``yyyy-MM-dd HH:mm:ss`` in the zone; a business date is a date, never shifted; nothing is a dash."""
    if value is None:
        return "–"
    if isinstance(value, dt.datetime):
        return _in_zone(value, zone).strftime(MOMENT)
    return value.isoformat()


@register.simple_tag(takes_context=True)
def moment(context: RequestContext, value: dt.datetime | None, zone: str = "", absolute: bool = False) -> SafeString:
    """When something was: relative, with the absolute time and its zone one hover or tap away.

    Args:
        zone: IANA name; by default the zone of the page's tenant.
        absolute: show the absolute time at once, as for scheduled times.
    """
    if value is None:
        return SafeString('<span class="nothing">–</span>')
    zone = zone or (context["frame"].zone if "frame" in context else "UTC")
    shown = _in_zone(value, zone).strftime(MOMENT)
    relative = "" if absolute else SafeString(" data-relative")
    stamp = f"{value.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
    return format_html('<time datetime="{}" title="{} {}"{}>{}</time>', stamp, shown, zone, relative, shown)


@register.filter
def duration(value: dt.timedelta | float | None) -> str:
    """``850 ms``, ``12 s``, ``3 min 5 s``, ``2 h 4 min``: two units at most."""
    if value is None:
        return "–"
    seconds = value.total_seconds() if isinstance(value, dt.timedelta) else float(value)
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))} ms"
    whole = round(seconds)
    units = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    first = next(index for index, (count, _unit) in enumerate(units) if count)
    return " ".join(f"{count} {unit}" for count, unit in units[first : first + 2] if count)


@register.filter
def ansi(text: str) -> SafeString:
    """Escaped text with terminal colours as spans."""
    return ansi_text.to_html(str(text))


@register.filter
def log_lines(text: str, first: int = 1) -> Iterable[ansi_text.LogLine]:
    """The lines of a log, numbered from ``first``."""
    return ansi_text.lines(text, first)


@register.simple_tag(takes_context=True)
def query_with(context: RequestContext, **changes: Any) -> str:
    """The URL's query with these keys set; None removes a key. Starts with "?", so that it is a link by itself."""
    query: QueryDict = context["request"].GET.copy()
    for key, value in changes.items():
        if value is None or value == "":
            query.pop(key, None)
        elif isinstance(value, (list, tuple)):
            query.setlist(key, [str(item) for item in value])
        else:
            query[key] = str(value)
    return "?" + query.urlencode()


@register.filter
def initial(name: Any) -> str:
    """The first letter of a name, for a user chip."""
    return str(name).strip()[:1].upper() or "?"
