"""One operation: its page and its check panel, and what people do while extensions are asked."""

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from extensions.models import Check, Delivery
from opscenter.base.reasons import Forbidden, say
from opscenter.console import live
from opscenter.console.access import ConsoleRequest, actor, go, here, in_workspace, is_partial, why_not
from opscenter.console.check_parts import Card, cards_of, elapsed, manager_why_not
from opscenter.console.filters import query_string
from opscenter.console.matching import INSTANCE_LISTS, TASK_LISTS
from opscenter.console.operation_parts import operation_url
from opscenter.console.operation_rows import results_of, title_for
from opscenter.console.operation_words import RUNS
from opscenter.console.questions import ReasonForm, ask, back_url
from opscenter.operations import checked, extension_messages, jobs, run_parameters
from opscenter.operations.arguments import arguments_of
from opscenter.operations.models import Operation
from opscenter.operations.permits import missing
from opscenter.operations.registry import OPERATIONS, arguments_in_words
from opscenter.workspaces.roles import Permission

SOON = 0.5
"""Seconds between refreshes while an operation waits for verdicts: one is seen within a second."""

Status = Operation.Status


@in_workspace
@require_safe
def operation(request: ConsoleRequest, pk: int) -> HttpResponse:
    """The operation's own page, or with ``live`` the part of it that keeps itself up to date."""
    found = _operation(request, pk)
    if found.environment != request.environment:
        place = {"workspace_id": request.workspace.pk, "env": found.environment.lower(), "pk": pk}
        return HttpResponseRedirect(reverse("console:operation", kwargs=place))
    context = _standing(request, found, {})
    context["poll_url"] = request.path + "?live=1"
    if is_partial(request) and "live" in request.GET and (answer := live.unchanged(request, context["tag"])):
        return answer
    context |= {
        "results": results_of(request, found),
        "arguments": arguments_in_words(found.code, arguments_of(found))
        or run_parameters.in_words(found.params.get("parameters")),
        "matching_url": _matching_url(request, found),
        "csv_url": here(request, "operation_results_csv", pk=pk),
        "zone": request.workspace.tenant.time_zone,
        "again": _again(request, found),
        "crumbs": [(_("Operation history"), here(request, "operation_list"))]
        if request.member.may(Permission.VIEW_AUDIT)
        else [],
    }
    if is_partial(request) and "live" in request.GET:
        return live.fragment(request, "console/operations/live.html", context, context["tag"])
    return live.whole(request, "console/operations/page.html", context)


def _matching_url(request: ConsoleRequest, found: Operation) -> str:
    """The list with the filters that chose its objects, as it is now; empty where they were named one by one."""
    asked = found.params.get("matching", {})
    if asked.get("list") not in {**INSTANCE_LISTS, **TASK_LISTS}:
        return ""
    return here(request, asked["list"]) + (f"?{asked['filter']}" if asked["filter"] else "")


@in_workspace
@require_safe
def checks(request: ConsoleRequest, pk: int) -> HttpResponse:
    """The check panel in a dialog, and again while it is open; opened as a page, it leads to the operation's own."""
    found = _operation(request, pk)
    if not is_partial(request):
        return HttpResponseRedirect(here(request, "operation", pk=pk))
    context = _panel(request, found, back_url(request, request.GET.get("next", "")))
    if "live" not in request.GET:
        return live.as_part(render(request, "console/operations/checks_dialog.html", context))
    return live.fragment(request, "console/operations/checks.html", context, context["tag"])


def checks_dialog(request: ConsoleRequest, found: Operation, back: str) -> HttpResponse:
    """The dialog that a question about a checked operation turns into."""
    return live.as_part(render(request, "console/operations/checks_dialog.html", _panel(request, found, back)))


@in_workspace
@require_http_methods(["GET", "HEAD", "POST"])
def cancel(request: ConsoleRequest, pk: int) -> HttpResponse:
    """Ask whether to take back an operation that is being checked, or to stop one that is under way, and do so."""
    found = _operation(request, pk)
    if found.status == Status.RUNNING:
        return _cancel_job(request, found)
    if request.method == "POST":
        checked.cancel(actor(request), request.workspace, pk)
        return _after(request, pk, _("The operation was cancelled. Nothing was done."))
    return _ask(
        request,
        found,
        title=_("Cancel “%(operation)s”?") % {"operation": _title(request, found)},
        text=_("Nothing has been done yet, and nothing will be. The extensions are not waited for any more."),
        verb=_("Cancel operation"),
        form=forms.Form(),
    )


