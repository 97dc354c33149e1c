"""Descendants and upstream instances to tick in the questions of operations: level by level, as far as one asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from opscenter.base.reasons import say
from opscenter.console.access import ConsoleRequest, here
from opscenter.operations.registry import OPERATIONS, refusal
from opscenter.production.models import InstanceEdge, TaskInstance
from opscenter.production.selectors import edges_in_run

LEVEL_SHOWN = 100
"""Direct descendants of one instance that are offered."""
UPSTREAM_SHOWN = 200


@dataclass(frozen=True)
class Child:
    """A descendant as it is offered.

    Attributes:
        why_not: why it cannot be ticked; empty where it can.
        level_url: where its own descendants are asked for; empty where it has none.
    """

    instance: TaskInstance
    is_here: bool
    why_not: str
    level_url: str


@dataclass(frozen=True)
class Level:
    """The direct descendants of one instance, within its run; ``more``: how many are not shown."""

    children: Sequence[Child]
    more: int


def level(request: ConsoleRequest, instance: TaskInstance) -> Level:
    """The direct descendants to choose from. Index: the edges' upstream."""
    below = edges_in_run([instance.pk])
    found = list(
        TaskInstance.objects.filter(pk__in=below.values("downstream"))
        .select_related("task", "version", "workspace", "workflow_instance")
        .defer("version__content")
        .order_by("task__name", "scheduled_at", "pk")[:LEVEL_SHOWN]
    )
    more = below.count() - len(found) if len(found) == LEVEL_SHOWN else 0
    parents = set(edges_in_run([one.pk for one in found]).values_list("upstream_id", flat=True))
    return Level([_child(request, one, one.pk in parents) for one in found], more)


def _child(request: ConsoleRequest, instance: TaskInstance, is_parent: bool) -> Child:
    is_here = instance.workspace_id == request.workspace.pk
    if is_here:
        reason = refusal(OPERATIONS["rerun_downstream"], instance, request.member)
        why_not = say(reason.code, reason.params) if reason else ""
    else:
        why_not = _("It is of another workspace. Rerun it there.")
    level_url = here(request, "instance_descendants", pk=instance.pk) if is_parent and is_here else ""
    return Child(instance, is_here, why_not, level_url)


def upstream(request: ConsoleRequest, instances: Sequence[TaskInstance]) -> list[dict[str, Any]]:
    """What some instances wait for, or waited for, those that have not succeeded first. Index: the edges' primary key."""
    edges = InstanceEdge.objects.filter(downstream__in=[one.pk for one in instances])
    found = (
        TaskInstance.objects.filter(pk__in=edges.values("upstream"))
        .select_related("task", "workspace", "workflow_instance")
        .order_by("state", "task__name", "scheduled_at", "pk")[:UPSTREAM_SHOWN]
    )
    return [{"instance": one, "is_here": one.workspace_id == request.workspace.pk} for one in found]
