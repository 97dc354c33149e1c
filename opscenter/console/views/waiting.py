"""Why the instances of a list wait, grouped by what is to blame."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import pgettext
from django.views.decorators.http import require_safe

from opscenter.base import clock
from opscenter.console import live
from opscenter.console.access import ConsoleRequest, here, in_workspace, is_partial
from opscenter.console.filters import InstanceFilters, latest_bizdate, query_string
from opscenter.console.holdup_parts import rows_of
from opscenter.production import holdups, listings
from opscenter.production.models import WorkflowInstance


@in_workspace
@require_safe
def waiting(request: ConsoleRequest) -> HttpResponse:
    """The page; as a part, the one line of it that stands above the list."""
    zone = request.workspace.tenant.time_zone
    default = latest_bizdate(clock.now(), zone)
    filters = InstanceFilters(request.GET, request.user, request.workspace, request.environment, default)
    kept = {name: request.GET.getlist(name) for name in request.GET if name not in ("before", "after", "shown")}
    list_url = here(request, "instance_list") + query_string(kept)
    crumbs = [(pgettext("navigation", "Instances"), list_url)]
    if not filters.is_valid():
        wrong = {"filters": filters, "list_url": list_url, "crumbs": crumbs}
        return render(request, "console/instances/waiting.html", wrong, status=422)
    wanted = filters.wanted()
    found = listings.instances(
        request.user, request.workspace, request.environment, [WorkflowInstance.Type.NORMAL], wanted
    )
    told = holdups.holdups(found, request.workspace.tenant, request.environment, wanted.bizdate, clock.now())
    context: dict[str, Any] = {"told": told, "list_url": list_url, "crumbs": crumbs, "day": wanted.bizdate}
    if is_partial(request):
        first = told.reasons[:1]
        return live.as_part(
            render(
                request,
                "console/instances/waiting_line.html",
                {
                    **context,
                    "rows": rows_of(request, first, kept, with_help=False),
                    "here_url": request.get_full_path(),
                },
            )
        )
    context |= {"rows": rows_of(request, told.reasons, kept), "filters": filters}
    return render(request, "console/instances/waiting.html", context)
