"""The instance lists: auto triggered, test and manual instances."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from opscenter.base import clock
from opscenter.base.reasons import Invalid
from opscenter.console import live, matching, paging
from opscenter.console.access import ConsoleRequest, here, in_workspace, is_partial
from opscenter.console.filters import ALL_DATES, STATES, InstanceFilters, latest_bizdate, query_string
from opscenter.console.instance_rows import is_live, rows_of
from opscenter.console.matching import INSTANCE_LISTS
from opscenter.console.operation_parts import batch_buttons
from opscenter.production import listings, selectors
from opscenter.production.models import Environment, WorkflowInstance

ORDER = paging.Order(number="pk", moment="scheduled_at")
_TABLE = "console/instances/table.html"


@dataclass(frozen=True)
class _Kind:
    """One of the lists.

    Attributes:
        code: what the templates call it.
        is_dated: without a date asked for it shows today's runs; otherwise those of all dates.
    """

    code: str
    title: Promise
    types: tuple[WorkflowInstance.Type, ...]
    is_dated: bool = False


_SCHEDULED = _Kind("scheduled", gettext_lazy("Auto triggered instances"), INSTANCE_LISTS["instance_list"], True)
_TEST = _Kind("test", gettext_lazy("Test instances"), INSTANCE_LISTS["test_instance_list"])
_MANUAL = _Kind(
    "manual",
    gettext_lazy("Manually triggered instances"),
    INSTANCE_LISTS["manual_instance_list"],
)

_BACKFILL = _Kind("backfill", gettext_lazy("Backfill instances"), INSTANCE_LISTS["backfill_instance_list"])


@in_workspace
@require_safe
def instance_list(request: ConsoleRequest) -> HttpResponse:
    """Auto triggered instances; of today's runs, unless other dates are asked for."""
    return _listing(request, _SCHEDULED)


@in_workspace
@require_safe
def test_instance_list(request: ConsoleRequest) -> HttpResponse:
    """Instances of smoke tests, in either environment."""
    return _listing(request, _TEST)


@in_workspace
@require_safe
def backfill_instance_list(request: ConsoleRequest) -> HttpResponse:
    """Instances of backfills; with ``backfill`` those of one job."""
    return _listing(request, _BACKFILL)


@in_workspace
@require_safe
def manual_instance_list(request: ConsoleRequest) -> HttpResponse:
    """Instances of manually triggered tasks and workflows; of one run with ``run``."""
    return _listing(request, _MANUAL)


def _listing(request: ConsoleRequest, kind: _Kind) -> HttpResponse:
    zone = request.workspace.tenant.time_zone
    default = latest_bizdate(clock.now(), zone) if kind.is_dated else None
    filters = InstanceFilters(request.GET, request.user, request.workspace, request.environment, default)
    context = _frame(request, filters, kind)
    if not filters.is_valid():
        return live.whole(request, "console/instances/list.html", {**context, "rows": []}, status=422)
    found = listings.instances(request.user, request.workspace, request.environment, kind.types, filters.wanted())
    if is_partial(request) and "shown" in request.GET:
        return _refreshed(request, found, context)
    page = paging.page(found, ORDER, request.GET)
    rows = rows_of(page.rows, zone)
    shown = ",".join(str(row.pk) for row in rows)
    context |= _table(request, rows, shown, 0) | {"page": page, "tag": live.tag_of(rows, 0)}
    return live.whole(request, "console/instances/list.html", context)


def _refreshed(request: ConsoleRequest, found: Any, context: dict[str, Any]) -> HttpResponse:
    """The rows that the page shows, as they are now, wherever the filters would put them; and how many came since."""
    text = request.GET["shown"]
    ids = _ids(text)
    shown = selectors.instances(request.user, request.workspace, request.environment).filter(pk__in=ids)
    rows = rows_of(list(shown.order_by("-scheduled_at", "-pk")), request.workspace.tenant.time_zone)
    page = paging.page(found.select_related(None).only("pk", "scheduled_at"), ORDER, request.GET)
    arrived = sum(instance.pk not in ids for instance in page.rows)
    context |= _table(request, rows, text, arrived)
    return live.fragment(request, _TABLE, context, live.tag_of(rows, arrived))


def _ids(text: str) -> set[int]:
    parts = [part for part in text.split(",") if part]
    if len(parts) > paging.SIZE or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        raise Invalid("paging.cursor", cursor=text[:60])
    return {int(part) for part in parts}


def _table(request: ConsoleRequest, rows: list[Any], shown: str, arrived: int) -> dict[str, Any]:
    query = {name: request.GET.getlist(name) for name in request.GET if name not in ("shown",)}
    return {
        "rows": rows,
        "zone": request.workspace.tenant.time_zone,
        "arrived": arrived,
        "here_url": request.path + query_string(query),
        "poll_url": request.path + query_string({**query, "shown": shown}),
        "every": live.QUICK if is_live(rows) else live.SLOW,
    }


def _frame(request: ConsoleRequest, filters: InstanceFilters, kind: _Kind) -> dict[str, Any]:
    kept = {name: request.GET.getlist(name) for name in request.GET if name not in ("before", "after", "shown")}
    return {
        "filters": filters,
        "kind": kind,
        "is_prod": request.environment == Environment.PROD,
        "chips": _chips(filters, kept, kind.is_dated),
        "is_narrowed": bool(kept),
        "clear_url": request.path,
        "backfills_url": here(request, "backfill_list"),
        "waiting_url": here(request, "instance_waiting") + query_string(kept) if kind is _SCHEDULED else "",
        "test_url": here(request, "test_instance_list"),
        "tasks_url": here(request, "manual_task_list" if kind is _MANUAL else "task_list"),
        "all_dates_url": query_string({**kept, "bizdate": ALL_DATES}),
        "actions": batch_buttons(request, "instance"),
        "matching": matching.fields(request, matching.shown_bizdate(filters)),
        "zone": request.workspace.tenant.time_zone,
    }


def _chips(filters: InstanceFilters, kept: dict[str, list[str]], is_dated: bool) -> list[dict[str, Any]]:
    """One click each: all dates, each state, frozen. A click on an active one takes it away."""
    asked = set(kept.get("state", []))
    chips: list[dict[str, Any]] = []
    if is_dated:
        dates = "" if filters.is_all_dates else ALL_DATES
        url = query_string({**kept, "bizdate": dates})
        chips.append({"label": _("All dates"), "url": url, "active": filters.is_all_dates})
    for state in STATES:
        others = sorted(asked ^ {state.code})
        chips.append(
            {"state": state.code, "url": query_string({**kept, "state": others}), "active": state.code in asked}
        )
    is_frozen = bool(kept.get("frozen"))
    url = query_string({**kept, "frozen": "" if is_frozen else "1"})
    return [*chips, {"state": "frozen", "url": url, "active": is_frozen}]
