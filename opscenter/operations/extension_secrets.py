"""What an extension proves itself with: the signing secrets of its messages, and the access keys that it answers with."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from extensions import lifecycle
from extensions.models import Extension
from opscenter.base.reasons import Invalid, NotFound, sentence
from opscenter.operations.actor import Actor
from opscenter.operations.extension_permits import locked, require_change
from opscenter.operations.extensions import record
from opscenter.workspaces import access_keys
from opscenter.workspaces.models import AccessKey

MOST_KEYS = 5
"""Active access keys of one extension: one in use and one that takes over, and some room."""
MOST_SECRETS = 5
"""Signing secrets that are valid at a time; a message carries a signature of each."""


@transaction.atomic
def rotate_secret(actor: Actor, code: str) -> tuple[Extension, str]:
    """A new signing secret, which cannot be shown again; the one before stays valid for ``lifecycle.ROTATION``.

    Raises:
        NotFound, Forbidden: neither its owner nor an administrator of the tenant.
        Invalid: too many secrets are still valid.
    """
    extension = locked(actor, code)
    require_change(actor, extension)
    if len(lifecycle.valid_secrets(extension)) >= MOST_SECRETS:
        raise Invalid("extension.too_many_secrets", most=MOST_SECRETS)
    secret = lifecycle.new_secret(extension)
    record(actor, "extension.rotate_secret", extension)
    return extension, secret


@transaction.atomic
def create_key(actor: Actor, code: str) -> tuple[AccessKey, str]:
    """An access key with which the extension answers, and its secret, which cannot be shown again.

    Raises:
        NotFound, Forbidden: neither its owner nor an administrator of the tenant.
        Invalid: it has too many keys.
    """
    extension = locked(actor, code)
    require_change(actor, extension)
    if extension.keys.filter(access_key__revoked_at=None).count() >= MOST_KEYS:
        raise Invalid("extension.too_many_keys", most=MOST_KEYS)
    key, secret = lifecycle.new_key(extension)
    record(actor, "extension.create_key", extension, {"key": key.key_id})
    return key, secret


@transaction.atomic
def revoke_key(actor: Actor, code: str, pk: int) -> AccessKey:
    """End an access key of the extension for good; revoking it again changes nothing.

    Raises:
        NotFound, Forbidden: neither its owner nor an administrator of the tenant, or the extension has no such key.
    """
    extension = locked(actor, code)
    require_change(actor, extension)
    key = AccessKey.objects.filter(extension_key__extension=extension, pk=pk).first()
    if key is None:
        raise NotFound("extension.key_unknown")
    if key.revoked_at is None:
        access_keys.revoke(key)
        record(actor, "extension.revoke_key", extension, {"key": key.key_id})
    return key


@sentence("extension.too_many_secrets")
def _too_many_secrets(params: Mapping[str, Any]) -> str:
    return _("%(most)s signing secrets are valid, which is the limit. Each one ends 24 hours after the next.") % params


@sentence("extension.too_many_keys")
def _too_many_keys(params: Mapping[str, Any]) -> str:
    return (
        ngettext(
            "The extension has %(most)s active access key, which is the limit. Revoke it first.",
            "The extension has %(most)s active access keys, which is the limit. Revoke one that is not used any more.",
            params["most"],
        )
        % params
    )


@sentence("extension.key_unknown")
def _key_unknown(params: Mapping[str, Any]) -> str:
    return _("The extension has no such access key.")