def _cancel_job(request: ConsoleRequest, found: Operation) -> HttpResponse:
    if request.method == "POST":
        jobs.cancel(actor(request), request.workspace, found.pk)
        return _after(request, found.pk, _("The operation was cancelled. What was done before stays done."))
    left = found.targets.filter(done=None).count()
    text = ngettext(
        "%(n)s object has not been reached and stays as it is. What was done stays done.",
        "%(n)s objects have not been reached and stay as they are. What was done stays done.",
        left,
    )
    text %= {"n": left}
    if found.code == "stop_backfill":
        text = _(
            "What has not been stopped goes on as before: nothing of it waits for ever. What was stopped stays stopped."
        )
    elif found.code == "rerun_backfill":
        text = _("What has not been put back stays failed. What was put back runs.")
    title = _("Cancel “%(operation)s”?") % {"operation": _title(request, found)}
    return _ask(request, found, title=title, text=text, verb=_("Cancel operation"), form=forms.Form())


@in_workspace
@require_http_methods(["GET", "HEAD", "POST"])
def mark_passed(request: ConsoleRequest, pk: int, check: int) -> HttpResponse:
    """Ask why a check is to be passed by hand, and pass it; who manages extensions where it is asked may."""
    found, one = _operation(request, pk), _check(pk, check)
    if manager_why_not(request, one):
        is_here = one.event.workspace_id == request.workspace.pk
        raise Forbidden(
            "permission.missing", **missing(Permission.MANAGE_EXTENSIONS, request.member if is_here else None)
        )
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        checked.mark_passed(actor(request), request.workspace, one.pk, form.cleaned_data["comment"])
        return _after(request, pk, _("The check of “%(extension)s” was passed.") % {"extension": one.extension.name})
    return _ask(
        request,
        found,
        title=_("Mark the check of “%(extension)s” as passed?") % {"extension": one.extension.name},
        text=_(
            "“%(operation)s” then no longer waits for this extension. When nothing else stands against it, it is done at "
            "once. The audit trail keeps that you passed it."
        )
        % {"operation": _title(request, found)},
        verb=_("Mark as passed"),
        form=form,
    )


@in_workspace
@require_POST
def send_again(request: ConsoleRequest, pk: int, check: int) -> HttpResponse:
    """Send a check's message to its extension once more; who may is the operation's matter."""
    _operation(request, pk)
    delivery = Delivery.objects.filter(of_check=_check(pk, check)).order_by("-pk")[:1].get()
    extension_messages.replay(actor(request), delivery.pk)
    if is_partial(request):
        return HttpResponse(status=204)  # the panel shows it by itself
    messages.success(request, _("The message is being sent again."))
    return go(request, here(request, "operation", pk=pk))


def _operation(request: ConsoleRequest, pk: int) -> Operation:
    found = Operation.objects.filter(workspace=request.workspace).select_related("actor")
    return get_object_or_404(found, pk=pk)


def _check(operation: int, pk: int) -> Check:
    return get_object_or_404(Check.objects.select_related("extension", "event"), pk=pk, event__operation=operation)


def _title(request: ConsoleRequest, found: Operation) -> str:
    return title_for(request, found, found.targets.count())


def _panel(request: ConsoleRequest, found: Operation, back: str) -> dict[str, Any]:
    """What the dialog shows; its buttons lead back into it."""
    context = _standing(request, found, {"panel": "1", "next": back})
    return context | {
        "poll_url": here(request, "operation_checks", pk=found.pk) + query_string({"live": "1", "next": back}),
        "page_url": here(request, "operation", pk=found.pk),
        "back": back,
    }


def _standing(request: ConsoleRequest, found: Operation, query: dict[str, str]) -> dict[str, Any]:
    """How the operation and its checks stand, with the tag of all that can change while it is looked at."""
    cards = cards_of(request, found, query_string(query) if query else "")
    counts = found.targets.aggregate(
        all=Count("pk"), gone=Count("pk", Q(done=True)), refused=Count("pk", Q(done=False))
    )
    count, done = counts["all"], counts["gone"]
    is_checking, is_running = found.status == Status.CHECKING, found.status == Status.RUNNING
    is_open = any(card.is_open for card in cards)
    is_job = is_running and jobs.is_job(found)
    used = elapsed(cards)
    return {
        "operation": found,
        "count": count,
        "title": title_for(request, found, count),
        "cards": [(card, used.get(card.pk, 0)) for card in cards],
        "is_checking": is_checking,
        "is_running": is_running,
        "reached": done + counts["refused"],
        "refused": counts["refused"],
        "every": SOON if is_checking or is_running else live.QUICK if is_open else None,
        "headline": _headline(found, cards, done, count),
        "blocked_by": _blocked_by(found, cards),
        "cancel": _cancel_button(request, found, query) if is_checking or is_job else None,
        "tag": live.tag_of(found.status, cards, counts, query),
    }


