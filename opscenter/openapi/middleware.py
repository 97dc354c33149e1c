"""Tells calls of the wire protocol from visits of the console; both live on the same port.

First of all middleware: a call has no session, no CSRF token and no language, and its Host header is only signed, never
used (some clients send ``http://127.0.0.1:8080`` there), so nothing that asks for the host may run. So it is with what
extensions say at the callback URL of a check.
"""

import re
from collections.abc import Callable

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse

from opscenter.openapi import callbacks, error_pages, view

PREFIX = "/openapi/"
_ACTION = re.compile(rb"(?:^|&)Action=")


class OpenApiMiddleware:
    """Answers calls and callbacks itself and passes everything else on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        path = request.path_info
        if is_call(request):
            return view.answer(request)
        if path.startswith(callbacks.PREFIX):
            return callbacks.answer(request)
        if path.startswith(view.ERROR_PAGES):
            return error_pages.answer(path.removeprefix(view.ERROR_PAGES))
        return self._get_response(request)


def is_call(request: HttpRequest) -> bool:
    """Whether this is a call: the root path or the prefix, with x-acs-action or an Action parameter."""
    if request.path_info not in ("/", PREFIX, PREFIX.rstrip("/")):
        return False
    query = request.META.get("QUERY_STRING", "").encode("latin-1")
    if "HTTP_X_ACS_ACTION" in request.META or _ACTION.search(query):
        return True
    form = request.META.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
    return request.method in ("POST", "PUT") and form and _action_in_body(request)


def _action_in_body(request: HttpRequest) -> bool:
    try:
        return _ACTION.search(request.body) is not None
    except RequestDataTooBig:
        return True  # the view says so in its own form
