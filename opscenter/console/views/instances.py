"""The instance lists: auto triggered instances and test instances."""

from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from opscenter.base import clock
from opscenter.base.reasons import Invalid
from opscenter.console import live, matching, paging
from opscenter.console.access import ConsoleRequest, here, in_workspace, is_partial
from opscenter.console.filters import ALL_DATES, STATES, InstanceFilters, latest_bizdate, query_string
from opscenter.console.instance_rows import is_live, rows_of
from opscenter.console.operation_parts import batch_buttons
from opscenter.production import listings, selectors
from opscenter.production.models import Environment, WorkflowInstance

ORDER = paging.Order(number="pk", moment="scheduled_at")
_TABLE = "console/instances/table.html"


@in_workspace
@require_safe
def instance_list(request: ConsoleRequest) -> HttpResponse:
    """Auto triggered instances; of today's runs, unless other dates are asked for."""
    return _listing(request, WorkflowInstance.Type.NORMAL)


@in_workspace
@require_safe
def test_instance_list(request: ConsoleRequest) -> HttpResponse:
    """Instances of smoke tests, in either environment."""
    return _listing(request, WorkflowInstance.Type.SMOKE_TEST)


@in_workspace
@require_safe
def backfill_instance_list(request: ConsoleRequest) -> HttpResponse:
    """Instances of backfills; with ``backfill`` those of one job."""
    return _listing(request, WorkflowInstance.Type.BACKFILL)


def _listing(request: ConsoleRequest, kind: WorkflowInstance.Type) -> HttpResponse:
    zone = request.workspace.tenant.time_zone
    is_test = kind is not WorkflowInstance.Type.NORMAL  # nothing is planned: all dates are shown
    default = None if is_test else latest_bizdate(clock.now(), zone)
    filters = InstanceFilters(request.GET, request.user, request.workspace, request.environment, default)
    context = _frame(request, filters, is_test) | {"is_backfill": kind is WorkflowInstance.Type.BACKFILL}
    if not filters.is_valid():
        return live.whole(request, "console/instances/list.html", {**context, "rows": []}, status=422)
    found = listings.instances(request.user, request.workspace, request.environment, kind, filters.wanted())
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


def _frame(request: ConsoleRequest, filters: InstanceFilters, is_test: bool) -> dict[str, Any]:
    kept = {name: request.GET.getlist(name) for name in request.GET if name not in ("before", "after", "shown")}
    return {
        "filters": filters,
        "is_test": is_test,
        "is_prod": request.environment == Environment.PROD,
        "chips": _chips(filters, kept, is_test),
        "is_narrowed": bool(kept),
        "clear_url": request.path,
        "backfills_url": here(request, "backfill_list"),
        "waiting_url": "" if is_test else here(request, "instance_waiting") + query_string(kept),
        "test_url": here(request, "test_instance_list"),
        "tasks_url": here(request, "task_list"),
        "all_dates_url": query_string({**kept, "bizdate": ALL_DATES}),
        "actions": batch_buttons(request, "instance"),
        "matching": matching.fields(
            "test_instance_list" if is_test else "instance_list",
            matching.kept(request, matching.shown_bizdate(filters)),
        ),
        "zone": request.workspace.tenant.time_zone,
    }


def _chips(filters: InstanceFilters, kept: dict[str, list[str]], is_test: bool) -> list[dict[str, Any]]:
    """One click each: all dates, each state, frozen. A click on an active one takes it away."""
    asked = set(kept.get("state", []))
    chips: list[dict[str, Any]] = []
    if not is_test:
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
