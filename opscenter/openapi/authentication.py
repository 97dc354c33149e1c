"""Who calls: a verified signature names an access key, and the key its user."""

from dataclasses import dataclass
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
from opscenter.openapi.throttle import Buckets
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


@dataclass(frozen=True)
class Verified:
    """A call whose signature is right, and the key that it was signed with."""

    call: signature.Call
    key: AccessKey


class SignatureAuthentication(BaseAuthentication):
    """DRF's door to the signature check; ``request.auth`` is what it found."""

    def authenticate(self, request: Request) -> tuple[User, Verified]:
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
        return keys[0].user, Verified(call, keys[0])


def caller(request: Request) -> tuple[User, signature.Call]:
    """Who calls, and what."""
    return cast(User, request.user), cast(Verified, request.auth).call


def scope_of(request: Request) -> AccessKey.Scope:
    """How much the key that signed the call may do."""
    return AccessKey.Scope(cast(Verified, request.auth).key.scope)


def address_of(request: HttpRequest) -> str | None:
    """The caller's IP address, if the server knows one."""
    return request.META.get("REMOTE_ADDR") or None


class KeyThrottle(BaseThrottle):
    """So many calls a second for each access key."""

    _buckets = Buckets()

    def __init__(self) -> None:
        self._wait = 0.0

    @classmethod
    def reset(cls) -> None:
        """Forget who called how often."""
        cls._buckets.reset()

    @staticmethod
    def rate() -> float:
        """Calls a second that one key may make."""
        return float(getattr(settings, "OPENAPI_CALLS_PER_SECOND", DEFAULT_CALLS_PER_SECOND))

    def allow_request(self, request: Request, view: APIView) -> bool:
        self._wait = self._buckets.take(caller(request)[1].key_id, self.rate())
        return not self._wait

    def wait(self) -> float:
        return self._wait
