"""Secrets at rest: encrypted with the installation's keys, the first of which encrypts (Fernet)."""

from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class SecretUnreadable(Exception):
    """No key of OPSCENTER_ENCRYPTION_KEYS opens this secret; put the key back that encrypted it."""


@lru_cache(maxsize=4)
def _box(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(plain: str) -> str:
    """The secret as it may be stored."""
    return _box(tuple(settings.ENCRYPTION_KEYS)).encrypt(plain.encode()).decode()


def decrypt(stored: str) -> str:
    """The secret itself.

    Raises:
        SecretUnreadable: the key it was encrypted with is not among the installation's keys.
    """
    try:
        return _box(tuple(settings.ENCRYPTION_KEYS)).decrypt(stored.encode()).decode()
    except InvalidToken as error:
        raise SecretUnreadable(str(SecretUnreadable.__doc__)) from error
