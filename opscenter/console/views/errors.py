"""What went wrong, in the product's look: a page, or a message on the open page when only a part was asked for."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _

from opscenter.base.reasons import Forbidden, Invalid, NotFound, Refused, sentence
from opscenter.console.access import is_partial, open_to_all


def refused(request: HttpRequest, error: Refused) -> HttpResponse:
    """The answer to a request whose operation was refused: 403, 404, 409, or 422 where the request itself is wrong."""
    status = 422 if isinstance(error, Invalid) else error.status
    if isinstance(error, Forbidden):
        title = _("You may not do this here")
    elif isinstance(error, NotFound):
        title = _("Not found")
    elif isinstance(error, Invalid):
        title = _("Something in the request is wrong")
    else:
        title = _("This was not done")
    workspace = getattr(request, "workspace", None)
    with timezone.override(workspace.tenant.time_zone if workspace else None):
        text = str(error)
    return _answer(request, status, code=error.reason.code, title=title, text=text)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler404."""
    return _answer(
        request,
        404,
        title=_("There is no such page"),
        text=_("The address is wrong, or what it showed does not exist any more. Look for it from the start page."),
    )


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler403."""
    return _answer(
        request,
        403,
        title=_("You may not do this here"),
        text=_("Ask an administrator of the workspace for a role that allows it."),
    )


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler400."""
    return _answer(
        request,
        400,
        title=_("The request cannot be read"),
        text=_("Go back, load the page again and repeat what you did."),
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: needs neither the database nor the session, since either may be what failed."""
    context = {"status": 500, "request_id": getattr(request, "request_id", "")}
    if is_partial(request):
        return _as_toast(render(request, "console/errors/toast_500.html", context, status=500))
    return render(request, "console/errors/500.html", context, status=500)


@open_to_all
def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF_FAILURE_VIEW."""
    return _answer(
        request,
        403,
        code="csrf",
        title=_("This form is too old, or came from another site"),
        text=_(
            "Nothing was changed. Go back, load the page again and send the form once more. "
            "If it happens again, allow cookies for this site."
        ),
    )


def _answer(request: HttpRequest, status: int, *, title: str, text: str, code: str = "") -> HttpResponse:
    context = {
        "status": status,
        "code": code,
        "title": title,
        "text": text,
        "request_id": getattr(request, "request_id", ""),
    }
    if is_partial(request):
        return _as_toast(render(request, "console/errors/toast.html", context, status=status))
    return render(request, "console/errors/page.html", context, status=status)


def _as_toast(response: HttpResponse) -> HttpResponse:
    response["HX-Retarget"] = "#toasts"
    response["HX-Reswap"] = "beforeend"
    return response


@sentence("environment.unknown")
def _environment_unknown(params: Mapping[str, Any]) -> str:
    return _(
        "This workspace has no environment “%(environment)s”. "
        "Workspaces in basic mode have prod alone; those in standard mode have prod and dev."
    ) % {"environment": params["environment"]}
