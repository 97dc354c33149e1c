"""The top bar's warning: extensions of the reader's own whose endpoint was gone or dead, so that nothing is sent to them."""

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from extensions.deliveries import gone_reason
from extensions.models import Extension
from opscenter.base.reasons import say
from opscenter.workspaces.models import User

SHOWN = 20


@dataclass(frozen=True)
class Stopped:
    """One of them."""

    name: str
    why: str
    since: datetime
    url: str


@dataclass(frozen=True)
class StoppedExtensions:
    """What the warning shows."""

    rows: tuple[Stopped, ...]


def stopped_of(user: User, workspace: int, env: str) -> StoppedExtensions | None:
    """The reader's own; None when there are none. Index: of the owner."""
    found = Extension.objects.filter(owner=user, gone_at__isnull=False).exclude(status=Extension.Status.DISABLED)
    rows = []
    for one in found.order_by("-gone_at")[:SHOWN]:
        assert one.gone_at is not None
        reason = gone_reason(one)
        place = {"workspace_id": workspace, "env": env, "code": one.code}
        url = reverse("console:extension", kwargs=place)
        rows.append(Stopped(one.name, say(reason.code, reason.params), one.gone_at, url))
    return StoppedExtensions(tuple(rows)) if rows else None
