"""Who calls: a verified signature names an access key, and the key its user."""

import threading
import time
from typing import cast

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from opscenter.base import clock
from opscenter.openapi import signature
from opscenter.openapi.errors import fault
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
        call = signature.verify(raw, now=clock.now(), key_of=key_of, use_nonce=access_keys.use_nonce)
        if call.security_token:  # signed all right, but this installation issues none
            raise fault("InvalidSecurityToken.Malformed")
        access_keys.touch(keys[0], address_of(request._request))
        return keys[0].user, call


def caller(request: Request) -> tuple[User, signature.Call]:
    """What SignatureAuthentication found out, typed."""
    return cast(User, request.user), cast(signature.Call, request.auth)


def address_of(request: HttpRequest) -> str | None:
    """The caller's IP address, if the server knows one."""
    return request.META.get("REMOTE_ADDR") or None


class KeyThrottle(BaseThrottle):
    """So many calls a second for each access key, counted in this process; a second's worth may come at once."""

    _lock = threading.Lock()
    _buckets: dict[str, tuple[float, float]] = {}
    _MOST_BUCKETS = 10_000

    def __init__(self) -> None:
        self._wait = 0.0

    @classmethod
    def reset(cls) -> None:
        """Forget who called how often."""
        with cls._lock:
            cls._buckets.clear()

    @staticmethod
    def rate() -> float:
        """Calls a second that one key may make."""
        return float(getattr(settings, "OPENAPI_CALLS_PER_SECOND", DEFAULT_CALLS_PER_SECOND))

    def allow_request(self, request: Request, view: APIView) -> bool:
        key, rate, now = caller(request)[1].key_id, self.rate(), time.monotonic()
        with self._lock:
            if len(self._buckets) > self._MOST_BUCKETS:  # forgetting errs on the side of the callers
                self._buckets.clear()
            left, at = self._buckets.get(key, (rate, now))
            left = min(rate, left + (now - at) * rate)
            allowed = left >= 1
            self._buckets[key] = (left - 1 if allowed else left, now)
        self._wait = 0.0 if allowed else (1 - left) / rate
        return allowed

    def wait(self) -> float:
        return self._wait
