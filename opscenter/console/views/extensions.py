"""Extensions for those who make and review them: the list, the review queue, an extension's page, its steps."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.contrib import messages
from django.db.models import F, Model, QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_GET, require_http_methods, require_safe

from extensions.models import Check, Delivery, Extension
from opscenter.base.reasons import Invalid
from opscenter.console import extension_log as log
from opscenter.console import extension_parts as parts
from opscenter.console import live
from opscenter.console.access import ConsoleRequest, actor, go, here, in_workspace, is_partial, permitted, why_not
from opscenter.console.dialogs import ask
from opscenter.console.extension_forms import CommentForm, ExtensionForm, facts_of
from opscenter.console.extension_looks import of_status
from opscenter.console.forms import refuse
from opscenter.console.paging import Order, Page, page
from opscenter.operations import extensions
from opscenter.operations.extension_permits import (
    STEPS,
    Comment,
    administers,
    checks_visible_to,
    deliveries_visible_to,
    find,
    require_change,
    require_step,
    reviewed_refusal,
)
from opscenter.operations.workspaces import require_tenant_admin
from opscenter.workspaces.models import Member, Workspace
from opscenter.workspaces.roles import Permission

VIEWS = ("overview", "events", "deliveries")
SUGGESTIONS = 200
"""User names offered where one is typed."""
_LONGEST_NUMBER = 16
M = TypeVar("M", bound=Model)
_STEP_TITLES = {
    "submit": gettext_lazy("Submit “%(extension)s” for approval?"),
    "withdraw": gettext_lazy("Withdraw “%(extension)s” from approval?"),
    "approve": gettext_lazy("Approve “%(extension)s”?"),
    "refuse": gettext_lazy("Refuse “%(extension)s”?"),
    "publish": gettext_lazy("Publish “%(extension)s”?"),
    "reopen": gettext_lazy("Take “%(extension)s” back to testing?"),
    "disable": gettext_lazy("Disable “%(extension)s” everywhere?"),
}
_STEP_TEXTS = {
    "submit": gettext_lazy(
        "An administrator of the tenant looks at it. Meanwhile it stays in effect in its test workspace alone, and only "
        "they can change its webhook address and its extension points."
    ),
    "withdraw": gettext_lazy("It goes back to testing, where you can change all of it."),
    "approve": gettext_lazy("Its owner, or an administrator of the tenant, can publish it then."),
    "refuse": gettext_lazy("Its owner sees your comment, and can submit it again."),
    "publish": gettext_lazy(
        "Every workspace of the tenant can enable it from then on. Where it is enabled already, it is asked at once."
    ),
    "reopen": gettext_lazy(
        "It is in effect in its test workspace alone, and must be approved again before it is published."
    ),
    "disable": gettext_lazy(
        "It is asked nowhere any more. Its open checks end as passed, and operations that waited for them alone are "
        "carried out."
    ),
}


@require_GET
@in_workspace
def show_list(request: ConsoleRequest) -> HttpResponse:
    """One's own extensions; for administrators all of the tenant."""
    is_admin = administers(actor(request))
    found = Extension.objects.filter(tenant=request.workspace.tenant_id)
    if not is_admin:
        found = found.filter(owner=request.user)
    shown = page(parts.with_counts(found), Order(), request.GET)
    context = {
        "page": shown,
        "rows": parts.rows(request, shown.rows),
        "tabs": _list_tabs(request, is_review=False),
        "is_admin": is_admin,
        "register_url": here(request, "extension_register"),
        "why_not": why_not(request, Permission.DEVELOP_EXTENSIONS),
    }
    return render(request, "console/extensions/list.html", context)


@require_GET
@in_workspace
def review(request: ConsoleRequest) -> HttpResponse:
    """What waits for an administrator's word, the longest first."""
    require_tenant_admin(actor(request))
    found = _waiting(request).select_related("owner", "test_workspace").order_by("status_at")
    rows = [
        {
            "extension": one,
            "url": here(request, "extension", code=one.code),
            "points": parts.points_told(one),
            "approve_url": here(request, "extension_step", code=one.code, step="approve"),
            "refuse_url": here(request, "extension_step", code=one.code, step="refuse"),
        }
        for one in found
    ]
    context = {"rows": rows, "tabs": _list_tabs(request, is_review=True)}
    return render(request, "console/extensions/review.html", context)


def _waiting(request: ConsoleRequest) -> Any:
    return Extension.objects.filter(tenant=request.workspace.tenant_id, status=Extension.Status.IN_REVIEW)


def _list_tabs(request: ConsoleRequest, *, is_review: bool) -> list[dict[str, Any]]:
    """The review queue is for administrators; without it there is nothing to choose between."""
    if not administers(actor(request)):
        return []
    return [
        {
            "label": _("All extensions"),
            "url": here(request, "extension_list"),
            "active": not is_review,
            "count": None,
        },
        {
            "label": _("Review queue"),
            "url": here(request, "extension_review"),
            "active": is_review,
            "count": _waiting(request).count(),
        },
    ]


