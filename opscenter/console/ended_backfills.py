"""The top bar's word of the reader's own backfills that have ended, where they asked to be told; until they look at them."""

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from opscenter.console.templatetags.looks import Look
from opscenter.production.models import Backfill
from opscenter.workspaces.models import User

SHOWN = 20
LOOKS = {
    Backfill.Alert.SUCCESS: Look("success", "circle-check", Backfill.Alert.SUCCESS.label),
    Backfill.Alert.FAILURE: Look("failure", "circle-alert", Backfill.Alert.FAILURE.label),
}


@dataclass(frozen=True)
class Ended:
    """One of them."""

    name: str
    look: Look
    at: datetime
    url: str


@dataclass(frozen=True)
class EndedBackfills:
    """What the top bar shows; red where one of them failed."""

    rows: tuple[Ended, ...]
    has_failed: bool


def ended_of(user: User) -> EndedBackfills | None:
    """The reader's own, of workspaces that they are still in; None when there are none. Index: backfill_alert."""
    found = Backfill.objects.filter(created_by=user, workspace__members__user=user).exclude(alert="").defer("plan")
    rows = []
    for one in found.order_by("-alert_at")[:SHOWN]:
        assert one.alert_at is not None
        place = {"workspace_id": one.workspace_id, "env": one.environment.lower(), "pk": one.pk}
        url = reverse("console:backfill", kwargs=place)
        rows.append(Ended(one.name, LOOKS[Backfill.Alert(one.alert)], one.alert_at, url))
    failed = any(row.look is LOOKS[Backfill.Alert.FAILURE] for row in rows)
    return EndedBackfills(tuple(rows), failed) if rows else None


def looked_at(job: Backfill, user: User) -> None:
    """Who asked for it has its page before them."""
    if job.alert and job.created_by_id == user.pk:
        Backfill.objects.filter(pk=job.pk).update(alert="")
