"""Turns an operation's refusal into its page, or into a message on the page that is open."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from opscenter.base.reasons import Refused
from opscenter.console.views.errors import refused


class ReasonsMiddleware:
    """Views let reasons.Refused pass; here it gets its status and its sentence."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """Django's hook; None leaves the exception to the next one."""
        return refused(request, exception) if isinstance(exception, Refused) else None
