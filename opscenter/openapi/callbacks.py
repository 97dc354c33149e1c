"""The callback URL of a check: any program answers it with one plain HTTP request, without a signature.

The token of the message's ``callbackToken`` is all the caller needs, and opens nothing else; it is read from the
Authorization header or from the body, never from the address, which logs keep. Answered before hosts, sessions and
CSRF, as calls of the wire are.
"""

import json
import math
import re
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import structlog
from django.conf import settings
from django.db import OperationalError
from django.http import HttpRequest, JsonResponse
from django.utils import translation

from extensions.models import Check
from opscenter.base.reasons import Refused
from opscenter.openapi.errors import WireError, fault, invalid
from opscenter.openapi.fields import Integer, Request, Text, Word
from opscenter.openapi.reasons import wire_error
from opscenter.openapi.throttle import Buckets
from opscenter.openapi.view import ERROR_PAGES
from opscenter.operations import checked

logger = structlog.get_logger(__name__)

PREFIX = "/callbacks/"
MOST_BYTES = 64 * 1024
CALLS_PER_SECOND = 20.0
"""Of one token. A forged one has its own count, so nobody can stop an extension from answering."""
_CHECK = re.compile(r"/callbacks/checks/([0-9]{1,18})/?")
_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)
_FORM, _JSON = "application/x-www-form-urlencoded", "application/json"
_buckets = Buckets()


class Answer(Request):
    """What may be said, in any case of the names: a final Result, or how far the work is."""

    Result = Word(*Check.Verdict.values, required=False)
    Progress = Integer(32, low=0, high=100, required=False)
    Message = Text(MOST_BYTES, required=False)
    Token = Text(required=False)


_NAMES = frozenset(Answer().fields)


def answer(request: HttpRequest) -> JsonResponse:
    """Take a verdict or a progress report."""
    request_id = getattr(request, "request_id", None) or str(uuid.uuid4()).upper()
    started = time.perf_counter()
    with translation.override("en"):
        try:
            check = _take(request)
        except Exception as error:
            refusal = _as_wire_error(error)
            status, headers, body = refusal.http, refusal.headers, _error_body(refusal)
        else:
            status, headers = 200, {}
            body = {"Success": True, "State": Check.State(check.state).name.capitalize()}
    logger.info(
        "callback.call",
        path=request.path_info[:64],
        status=status,
        code=body.get("Code"),
        ms=round((time.perf_counter() - started) * 1000, 1),
    )
    return JsonResponse(
        body | {"RequestId": request_id}, status=status, headers={"Cache-Control": "no-store", **headers}
    )


def _as_wire_error(error: Exception) -> WireError:
    if isinstance(error, Refused):
        error = wire_error(error, "")
    if not isinstance(error, WireError):
        logger.error("callback.failed", exc_info=error)
        return fault("ServiceUnavailable" if isinstance(error, OperationalError) else "InternalError.System")
    if error.http == 401:
        error.headers = {"WWW-Authenticate": "Bearer"}
    return error


def _error_body(error: WireError) -> dict[str, Any]:
    page = f"{settings.PUBLIC_URL}{ERROR_PAGES}{error.code}"
    return {"Code": error.code, "Message": error.message, "Recommend": page}


def _take(request: HttpRequest) -> Check:
    path = _CHECK.fullmatch(request.path_info)
    if path is None:
        raise fault("Invalid.Check.NotExist", detail="There is no such callback. Use the callbackUrl as it came.")
    if request.method != "POST":
        error = fault("Invalid.Callback.Method", method=request.method)
        error.headers = {"Allow": "POST"}
        raise error
    said = _read(request)
    token = _token(request, said)
    if wait := _buckets.take(token[:64], CALLS_PER_SECOND):
        error = fault("Throttling.Callback", rate=f"{CALLS_PER_SECOND:g}")
        error.headers = {"Retry-After": str(math.ceil(wait))}
        raise error
    number, words = int(path[1]), said["Message"] or ""
    if said["Result"]:  # the verdict is final, whatever progress comes with it
        return checked.answer_by_token(number, token, Check.Verdict(said["Result"]), words)
    if said["Progress"] is None:
        raise WireError("MissingResult", 400, "Give a Result (OK, WARN or FAIL), or a Progress (0 to 100).")
    return checked.report_by_token(number, token, said["Progress"], words)


def _token(request: HttpRequest, said: Mapping[str, Any]) -> str:
    header = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    token = header[1] if header else said["Token"]
    if not token:
        raise fault("Invalid.Check.Token", detail="The request has no token.")
    return str(token)


def _read(request: HttpRequest) -> dict[str, Any]:
    """What the body says.

    Raises:
        WireError: it is too large, of another type, or malformed.
    """
    if int(request.META.get("CONTENT_LENGTH") or 0) > MOST_BYTES:
        raise fault("RequestTooLarge", limit=MOST_BYTES)
    body = request.body
    kind = (request.content_type or _FORM).lower()
    if kind not in (_FORM, _JSON):
        raise fault("Invalid.Callback.MediaType", kind=kind[:100])
    try:
        text = body.decode()
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict") if kind == _FORM else _json_pairs(text)
    except (ValueError, RecursionError):
        raise fault(
            "InvalidParameter.Format", detail="The body must be UTF-8: form fields, or one JSON object."
        ) from None
    return Answer.read(_once(pairs))


def _json_pairs(text: str) -> Iterable[tuple[str, Any]]:
    """The members of a JSON object, repeated ones too."""
    value = json.loads(text, object_pairs_hook=lambda pairs: pairs) if text.strip() else []
    if not isinstance(value, list) or text.lstrip()[:1] not in ("{", ""):
        raise ValueError("no object")
    return value


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The known ones by their names, capitalised. One that is given twice could mean either."""
    said: dict[str, Any] = {}
    for name, value in ((name.capitalize(), value) for name, value in pairs):
        if name in said:
            raise invalid(name, "It is given twice.")
        if name in _NAMES:
            said[name] = value
    return said
