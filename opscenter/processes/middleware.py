"""What stands before every view: a request id, the health checks, the content security policy."""

import re
import uuid
from collections.abc import Callable

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from opscenter.processes import health as checks

GetResponse = Callable[[HttpRequest], HttpResponseBase]
_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def request_id(get_response: GetResponse) -> GetResponse:
    """Names each request: taken from ``X-Request-Id`` if a proxy gave one, in each log line, and in the answer."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-Id", "")
        identifier = given if _ACCEPTABLE_ID.fullmatch(given) else str(uuid.uuid4()).upper()
        request.request_id = identifier  # type: ignore[attr-defined]  # read by the faces
        with structlog.contextvars.bound_contextvars(request_id=identifier):
            response = get_response(request)
        response.headers["X-Request-Id"] = identifier
        return response

    return middleware


def health(get_response: GetResponse) -> GetResponse:
    """Answers /healthz and /readyz, by whatever host name a probe asks."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        check = checks.CHECKS.get(request.path_info)
        return get_response(request) if check is None else check(request)

    return middleware


def content_security_policy(get_response: GetResponse) -> GetResponse:
    """Pages load nothing from elsewhere and run nothing inline."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", settings.CONTENT_SECURITY_POLICY)
        return response

    return middleware