@cache_control(no_store=True, private=True)
@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.DEVELOP_EXTENSIONS)
def register(request: ConsoleRequest) -> HttpResponse:
    """A new extension; the answer shows its signing secret, this once."""
    initial = {"test_workspace": request.workspace.pk, "owner": request.user.username}
    form = _form(request, _developed(request), initial=initial)
    back = here(request, "extension_list")
    if request.method == "POST" and form.is_valid():
        try:
            made, secret = extensions.register(actor(request), form.facts(request.workspace.tenant))
        except Invalid as error:
            refuse(form, error)
        else:
            context = {
                "extension": made,
                "secret": secret,
                "title": _("The extension was registered"),
                "is_new": True,
                "back": here(request, "extension", code=made.code),
            }
            template = "secret_dialog.html" if is_partial(request) else "secret.html"
            return render(request, f"console/extensions/{template}", context)
    return ask(
        request,
        title=_("Register an extension"),
        text=_("A program that is asked before an operation takes effect, and may stop it."),
        verb=_("Register"),
        back=back,
        form=form,
    )


@require_http_methods(["GET", "POST"])
@in_workspace
def edit(request: ConsoleRequest, code: str) -> HttpResponse:
    """Change what is said of an extension."""
    extension = find(actor(request), code)
    require_change(actor(request), extension)
    back = here(request, "extension", code=code)
    places = {one.pk: one for one in [extension.test_workspace, *_developed(request)]}
    locked = parts.told(reviewed_refusal(actor(request), extension))
    form = _form(request, list(places.values()), locked=locked, initial=facts_of(extension))
    if request.method == "POST" and form.is_valid():
        try:
            made = extensions.update(actor(request), code, form.facts(extension.tenant))
        except Invalid as error:
            refuse(form, error)
        else:
            messages.success(request, _("The extension “%(extension)s” was changed.") % {"extension": made})
            is_still_seen = made.owner == request.user or administers(actor(request))
            return go(request, back if is_still_seen else here(request, "extension_list"))
    return ask(
        request,
        title=_("Change the extension “%(extension)s”") % {"extension": extension},
        verb=_("Save"),
        back=back,
        form=form,
    )


def _form(request: ConsoleRequest, places: list[Workspace], **kwargs: Any) -> ExtensionForm:
    members = Member.objects.filter(workspace__in=places, user__is_active=True)
    names = members.order_by("user__username").values_list("user__username", flat=True).distinct()[:SUGGESTIONS]
    return ExtensionForm(
        request.POST if request.method == "POST" else None, workspaces=places, usernames=names, **kwargs
    )


def _developed(request: ConsoleRequest) -> list[Workspace]:
    """The workspaces in which the reader may register extensions; the one that is open first."""
    found = Workspace.objects.permitting(request.user, Permission.DEVELOP_EXTENSIONS).select_related("tenant")
    return sorted(found.order_by("name"), key=lambda one: one.pk != request.workspace.pk)


@require_http_methods(["GET", "POST"])
@in_workspace
def take(request: ConsoleRequest, code: str, step: str) -> HttpResponse:
    """A step in an extension's life, after a question."""
    extension = find(actor(request), code)
    if step not in STEPS:
        raise Http404
    spec = STEPS[step]
    require_step(spec, actor(request), extension)
    back = here(request, "extension", code=code)
    form = None
    if spec.comment is not Comment.NONE:
        is_required = spec.comment is Comment.REQUIRED
        form = CommentForm(request.POST if request.method == "POST" else None, is_required=is_required)
    if request.method == "POST" and (form is None or form.is_valid()):
        extensions.take(step, actor(request), code, form.cleaned_data["comment"] if form else "")
        done = {"extension": extension, "status": Extension.objects.get(pk=extension.pk).get_status_display()}
        messages.success(request, _("The extension “%(extension)s” is “%(status)s” now.") % done)
        return go(request, back)
    return ask(
        request,
        title=_STEP_TITLES[step] % {"extension": extension},
        text=str(_STEP_TEXTS[step]),
        names=_disabled_in(extension) if step == "disable" else [],
        verb=str(spec.name),
        back=back,
        form=form,
        irreversible=step == "disable" and _open_checks(extension).exists(),
    )


def _open_checks(extension: Extension) -> Any:
    return Check.objects.filter(extension=extension, state=Check.State.CHECKING)


def _disabled_in(extension: Extension) -> list[dict[str, Any]]:
    """The workspaces that lose it, each with the number of checks that end."""
    counts: dict[int, int] = {}
    for workspace in _open_checks(extension).values_list("event__workspace", flat=True):
        counts[workspace] = counts.get(workspace, 0) + 1
    enabled = extension.enablements.filter(is_enabled=True).values_list("workspace", flat=True)
    found = Workspace.objects.filter(pk__in={*counts, *enabled}).order_by("name")
    return [{"name": str(one), "note": _open_words(counts.get(one.pk, 0))} for one in found]


