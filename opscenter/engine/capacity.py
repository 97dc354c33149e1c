"""Slots and workers: whether a resource group can take one more run."""

from collections.abc import Collection

from django.db.models import Count, Q

from opscenter.base import heartbeat
from opscenter.base.models import Process
from opscenter.production.models import ResourceGroup, TaskInstance
from opscenter.production.rules.states import State

_LIVE = Q(state__in=[State.CLAIMED, State.RUNNING])


def live_counts(groups: Collection[int]) -> dict[int, int]:
    """Slots in use, by group; groups without any are left out."""
    rows = TaskInstance.objects.filter(_LIVE, resource_group__in=groups).values("resource_group").annotate(n=Count("pk"))
    return {row["resource_group"]: row["n"] for row in rows}


def served(groups: Collection[int]) -> set[int]:
    """Those of the groups that at least one live worker serves."""
    found: set[int] = set()
    for details in heartbeat.alive(Process.Kind.WORKER).values_list("details", flat=True):
        serves = details.get("groups")
        found |= set(groups) if serves is None else set(groups) & set(serves)
    return found


def groups_with_room(groups: Collection[int]) -> set[int]:
    """Those of the groups that a live worker serves and that have a free slot at this moment."""
    if not groups:
        return set()
    used = live_counts(groups)
    slots = dict(ResourceGroup.objects.filter(pk__in=served(groups)).values_list("pk", "slots"))
    return {pk for pk, total in slots.items() if used.get(pk, 0) < total}
