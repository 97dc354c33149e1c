"""An extension's life: its statuses, its signing secrets, its keys, and where it is in effect.

Who may do what is the operations' matter; here is what is possible at all.
"""

import base64
import secrets as random
from datetime import timedelta

from django.db.models import Q, QuerySet

from extensions.models import Enablement, Extension, ExtensionKey, ExtensionSecret
from opscenter.base import clock
from opscenter.base.reasons import Refused
from opscenter.base.secrets import decrypt, encrypt
from opscenter.workspaces import access_keys
from opscenter.workspaces.models import AccessKey, User, Workspace

Status = Extension.Status
ROTATION = timedelta(hours=24)
"""How long the older secret stays valid after a rotation: messages carry signatures of both."""
_SECRET_BYTES = 32

NEXT_STATUS: dict[Status, frozenset[Status]] = {
    Status.TESTING: frozenset({Status.IN_REVIEW, Status.DISABLED}),
    Status.IN_REVIEW: frozenset({Status.APPROVED, Status.REFUSED, Status.TESTING, Status.DISABLED}),
    Status.REFUSED: frozenset({Status.IN_REVIEW, Status.DISABLED}),
    Status.APPROVED: frozenset({Status.ONLINE, Status.TESTING, Status.DISABLED}),
    Status.ONLINE: frozenset({Status.DISABLED}),
    Status.DISABLED: frozenset({Status.TESTING}),
}
"""From each status the ones that may follow. A disabled extension starts again with Testing, so that it is reviewed anew."""

IN_TEST = (Status.TESTING, Status.IN_REVIEW, Status.APPROVED, Status.REFUSED)
"""Statuses in which it is in effect in its test workspace alone."""


def move(extension: Extension, after: Status) -> None:
    """Change the status.

    Raises:
        Refused: the new status does not follow from the present one.
    """
    moved = Extension.objects.filter(
        pk=extension.pk, status__in=[before for before, nexts in NEXT_STATUS.items() if after in nexts]
    ).update(status=after, status_at=clock.now())
    if not moved:
        extension.refresh_from_db()
        raise Refused("extension.status", status=int(extension.status), wanted=int(after))
    extension.refresh_from_db()


def effective_in(workspace: Workspace) -> "QuerySet[Extension]":
    """Extensions that may be enabled in a workspace: online ones of its tenant, and those that are tested there."""
    tested = Q(status__in=IN_TEST, test_workspace=workspace)
    return Extension.objects.filter(Q(status=Status.ONLINE) | tested, tenant=workspace.tenant_id)


def listeners(workspace: Workspace, point: str) -> list[Enablement]:
    """The enablements of all extensions that must be asked at an extension point, in the order of their names."""
    found = Enablement.objects.filter(
        workspace=workspace,
        is_enabled=True,
        extension__in=effective_in(workspace),
        extension__points__contains=[point],
    )
    return list(found.select_related("extension").order_by("extension__name"))


def new_secret(extension: Extension) -> str:
    """A new signing secret, to be shown once; earlier ones stay valid for ``ROTATION``."""
    plain = "whsec_" + base64.b64encode(random.token_bytes(_SECRET_BYTES)).decode()
    ends = clock.now() + ROTATION
    extension.secrets.filter(Q(expires_at=None) | Q(expires_at__gt=ends)).update(expires_at=ends)
    ExtensionSecret.objects.create(extension=extension, secret=encrypt(plain))
    return plain


def valid_secrets(extension: Extension) -> list[str]:
    """The secrets that its messages are signed with now, the newest first."""
    now = clock.now()
    valid = extension.secrets.filter(Q(expires_at=None) | Q(expires_at__gt=now)).order_by("-pk")
    return [decrypt(one.secret) for one in valid]


def new_key(extension: Extension) -> tuple[AccessKey, str]:
    """A new access key with which the extension answers, and may do nothing else; its secret is shown once."""
    key, secret = access_keys.create(extension.owner, extension.name[:200], scope=AccessKey.Scope.CALLBACK)
    ExtensionKey.objects.create(extension=extension, access_key=key)
    return key, secret


def speaks_for(extension: Extension, user: User, key_id: str) -> bool:
    """Whether a request signed with this key may answer for the extension: its owner's key, or one granted to it."""
    if ExtensionKey.objects.filter(extension=extension, access_key__key_id=key_id).exists():
        return True
    is_narrow = AccessKey.objects.filter(key_id=key_id, scope=AccessKey.Scope.CALLBACK).exists()
    return user.pk == extension.owner_id and not is_narrow
