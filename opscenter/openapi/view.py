"""The one door of the wire protocol: verify, parse, call one operation, answer in JSON (spec/openapi.md 1 to 4)."""

import math
import time
import uuid
from collections.abc import Callable
from typing import Any, NoReturn, cast
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation
from rest_framework import exceptions
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from opscenter.base.reasons import Refused
from opscenter.openapi import operations as _operations  # noqa: F401  importing them registers them
from opscenter.openapi import registry
from opscenter.openapi.authentication import KeyThrottle, SignatureAuthentication, address_of, caller, scope_of
from opscenter.openapi.errors import WireError, fault
from opscenter.openapi.reasons import wire_error
from opscenter.operations.actor import Actor
from opscenter.workspaces.models import AuditEntry

logger = structlog.get_logger(__name__)

ERROR_PAGES = "/openapi/errors/"


class Json(JSONRenderer):
    """JSON whatever was asked for (``Format=XML``, any Accept): every official client reads it."""

    charset = "utf-8"


class AlwaysJson(BaseContentNegotiation):
    def select_parser(self, request: Request, parsers: Any) -> None:
        return None

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


class OpenApiView(APIView):
    """Answers every call of both API versions; the action chooses the operation."""

    authentication_classes = [SignatureAuthentication]
    throttle_classes = [KeyThrottle]
    permission_classes: list[Any] = []  # each operation asks for its own permission
    parser_classes: list[Any] = []  # only what the signature check returns is read
    renderer_classes = [Json]
    content_negotiation_class = AlwaysJson
    http_method_names = ["get", "post", "put"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        self.request_id = str(uuid.uuid4()).upper()
        self.api = self.key_id = ""
        started = time.perf_counter()
        named = structlog.contextvars.bound_contextvars(request_id=self.request_id)
        with translation.override("en"), timezone.override(None), named:
            response = cast(Response, super().dispatch(request, *args, **kwargs))
            response.render()
            logger.info(
                "openapi.call",
                api=self.api,
                access_key_id=self.key_id,
                status=response.status_code,
                code=response.data.get("Code"),
                ms=round((time.perf_counter() - started) * 1000, 1),
            )
        response.headers["x-acs-request-id"] = self.request_id
        return response

    def perform_authentication(self, request: Request) -> None:
        super().perform_authentication(request)
        user, call = caller(request)
        timezone.activate(ZoneInfo(user.tenant.time_zone))  # moments in sentences; dispatch undoes it
        self.key_id = call.key_id
        self.api = f"{call.action} {call.version}"[:64]

    def throttled(self, request: Request, wait: float) -> NoReturn:
        error = fault("Throttling.User", rate=f"{KeyThrottle.rate():g}")
        # milliseconds; with this header Tea clients raise their throttling error and know how long to wait
        error.headers = {"x-acs-retry-after": str(math.ceil(wait * 1000)), "Retry-After": str(math.ceil(wait))}
        raise error

    def post(self, request: Request) -> Response:
        """Carry out the call; GET and PUT are the same."""
        user, call = caller(request)
        operation = registry.find(call.version, call.action)
        operation.admit(scope_of(request))
        args = operation.request.read(call.params)
        actor = Actor(
            user=user,
            face=AuditEntry.Face.API,
            address=address_of(request._request),
            access_key_id=call.key_id,
            request_id=self.request_id,
            api=self.api,
        )
        return Response({"RequestId": self.request_id, **operation.handler(actor, args)})

    get = post
    put = post

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response]:
        return self._answer_error

    def _answer_error(self, error: Exception, context: dict[str, Any]) -> Response:
        answer = self._as_wire_error(error)
        body: dict[str, Any] = {
            "RequestId": self.request_id,
            "HostId": self.request.META.get("HTTP_HOST", ""),
            "Code": answer.code,
            "Message": answer.message,
            "Recommend": f"{settings.PUBLIC_URL}{ERROR_PAGES}{answer.code}",
        }
        if answer.http == 403:
            body["AccessDeniedDetail"] = answer.detail
        return Response(body, status=answer.http, headers=dict(answer.headers))

    def _as_wire_error(self, error: Exception) -> WireError:
        if isinstance(error, WireError):
            return error
        if isinstance(error, Refused):
            return wire_error(error, str(caller(self.request)[0].uid))
        if isinstance(error, exceptions.MethodNotAllowed):
            return fault("UnsupportedHTTPMethod", method=self.request.method)
        logger.error("openapi.failed", api=self.api, exc_info=error)
        return fault("ServiceUnavailable" if isinstance(error, OperationalError) else "InternalError.System")


def answer(request: HttpRequest) -> HttpResponse:
    """Answer a request of the wire protocol."""
    return _view(request)


_view = OpenApiView.as_view()
