"""An instance: why it is in its state, its neighbours, attempts and log, trigger receipts, history, code."""

from collections.abc import Callable, Iterator
from typing import Any

from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from opscenter.base import clock
from opscenter.console import instance_parts as parts
from opscenter.console import live, parameter_parts, receipt_parts
from opscenter.console.access import ConsoleRequest, here, in_workspace, is_partial
from opscenter.console.filters import query_string
from opscenter.console.instance_rows import duration_of, is_live
from opscenter.production import log_tail, parameter_values, selectors
from opscenter.production.models import Attempt, LogChunk, TaskInstance
from opscenter.production.names import kind_name
from opscenter.production.node_types import HTTP_TRIGGER

VIEWS = ("overview", "history", "code")
_RAW_BATCH = 50


@in_workspace
@require_safe
def instance(request: ConsoleRequest, pk: int) -> HttpResponse:
    """The page, or with ``live`` the part of it that keeps itself up to date."""
    view = request.GET.get("view", VIEWS[0])
    if view not in VIEWS:
        raise Http404
    found = _instance(request, pk)
    context = _page(request, found, view)
    if is_partial(request) and "live" in request.GET:
        return live.fragment(request, "console/instance/live.html", context)
    if view == VIEWS[0]:
        context |= _log_of(request, found, context["shown"])
    return live.whole(request, "console/instance/page.html", context)


@in_workspace
@require_safe
def glance(request: ConsoleRequest, pk: int) -> HttpResponse:
    """The drawer beside the list; opened as a page, it leads to the instance's own."""
    found = _instance(request, pk)
    context = _page(request, found, VIEWS[0]) | {
        "title": found.task.name,
        "page_url": here(request, "instance", pk=pk),
        "body_template": "console/instance/glance.html",
    }
    template = "components/drawer.html" if is_partial(request) else "console/instance/page.html"
    return render(request, template, context)


@in_workspace
@require_safe
def log(request: ConsoleRequest, pk: int) -> HttpResponse:
    """The log of the latest attempt, for a page that was opened before there was one; 204 until then."""
    found = _instance(request, pk)
    attempt = parts.shown_attempt(found, "")
    if attempt is None:
        return live.as_part(HttpResponse(status=204))
    return live.as_part(render(request, "console/instance/log.html", _log_of(request, found, attempt)))


@in_workspace
@require_safe
def log_more(request: ConsoleRequest, pk: int, number: int) -> HttpResponse:
    """The lines after ``offset``, the first of which has the number ``line``; 204 while there are none."""
    attempt = _attempt(request, pk, number)
    offset, line = _number(request, "offset"), _number(request, "line")
    is_growing = log_tail.is_growing(attempt)
    part = log_tail.more(attempt, offset, line)
    if is_growing and not part.text:
        return live.as_part(HttpResponse(status=204))
    more_url = _more_url(request, attempt, part) if is_growing or part.has_rest else ""
    context = {"text": part.text, "first": part.first, "more_url": more_url}
    return live.as_part(render(request, "components/log_lines.html", context))


