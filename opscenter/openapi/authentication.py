"""Who calls: a verified signature names an access key, and the key its user."""

import threading
import time
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from opscenter.base import clock
from opscenter.openapi import signature
from opscenter.openapi.errors import fault, missing
from opscenter.workspaces import access_keys
from opscenter.workspaces.models import AccessKey, User

DEFAULT_CALLS_PER_SECOND = 200


def sent(request: HttpRequest) -> signature.Sent:
    """The request as it arrived, for the signature to be computed from."""
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in request.META.items()
        if name.startswith("HTTP_") or (name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value)
    }
    try:
        body = request.body
    except RequestDataTooBig:
        raise fault("RequestTooLarge", limit=settings.DATA_UPLOAD_MAX_MEMORY_SIZE) from None
    return signature.Sent(str(request.method), request.META.get("QUERY_STRING", ""), headers, body)


class SignatureAuthentication(BaseAuthentication):
    """DRF's door to the signature check; ``request.auth`` is the verified call."""

    def authenticate(self, request: Request) -> tuple[User, signature.Call]:
        keys: list[AccessKey] = []

        def key_of(key_id: str) -> signature.Key | None:
            key = access_keys.lookup(key_id)
            if key is None:
                return None
            keys.append(key)
            return signature.Key(access_keys.secret_of(key), access_keys.is_active(key))

        raw = sent(request._request)
        if not _has_credentials(raw):
            raise missing("AccessKeyId")
        call = signature.verify(raw, now=clock.now(), key_of=key_of, use_nonce=_use_nonce)
        if call.security_token:  # signed all right, but this installation issues none
            raise fault("InvalidSecurityToken.Malformed")
        access_keys.touch(keys[0], address_of(request._request))
        return keys[0].user, call


def _has_credentials(raw: signature.Sent) -> bool:
    return "authorization" in raw.headers or b"AccessKeyId=" in raw.query.encode("latin-1") + b"&" + raw.body
