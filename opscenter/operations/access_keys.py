"""Access keys of one's own: made and revoked. A key belongs to its user, not to a workspace."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from opscenter.base.reasons import Invalid, NotFound, sentence
from opscenter.operations.actor import Actor
from opscenter.workspaces import access_keys, audit
from opscenter.workspaces.models import AccessKey, User

MOST_ACTIVE = 20
"""Keys that one user may have at a time; more is a sign of keys nobody remembers."""


@transaction.atomic
def create(actor: Actor, description: str = "") -> tuple[AccessKey, str]:
    """A new key of the actor, and its secret, which cannot be shown again.

    Raises:
        Invalid: too many active keys.
    """
    User.objects.select_for_update(no_key=True).get(pk=actor.user.pk)  # two at once would pass the limit
    if AccessKey.objects.filter(user=actor.user, revoked_at=None).count() >= MOST_ACTIVE:
        raise Invalid("access_key.too_many", most=MOST_ACTIVE)
    key, secret = access_keys.create(actor.user, description)
    _record(actor, "access_key.create", key)
    return key, secret


@transaction.atomic
def revoke(actor: Actor, pk: int) -> AccessKey:
    """End a key of the actor for good; revoking it again changes nothing.

    Raises:
        NotFound: no such key, or another user's.
    """
    key = AccessKey.objects.select_for_update().filter(pk=pk, user=actor.user).first()
    if key is None:
        raise NotFound("access_key.unknown")
    if key.revoked_at is None:
        access_keys.revoke(key)
        _record(actor, "access_key.revoke", key)
    return key


def _record(actor: Actor, action: str, key: AccessKey) -> None:
    audit.record(
        actor.user,
        actor.face,
        action,
        tenant=actor.user.tenant,
        obj=("access_key", key.key_id, key.key_id),
        params={"description": key.description},
        address=actor.address,
    )


@sentence("access_key.unknown")
def _unknown(params: Mapping[str, Any]) -> str:
    return _("You have no such access key.")


@sentence("access_key.too_many")
def _too_many(params: Mapping[str, Any]) -> str:
    return _("You have %(most)s active access keys, which is the limit. Revoke one that is not used any more.") % params