@in_workspace
@require_safe
def log_raw(request: ConsoleRequest, pk: int, number: int) -> HttpResponseBase:
    """The whole log as a file, exactly as it was written."""
    attempt = _attempt(request, pk, number)
    response = StreamingHttpResponse(_chunks(attempt), content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{pk}-{number}.log"'
    return response


def _instance(request: ConsoleRequest, pk: int) -> TaskInstance:
    found = selectors.instances(request.user, request.workspace, request.environment)
    one = get_object_or_404(
        found.select_related("version", "task__workflow", "task__version").defer(
            "version__content", "task__version__content"
        ),
        pk=pk,
    )
    one.workspace = one.task.workspace = request.workspace
    return one


def _attempt(request: ConsoleRequest, pk: int, number: int) -> Attempt:
    return get_object_or_404(Attempt.objects.filter(instance=_instance(request, pk)), number=number)


def _number(request: ConsoleRequest, name: str) -> int:
    text = request.GET.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Http404
    return int(text)


def _chunks(attempt: Attempt) -> Iterator[bytes]:
    """Batch by batch: no cursor stays open while a slow reader takes them."""
    after = -1
    while True:
        found = LogChunk.objects.filter(attempt=attempt, seq__gt=after).order_by("seq")[:_RAW_BATCH]
        batch = list(found.values_list("seq", "text"))
        if not batch:
            return
        after = batch[-1][0]
        yield "".join(text for _seq, text in batch).encode()


def _page(request: ConsoleRequest, found: TaskInstance, view: str) -> dict[str, Any]:
    try:
        shown = parts.shown_attempt(found, request.GET.get("attempt", ""))
    except Attempt.DoesNotExist:
        raise Http404 from None
    request.listed_in = parts.list_of(found)
    job = parts.backfill_of(found)
    asked = {name: request.GET.getlist(name) for name in ("view", "attempt") if name in request.GET}
    return {
        "instance": found,
        "view": view,
        "part": f"console/instance/{view}.html",
        "tabs": _tabs(view),
        "crumbs": parts.crumbs(request, found, job),
        "backfill": job,
        "task_url": here(request, "task", number=found.task.number),
        "actions": parts.actions(request, found),
        "dag_url": here(request, "instance_dag", pk=found.pk),
        "kind": kind_name(found.kind),
        "duration": duration_of(found),
        "shown": shown,
        "zone": request.workspace.tenant.time_zone,
        "poll_url": request.path + query_string({**asked, "live": request.GET.get("live") or _log_number(shown)}),
        "every": live.QUICK if is_live([found]) else live.SLOW,
        **_PARTS[view](request, found, shown),
    }


def _log_number(shown: Attempt | None) -> int:
    return shown.number if shown else -1


def _overview(request: ConsoleRequest, found: TaskInstance, shown: Attempt | None) -> dict[str, Any]:
    listed = parts.attempts(request, found, shown.number if shown else None)
    latest = listed[0]["attempt"].number if listed else 0
    at_hand = request.GET.get("live", "")
    is_trigger = found.node_type == HTTP_TRIGGER.code
    values = parameter_values.of_instance(found, shown, clock.now())
    return {
        "parameters": parameter_parts.table(values),
        "checklist": parts.checklist(request, found),
        "upstream": parts.neighbours(request, selectors.upstream_of(found)),
        "downstream": parts.neighbours(request, selectors.downstream_of(found)),
        "attempts": listed,
        "newer": latest if at_hand.isdigit() and "attempt" not in request.GET and int(at_hand) < latest else None,
        "is_trigger": is_trigger,
        "receipts": receipt_parts.of_instance(found) if is_trigger else [],
        "snippet": parts.snippet(found, request.workspace.tenant.time_zone) if is_trigger else "",
    }


def _history(request: ConsoleRequest, found: TaskInstance, shown: Attempt | None) -> dict[str, Any]:
    return {"entries": parts.history(request, found)}


def _code(request: ConsoleRequest, found: TaskInstance, shown: Attempt | None) -> dict[str, Any]:
    """The code that the attempt ran; before there is one, the code that would run now."""
    version = shown.version if shown is not None and shown.version is not None else found.task.version
    return {"version": version, "is_pinned": shown is not None}


_PARTS: dict[str, Callable[[ConsoleRequest, TaskInstance, Attempt | None], dict[str, Any]]] = {
    "overview": _overview,
    "history": _history,
    "code": _code,
}


def _tabs(view: str) -> list[dict[str, Any]]:
    labels = {"overview": _("Run"), "history": _("History"), "code": _("Code")}
    return [
        {"label": label, "url": "?" if code == VIEWS[0] else f"?view={code}", "active": code == view, "count": None}
        for code, label in labels.items()
    ]


def _log_of(request: ConsoleRequest, found: TaskInstance, attempt: Attempt | None) -> dict[str, Any]:
    if attempt is None:
        return {
            "attempt": None,
            "log_url": here(request, "instance_log", pk=found.pk),
            "needs_worker": found.needs_worker,
        }
    is_growing = log_tail.is_growing(attempt)
    part = log_tail.tail(attempt)
    return {
        "attempt": attempt,
        "text": part.text,
        "first": part.first,
        "is_cut": part.is_cut,
        "more_url": _more_url(request, attempt, part) if is_growing else "",
        "download_url": here(request, "instance_log_raw", pk=found.pk, number=attempt.number),
    }


def _more_url(request: ConsoleRequest, attempt: Attempt, part: log_tail.LogPart) -> str:
    place = here(request, "instance_log_more", pk=attempt.instance_id, number=attempt.number)
    return place + query_string({"offset": part.offset, "line": part.next_line})
