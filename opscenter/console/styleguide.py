"""The style guide: every part of the console once, with invented data, so that a change of look is seen whole."""

import datetime as dt
from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone

from opscenter.console.access import SignedInRequest, signed_in
from opscenter.console.check_parts import Button, Card, Sent
from opscenter.console.templatetags.looks import CHECKS, RECEIPTS, STATES

LOG = """2026-11-21 00:30:01 starting attempt 2 of dwd_orders_daily, business date 2026-11-20
\x1b[36mINFO\x1b[0m  reading partition ds=20261120 from ods_orders
\x1b[36mINFO\x1b[0m  412,907 rows read in 8.1 s
\x1b[33mWARN\x1b[0m  17 rows have no customer; they go to <rejects>
\x1b[36mINFO\x1b[0m  joining dim_customer, dim_product
\x1b[1;31mERROR\x1b[0m could not write: permission denied on schema dwd
Traceback (most recent call last):
  File "load.py", line 88, in write
    cursor.execute(statement)
PermissionError: schema dwd
\x1b[32mretry in 30 s\x1b[0m
"""
COLOURS = ("text", "text-soft", "text-faint", "text-link", "line", "line-strong", "fill-accent", "fill-danger")


class SampleForm(forms.Form):
    """Fields of every kind, one of them wrong."""

    name = forms.CharField(help_text="Letters, digits and _; it names the task in production.")
    cron = forms.CharField(label="Schedule")
    group = forms.ChoiceField(label="Resource group", choices=[("default", "default"), ("etl", "etl_large")])
    comment = forms.CharField(widget=forms.Textarea(attrs={"rows": 2}), required=False)
    is_dry_run = forms.BooleanField(label="Dry run", required=False, help_text="Succeeds at its time; runs nothing.")


class CommentForm(forms.Form):
    """What a confirmation asks for."""

    comment = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 2}), required=False, help_text="Kept in the audit trail."
    )


def _instances(now: dt.datetime) -> list[dict[str, Any]]:
    names = (
        ("ods_orders_sync", "shell", "success", False),
        ("ods_customers_sync", "shell", "success", False),
        ("wait_for_partner_feed", "http_trigger", "wait_trigger", False),
        ("dwd_orders_daily", "shell", "running", False),
        ("dwd_customer_lifetime_value_by_region_and_acquisition_channel_v2", "shell", "failure", False),
        ("dwd_payments_daily", "shell", "wait_resource", False),
        ("dws_revenue_by_market", "shell", "not_run", False),
        ("ads_executive_dashboard", "shell", "wait_time", False),
        ("ads_partner_report", "shell", "not_run", True),
        ("workspace_root", "virtual", "dry_run", False),
        ("quality_gate", "virtual", "checking", False),
    )
    return [
        {
            "id": 810_000_000_000 + index,
            "name": name,
            "type": node_type,
            "state": state,
            "frozen": frozen,
            "owner": ("Mei Lin", "Jonas Weber", "Ada Okafor")[index % 3],
            "bizdate": now.date() - dt.timedelta(days=1),
            "scheduled_at": now.replace(hour=0, minute=30, second=0, microsecond=0),
            "since": now - dt.timedelta(minutes=3 * index * index + 1),
        }
        for index, (name, node_type, state, frozen) in enumerate(names)
    ]


def _filters() -> dict[str, Any]:
    counts = {"failure": 3, "running": 12, "wait_trigger": 1, "wait_resource": 4, "not_run": 96, "success": 1208}
    chips: list[dict[str, Any]] = [{"label": "All", "url": "?", "active": False, "count": 1324}]
    chips += [
        {"state": code, "url": f"?state={code}", "active": code == "failure", "count": n} for code, n in counts.items()
    ]
    return {"search": {"name": "q", "value": "", "placeholder": "Name or id"}, "chips": chips, "clear_url": "?"}


def _explain(now: dt.datetime) -> dict[str, Any]:
    return {
        "unmet": [
            {
                "text": "Upstream dwd_orders_daily failed",
                "detail": "Attempt 2 of 3, exit code 1.",
                "since": now - dt.timedelta(minutes=18),
                "state": "failure",
                "remedy": {"label": "Rerun it", "url": "#"},
            },
            {
                "text": "No external system has triggered it yet",
                "detail": "",
                "since": now - dt.timedelta(hours=2),
                "state": "wait_trigger",
                "remedy": {
                    "label": "Trigger",
                    "url": "#",
                    "why_not": "Your role Visitor lacks: Trigger HTTP trigger nodes.",
                },
            },
        ],
        "met": [
            {"text": "Its scheduled time 00:30 has come", "at": now - dt.timedelta(hours=3)},
            {"text": "It is not frozen", "at": None},
            {"text": "Upstream ods_orders_sync succeeded", "at": now - dt.timedelta(hours=2, minutes=48)},
        ],
    }


