"""The token of one check's callback: an HMAC of the check, so that it can be sent again without being stored."""

import base64
import hmac
from hashlib import sha256

from django.conf import settings

from extensions.models import Check


def token_of(check: Check) -> str:
    """What whoever answers this check by its callback URL must show; good for nothing else."""
    told = f"extensions.callback:{check.pk}:{check.event_id}".encode()
    digest = hmac.new(settings.SECRET_KEY.encode(), told, sha256).digest()
    return "cbt_" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def is_token_of(check: Check, token: str) -> bool:
    """Whether the token is this check's; takes the same time whether or not it is."""
    return hmac.compare_digest(token_of(check).encode(), token.encode(errors="replace"))


def callback_url(check: Check) -> str:
    """Where the check is answered by a plain HTTP request."""
    return f"{settings.PUBLIC_URL}/callbacks/checks/{check.pk}"