def _headline(found: Operation, cards: list[Card], done: int, count: int) -> str:
    """How it stands in one sentence."""
    if found.status == Status.CHECKING:
        waiting = sum(card.is_open and card.is_mandatory for card in cards)
        return ngettext(
            "Waiting for %(n)s extension. Nothing has been done yet.",
            "Waiting for %(n)s extensions. Nothing has been done yet.",
            waiting,
        ) % {"n": waiting}
    if found.status == Status.RUNNING:
        if not jobs.is_job(found):
            return ngettext(
                "%(done)s of %(n)s instance is back. What ran is being stopped, and goes back when it has ended.",
                "%(done)s of %(n)s instances are back. What ran is being stopped, and goes back when it has ended.",
                count,
            ) % {"done": done, "n": count}
        return _("A worker does it in the background. You may leave this page: it goes on without it.")
    if found.status in (Status.BLOCKED, Status.CANCELLED):
        reason = found.targets.filter(reason__code=f"operation.{found.status}").values_list("reason", flat=True).first()
        return say(reason["code"], reason["params"]) if reason else ""
    if found.code in RUNS:
        return ngettext("%(n)s instance was made.", "%(n)s instances were made.", count) % {"n": count}
    if done == count:
        return ngettext("Done.", "Done for all %(n)s objects.", count) % {"n": count}
    return ngettext("Done for %(done)s of %(n)s object.", "Done for %(done)s of %(n)s objects.", count) % {
        "done": done,
        "n": count,
    }


def _blocked_by(found: Operation, cards: list[Card]) -> Card | None:
    """The card of the extension that blocked it."""
    if found.status != Status.BLOCKED:
        return None
    failed = [card for card in cards if card.is_mandatory and card.is_failed]
    return failed[0] if failed else None


def _cancel_button(request: ConsoleRequest, found: Operation, query: dict[str, str]) -> dict[str, str]:
    is_own = found.actor_id == request.user.pk
    needed = jobs.cancelling(found) if found.status == Status.RUNNING else Permission.MANAGE_EXTENSIONS
    return {
        "url": here(request, "operation_cancel", pk=found.pk) + (query_string(query) if query else ""),
        "why_not": "" if is_own else why_not(request, needed),
    }


def _again(request: ConsoleRequest, found: Operation) -> dict[str, Any] | None:
    """The button that asks for what was left undone once more."""
    spec = OPERATIONS.get(found.code)
    if spec is None or found.status in (Status.CHECKING, Status.RUNNING, Status.APPLIED):
        return None
    may = request.member.may(spec.permission) or request.member.may(spec.permission, own=True)
    return {
        "label": _("%(operation)s again") % {"operation": spec.name},
        "url": operation_url(request, spec.code, []) + query_string({"again": found.pk}),
        "why_not": "" if may else say("permission.missing", missing(spec.permission, request.member)),
    }


def _ask(request: ConsoleRequest, found: Operation, **context: Any) -> HttpResponse:
    """A question about the operation; left, it leads back to the panel or the page where it was asked."""
    values = request.POST if request.method == "POST" else request.GET
    is_panel = bool(values.get("panel"))
    back = back_url(request, values.get("next", "")) if is_panel else here(request, "operation", pk=found.pk)
    panel = here(request, "operation_checks", pk=found.pk) + query_string({"next": back})
    return ask(
        request,
        {
            **context,
            "hidden": [("panel", "1")] if is_panel else [],
            "back": back,
            "leave": _("Back"),
            "leave_url": panel if is_panel else "",
            "action_url": request.path,
        },
    )


def _after(request: ConsoleRequest, pk: int, words: str) -> HttpResponse:
    """The panel again where it was asked from there; else the operation's page, with a message."""
    if request.POST.get("panel") and is_partial(request):
        return checks_dialog(request, _operation(request, pk), back_url(request, request.POST.get("next", "")))
    messages.success(request, words)
    return go(request, here(request, "operation", pk=pk))
