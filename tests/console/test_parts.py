"""The tags that the console's pages are made of."""

import datetime as dt
from types import SimpleNamespace

import pytest
from django.template import Context, Template
from django.test import RequestFactory

from opscenter.console import navigation
from opscenter.console.templatetags import ansi
from opscenter.production.rules.states import Kind, State

urlpatterns: list[object] = []


def render(source, request=None, **context):
    return Template("{% load ui %}" + source).render(Context({"request": request, **context}))


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "\x1b[31m<img src=x onerror=alert(1)>\x1b[0m",
        "\x1b[<b>m",
        "\x1b]0;<b>title</b>\x07",
        "\x1b]8;;javascript:alert(1)\x1b\\click\x1b]8;;\x1b\\",
        "\"'&\x1b[38;5;<b>m",
    ],
)
def test_a_log_never_becomes_markup(text):
    html = str(ansi.to_html(text))
    without_our_spans = html.replace("</span>", "").replace('<span class="ansi-fg-1">', "")
    assert "<" not in without_our_spans
    assert "\x1b" not in html
    assert "href" not in html


def test_terminal_colours_become_classes():
    assert ansi.to_html("\x1b[1;31mERROR\x1b[0m ok") == '<span class="ansi-bold ansi-fg-1">ERROR</span> ok'
    assert ansi.to_html("\x1b[94mx\x1b[39my") == '<span class="ansi-fg-12">x</span>y'
    assert ansi.to_html("\x1b[38;5;2mx") == '<span class="ansi-fg-2">x</span>'
    assert ansi.to_html("\x1b[38;2;10;20;30mx") == "x"
    assert ansi.to_html("\x1b[2K\x1b[1Gx") == "x"


def test_a_colour_lasts_over_line_ends_and_lines_are_numbered_from_where_they_start():
    first, second = ansi.lines("\x1b[32mone\ntwo\x1b[0m\n", first=41)
    assert (first.number, first.html) == (41, '<span class="ansi-fg-2">one</span>')
    assert (second.number, second.html) == (42, '<span class="ansi-fg-2">two</span>')


def test_a_progress_bar_shows_its_last_state():
    assert [line.html for line in ansi.lines("10 %\r50 %\r100 %\r\ndone\n")] == ["100 %", "done"]


@pytest.mark.parametrize(
    ("line", "is_error"),
    [
        ("ERROR could not write", True),
        ("ValueError: no", True),
        ("\x1b[31mFatal\x1b[0m: gone", True),
        ("bash: pyhton: command not found", True),
        ("0 errors", False),
        ("all terrific", False),
    ],
)
def test_lines_that_read_like_errors_are_marked(line, is_error):
    assert [shown.is_error for shown in ansi.lines(line)] == [is_error]


def instance(state, kind=Kind.NORMAL, frozen=False):
    return SimpleNamespace(state=state, kind=kind, frozen=frozen)


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (instance(State.WAIT_TRIGGER), ["Waiting for Trigger"]),
        (instance(State.CLAIMED), ["Waiting for resources"]),
        (instance(State.NOT_RUN, frozen=True), ["Not run", "Frozen"]),
        (instance(State.NOT_RUN, Kind.SKIP), ["Not run", "Dry run"]),
        (instance(State.SUCCESS, Kind.SKIP), ["Dry run"]),
        (instance(State.FAILURE, Kind.SKIP), ["Failed", "Dry run"]),
        (5, ["Failed"]),
        ("running", ["Running"]),
    ],
)
def test_a_state_is_told_by_words(shown, words):
    html = render("{% state_badge shown %}", shown=shown)
    assert [part.split("<")[0] for part in html.split("<span>")[1:]] == words


def test_names_are_escaped_wherever_they_are_shown():
    html = render("{% copy_id name %}{% cut name %}{% icon 'x' label=name %}", name='<b a="">')
    assert "<b a" not in html
    assert '""' not in html


def test_times_are_shown_in_the_zone_and_business_dates_are_not_shifted():
    at = dt.datetime(2026, 3, 8, 16, 30, tzinfo=dt.UTC)
    assert render("{{ at|scheduled:'Asia/Shanghai' }}", at=at) == "2026-03-09 00:30:00"
    assert render("{{ day|scheduled:'Asia/Shanghai' }}", day=at.date()) == "2026-03-08"
    assert render("{{ nothing|scheduled }}", nothing=None) == "–"
    html = render("{% moment at zone='Asia/Shanghai' %}", at=at)
    assert 'datetime="2026-03-08T16:30:00Z"' in html
    assert 'title="2026-03-09 00:30:00 Asia/Shanghai"' in html


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.85, "850 ms"),
        (12.4, "12 s"),
        (185, "3 min 5 s"),
        (7440, "2 h 4 min"),
        (7203, "2 h"),
        (90000, "1 d 1 h"),
    ],
)
def test_durations_have_two_units_at_most(seconds, text):
    assert render("{{ value|duration }}", value=seconds) == text
    assert render("{{ value|duration }}", value=dt.timedelta(seconds=seconds)) == text


def test_a_changed_query_keeps_the_rest_of_it():
    request = RequestFactory().get("/", {"state": ["failure", "running"], "after": "x", "q": "a b&c"})
    link = render("{% query_with after=None before=12 as link %}{{ link|safe }}", request)
    assert link == "?state=failure&state=running&q=a+b%26c&before=12"


def test_keys_of_the_navigation_lead_to_one_page_each():
    keys = [item.key for group in navigation.GROUPS for item in group.items]
    assert len(set(keys)) == len(keys)


def test_pages_that_do_not_exist_are_left_out_of_the_navigation(settings):
    settings.ROOT_URLCONF = __name__  # this module, whose urlpatterns are empty
    assert navigation.links(1, "prod", None) == []
    assert navigation.home(1, "prod") is None