def _stories(now: dt.datetime) -> dict[str, Any]:
    minutes = [dt.timedelta(minutes=value) for value in (2, 26, 61, 190)]
    caller = {"caller": "partner_gateway", "source": "10.20.4.17"}
    return {
        "receipts": [
            {"at": now - minutes[0], "status": "no_effect", "sentence": "It had been triggered already.", **caller},
            {"at": now - minutes[1], "status": "fired", "sentence": "All conditions held.", **caller},
            {"at": now - minutes[2], "status": "held", "sentence": "Waits for 1 upstream, 24 h at most.", **caller},
            {"at": now - minutes[3], "status": "refused", "sentence": "The task was frozen.", **caller},
        ],
        "entries": [
            {"at": now - minutes[0], "state": "running", "sentence": "attempt 2 on worker-3"},
            {"at": now - minutes[1], "state": "wait_resource", "sentence": "rerun", "actor": "Jonas Weber", "url": "#"},
            {"at": now - minutes[2], "state": "failure", "sentence": "exit code 1"},
            {"at": now - minutes[3], "state": "wait_time", "sentence": ""},
        ],
        "cards": _cards(now),
    }


def _cards(now: dt.datetime) -> list[tuple[Card, int]]:
    links = (("Details", "https://guard.example/check"), ("Documentation", "https://guard.example/help"))
    plain: dict[str, Any] = {"is_mandatory": True, "is_open": False, "is_failed": False, "limit": 600, "why": ""}
    plain |= {"progress": None, "progress_words": "", "progress_at": None, "sent": None, "buttons": ()}
    waiting = Card(
        **plain
        | {"is_open": True, "progress": 40, "progress_words": "Looking for open incidents.", "progress_at": now}
        | {"sent": Sent("Message delivered", now - dt.timedelta(seconds=141))}
        | {"buttons": (Button("Mark as passed", "#", "check", "The extension does not allow it."),)},
        pk=1,
        name="Freeze guard",
        look=CHECKS["checking"],
        opened_at=now - dt.timedelta(seconds=142),
        words="",
        verdict="",
        links=links,
    )
    passed = Card(
        **plain | {"is_mandatory": False},
        pk=2,
        name="Release calendar",
        look=CHECKS["passed"],
        opened_at=now,
        words="No release today.",
        verdict="Answered OK after 3 s, by API",
        links=(),
    )
    return [(waiting, 142), (passed, 0)]


@signed_in
def styleguide(request: SignedInRequest) -> HttpResponse:
    """The page with all parts."""
    now = timezone.now()
    form = SampleForm({"name": "dwd orders", "cron": "0 30 0 * * ?", "group": "default"})
    form.add_error("name", "A name has no spaces. Write dwd_orders.")
    actions = [
        {"label": "Rerun", "icon": "rotate-ccw", "url": "#", "key": "r"},
        {"label": "Freeze", "icon": "snowflake", "url": "#", "key": "f"},
        {"label": "Stop", "icon": "circle-stop", "url": "#", "why_not": "None of the selected instances is running."},
    ]
    columns = [
        {"label": "Name", "css": "is-name", "sort_url": "?sort=name"},
        {"label": "State"},
        {"label": "Type"},
        {"label": "Owner"},
        {"label": "Business date"},
        {"label": "Scheduled time", "sort_url": "?sort=time", "sorted": "descending"},
        {"label": "Since"},
        {"label": "", "css": "is-actions"},
    ]
    context = {
        "states": [*STATES, "dry_run"],
        "receipt_codes": list(RECEIPTS),
        "colours": COLOURS,
        "instances": _instances(now),
        "columns": columns,
        "actions": actions,
        "filters": _filters(),
        "explain": _explain(now),
        "form": form,
        "comment_form": CommentForm(),
        "names": [{"name": item["name"], "note": str(item["id"])} for item in _instances(now)],
        "log": LOG,
        "facts": [
            ("Task", "dwd_orders_daily"),
            ("Schedule", "0 30 0 * * ?"),
            ("Resource group", "default"),
            ("Priority", 5),
        ],
        "tabs": [
            {"label": "Overview", "url": "#", "active": True},
            {"label": "Log", "url": "#"},
            {"label": "Attempts", "url": "#", "count": 2},
            {"label": "History", "url": "#"},
        ],
        "crumbs": [("Instances", "#"), ("20 November 2026", "#")],
        "now": now,
        **_stories(now),
    }
    return render(request, "console/styleguide.html", context)
