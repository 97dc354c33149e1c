"""An extension's life: its statuses, its signing secrets, its keys, and where it is in effect.

Who may do what is the operations' matter; here is what is possible at all.
"""

import base64
import secrets as random
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import timedelta

from django.db.models import F, Q, QuerySet

from extensions import parameters
from extensions.models import Enablement, Extension, ExtensionKey, ExtensionSecret, Watch
from extensions.points import OF_STATUS
from opscenter.base import clock, notify, sql
from opscenter.base.locks import advisory_xact_lock
from opscenter.base.reasons import Refused
from opscenter.base.secrets import decrypt, encrypt
from opscenter.workspaces import access_keys
from opscenter.workspaces.models import AccessKey, User, Workspace

Status = Extension.Status
ROTATION = timedelta(hours=24)
"""How long the older secret stays valid after a rotation: messages carry signatures of both."""
_SECRET_BYTES = 32
Types = Callable[[], Collection[str]]
"""Asked only where an extension's parameters look at them: our codes of the node types concerned; None for any."""

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


def listeners(workspaces: Workspace | Iterable[Workspace], point: str, types: Types | None = None) -> list[Enablement]:
    """The enablements of all extensions that must be asked, or told, in the order of their names.

    Args:
        workspaces: one, or all those that an operation reaches.
        types: of what it is about.
    """
    return among(_listening(workspaces, point).order_by("extension__name", "workspace"), point, types)


def among(found: Iterable[Enablement], point: str, types: Types | None) -> list[Enablement]:
    """Those of these whose parameters do not rule out the workspace, or every one of the node types."""
    kept = []
    for one in found:
        setting = one.extension.parameters
        if not setting or parameters.read(setting).listens(one.workspace_id, point, types() if types else None):
            kept.append(one)
    return kept


def held_listeners(
    workspaces: Workspace | Iterable[Workspace], point: str, types: Types | None = None
) -> list[Enablement]:
    """The same, and they stay so until the transaction ends: whoever disables one of them waits for us, and then finds
    the checks that we opened. Take them before any other lock."""
    held: set[int] = set()
    where = [workspaces] if isinstance(workspaces, Workspace) else list(workspaces)
    while fresh := set(_listening(where, point).values_list("extension_id", flat=True)) - held:
        sql.rows(
            "SELECT id FROM extensions_extension WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id FOR SHARE",
            {"ids": sorted(fresh)},
        )
        held |= fresh  # while we waited, some may have been disabled and others enabled
    return [one for one in listeners(where, point, types) if one.extension_id in held] if held else []


def _listening(workspaces: Workspace | Iterable[Workspace], point: str) -> "QuerySet[Enablement]":
    where = [workspaces] if isinstance(workspaces, Workspace) else list(workspaces)
    found = _in_effect().filter(workspace__in=where, extension__points__contains=[point])
    return found.select_related("extension__owner", "workspace__tenant")


def _in_effect() -> "QuerySet[Enablement]":
    is_tested_there = Q(extension__status__in=IN_TEST, extension__test_workspace=F("workspace"))
    return Enablement.objects.filter(
        Q(extension__status=Status.ONLINE) | is_tested_there,
        is_enabled=True,
        extension__tenant=F("workspace__tenant"),
    )


def watch(tenant: int) -> None:
    """Have the engine note the changes of instances in those workspaces of a tenant where somebody has subscribed to them.

    To be called in every transaction that changes who listens where.
    """
    advisory_xact_lock("extensions.watch")  # of two at once, the second must see what the first did
    wanted = set(
        _in_effect()
        .filter(extension__points__overlap=list(OF_STATUS), workspace__tenant=tenant)
        .values_list("workspace", flat=True)
    )
    there = set(Watch.objects.filter(workspace__tenant=tenant).values_list("workspace", flat=True))
    Watch.objects.filter(pk__in=there - wanted).delete()
    Watch.objects.bulk_create(Watch(workspace_id=pk) for pk in wanted - there)
    if wanted - there:
        notify.notify(notify.NOTICES)


def new_secret(extension: Extension) -> str:
    """A new signing secret, to be shown once; earlier ones stay valid for ``ROTATION``."""
    plain = "whsec_" + base64.b64encode(random.token_bytes(_SECRET_BYTES)).decode()
    ends = clock.now() + ROTATION
    extension.secrets.filter(Q(expires_at=None) | Q(expires_at__gt=ends)).update(expires_at=ends)
    ExtensionSecret.objects.create(extension=extension, secret=encrypt(plain))
    return plain


def valid_secrets(extension: Extension) -> list[str]:
    """The secrets that its messages are signed with now, the newest first.

    Raises:
        SecretUnreadable: one of them was encrypted with a key that is not there.
    """
    return [decrypt(stored) for stored in stored_secrets([extension.pk]).get(extension.pk, [])]


def stored_secrets(extensions: Sequence[int]) -> dict[int, list[str]]:
    """Of each of these extensions the secrets that are valid now, encrypted, the newest first."""
    found: dict[int, list[str]] = {}
    for extension, secret in sql.rows(
        """SELECT extension_id, secret FROM extensions_extensionsecret
           WHERE extension_id = ANY(%(extensions)s::bigint[])
             AND (expires_at IS NULL OR expires_at > statement_timestamp()) ORDER BY id DESC""",
        {"extensions": list(extensions)},
    ):
        found.setdefault(extension, []).append(secret)
    return found


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
