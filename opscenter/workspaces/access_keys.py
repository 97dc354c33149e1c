"""Access keys: how programs say who they are. The key acts as its user; the secret is shown once, when it is made."""

import secrets
import string
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

from opscenter.base import clock
from opscenter.base.secrets import decrypt, encrypt
from opscenter.workspaces.models import AccessKey, User

_ALPHABET = string.ascii_letters + string.digits
_PREFIX = "LTAI5t"  # what tools that look for leaked keys search for
_TOUCH_EVERY = timedelta(minutes=1)


def create(user: User, description: str = "", *, scope: AccessKey.Scope = AccessKey.Scope.ALL) -> tuple[AccessKey, str]:
    """A new key of the user, and its secret, which cannot be shown again."""
    secret = _random(30)
    key = AccessKey.objects.create(
        key_id=_PREFIX + _random(18), secret=encrypt(secret), user=user, description=description, scope=scope
    )
    return key, secret


def revoke(key: AccessKey) -> None:
    """The key is refused from now on, for good; revoking again changes nothing."""
    now = clock.now()
    if AccessKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=now):
        key.revoked_at = now


def lookup(key_id: str) -> AccessKey | None:
    """The key with its user and tenant; also a revoked one."""
    return AccessKey.objects.select_related("user__tenant").filter(key_id=key_id).first()


def is_active(key: AccessKey) -> bool:
    """Whether requests may be signed with it: not revoked, and its user is not disabled."""
    return key.revoked_at is None and key.user.is_active


def secret_of(key: AccessKey) -> str:
    """The secret in clear, to check signatures with."""
    return decrypt(key.secret)


def touch(key: AccessKey, address: str | None) -> None:
    """Remember when and from where the key was used last; written at most once a minute."""
    now = timezone.now()
    if key.last_used_at is not None and abs(now - key.last_used_at) < _TOUCH_EVERY:
        return
    AccessKey.objects.filter(pk=key.pk).update(last_used_at=now, last_used_from=address)


def use_nonce(key_id: str, nonce: str, expires_at: datetime) -> bool:
    """Take a nonce for this key; False if it was taken before. Expired ones are swept by the scheduler."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO workspaces_nonce (key_id, nonce, expires_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            [key_id, nonce, expires_at],
        )
        return cursor.rowcount == 1


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
