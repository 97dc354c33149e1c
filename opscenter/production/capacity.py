"""Slots and workers: whether a resource group can take one more run."""

from collections.abc import Collection
from dataclasses import dataclass

from opscenter.base import heartbeat, sql
from opscenter.base.models import Process
from opscenter.production.models import ResourceGroup
from opscenter.production.rules.states import State


@dataclass(frozen=True)
class Usage:
    """A resource group at this moment."""

    name: str
    slots: int
    used: int
    workers: int

    @property
    def has_room(self) -> bool:
        """A live worker serves it and a slot is free."""
        return self.workers > 0 and self.used < self.slots


def live_counts(groups: Collection[int]) -> dict[int, int]:
    """Slots in use, by group; groups without any are left out. Index: instance_live."""
    counted = sql.rows(
        f"""SELECT resource_group_id, count(*) FROM production_taskinstance
            WHERE state IN ({State.CLAIMED:d}, {State.RUNNING:d}) AND needs_worker AND resource_group_id = ANY(%(groups)s::bigint[])
            GROUP BY resource_group_id""",
        {"groups": list(groups)},
    )
    return dict(counted)


def usage(groups: Collection[int]) -> dict[int, Usage]:
    """These groups' slots, how many are taken, and how many live workers serve each."""
    if not groups:
        return {}
    used = live_counts(groups)
    workers = [
        details.get("groups") for details in heartbeat.alive(Process.Kind.WORKER).values_list("details", flat=True)
    ]
    return {
        pk: Usage(name, slots, used.get(pk, 0), sum(serves is None or pk in serves for serves in workers))
        for pk, name, slots in ResourceGroup.objects.filter(pk__in=groups).values_list("pk", "name", "slots")
    }


def groups_with_room(groups: Collection[int]) -> set[int]:
    """Those of the groups that can take one more run."""
    return {pk for pk, found in usage(groups).items() if found.has_room}