def _open_words(count: int) -> str:
    if not count:
        return ""
    return ngettext("%(n)s open check", "%(n)s open checks", count) % {"n": count}


@require_safe
@in_workspace
def show(request: ConsoleRequest, code: str) -> HttpResponse:
    """One extension, or with ``live`` the part of a log that keeps itself up to date."""
    view = request.GET.get("view", VIEWS[0])
    if view not in VIEWS:
        raise Http404
    extension = find(actor(request), code)
    context = {
        "extension": extension,
        "look": of_status(extension),
        "view": view,
        "part": f"console/extensions/{view}.html",
        "tabs": _tabs(view),
        "crumbs": [(_("Extensions"), here(request, "extension_list"))],
        "why_not": parts.why_no_change(request, extension),
        "edit_url": here(request, "extension_edit", code=code),
        "test_url": here(request, "extension_send_test", code=code),
        "test_why_not": _why_no_test(request, extension),
        "steps": parts.steps(request, extension),
        **_PARTS[view](request, extension),
    }
    if is_partial(request) and "live" in request.GET:
        return live.fragment(request, context["part"], context)
    return live.whole(request, "console/extensions/page.html", context)


def _tabs(view: str) -> list[dict[str, Any]]:
    labels = {"overview": _("Overview"), "events": _("Events"), "deliveries": _("Deliveries")}
    return [
        {"label": label, "url": "?" if code == VIEWS[0] else f"?view={code}", "active": code == view, "count": None}
        for code, label in labels.items()
    ]


def _why_no_test(request: ConsoleRequest, extension: Extension, *, sees_it: bool = False) -> str:
    """Why nothing can be sent by hand; ``sees_it``: who manages it in a workspace may send again what is about that one."""
    if not sees_it and (reason := parts.why_no_change(request, extension)):
        return reason
    if extension.status == Extension.Status.DISABLED:
        return _("It is disabled: nothing is sent to it.")
    return ""


def _overview(request: ConsoleRequest, extension: Extension) -> dict[str, Any]:
    return {
        "effect": parts.effect(request, extension),
        "schemas": parts.schemas(extension),
        "options": parts.options_of(extension),
        "stopped": parts.stopped(extension),
        "failing": parts.failing(request, extension),
        "resume_url": here(request, "extension_resume", code=extension.code),
        "places": parts.places(request, extension),
        "is_refused": extension.status == Extension.Status.REFUSED,
        "secrets": parts.secrets(extension),
        "keys": [
            (one.access_key, here(request, "extension_key_revoke", code=extension.code, pk=one.access_key_id))
            for one in extension.keys.select_related("access_key")
            .defer("access_key__secret")
            .order_by(F("access_key__revoked_at").desc(nulls_first=True), "-pk")
        ],
        "rotate_url": here(request, "extension_rotate", code=extension.code),
        "key_url": here(request, "extension_key_create", code=extension.code),
    }


def _events(request: ConsoleRequest, extension: Extension) -> dict[str, Any]:
    found = checks_visible_to(actor(request), extension).select_related("event", "extension")
    shown, live_context = _logged(request, found)
    is_open = any(check.state == Check.State.CHECKING for check in shown.rows)
    return {"rows": log.event_rows(request, extension, shown.rows), **live_context, "every": _every(is_open)}


def _deliveries(request: ConsoleRequest, extension: Extension) -> dict[str, Any]:
    found = deliveries_visible_to(actor(request), extension).select_related("event", "of_check__event", "extension")
    shown, live_context = _logged(request, found)
    is_open = any(one.status == Delivery.Status.PENDING for one in shown.rows)
    return {
        "rows": log.delivery_rows(request, extension, shown.rows),
        **live_context,
        "every": _every(is_open),
        "send_again_url": here(request, "extension_send_again", code=extension.code),
        "send_again_why_not": parts.stopped(extension) or _why_no_test(request, extension, sees_it=True),
    }


def _every(is_open: bool) -> int:
    return live.QUICK if is_open else live.SLOW


def _logged(request: ConsoleRequest, found: "QuerySet[M]") -> tuple[Page[M], dict[str, Any]]:
    """A page of a log. While it is open nothing is put above its first row, which ``top`` names; it is announced."""
    top, arrived = request.GET.get("top", ""), 0
    if top.isascii() and top.isdigit() and len(top) < _LONGEST_NUMBER:
        arrived = found.filter(pk__gt=int(top)).count()
        found = found.filter(pk__lte=int(top))
    shown = page(found, Order(), request.GET)
    query = request.GET.copy()
    query["live"] = "1"
    if shown.rows and shown.before is None:
        query.setdefault("top", str(shown.rows[0].pk))
    return shown, {
        "page": shown,
        "arrived": arrived,
        "here_url": f"{request.path}?view={request.GET['view']}",
        "poll_url": f"{request.path}?{query.urlencode()}",
    }


_PARTS: dict[str, Callable[[ConsoleRequest, Extension], dict[str, Any]]] = {
    "overview": _overview,
    "events": _events,
    "deliveries": _deliveries,
}
