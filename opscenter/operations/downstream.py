"""Rerun with chosen downstream: instances and what of their descendants is chosen run again, one after the other."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from opscenter.base.reasons import Reason, sentence
from opscenter.operations import reruns
from opscenter.operations.arguments import Arguments, Values, only
from opscenter.operations.dependencies import numbers
from opscenter.operations.models import Operation
from opscenter.production.models import InstanceEdge, TaskInstance
from opscenter.production.selectors import edges_in_run
from opscenter.workspaces.models import Workspace

MOST = 1000


def _read(given: Values, workspace: Workspace) -> dict[str, Any]:
    """``start``: which of the operation's instances it starts from; the others come after them."""
    only(given, "start")
    return {"start": numbers("start", given["start"], MOST)}


def _refuse(instances: Sequence[TaskInstance], values: Values) -> dict[int, Reason]:
    """Descendants that nothing leads to which is rerun here: they would run beside it, not after it."""
    able = {i.pk for i in instances}
    reached = within(able.intersection(values["start"]), able, edges_in_run(able))
    return {pk: Reason("rerun_downstream.gap") for pk in able - reached}


def within(start: Collection[int], among: Collection[int], edges: "QuerySet[InstanceEdge]") -> set[int]:
    """What of ``among`` can be reached from ``start`` by edges between these alone.

    Args:
        edges: those that count; out of ``among`` at least.
    """
    below: dict[int, list[int]] = defaultdict(list)
    for up, down in edges.filter(downstream__in=among).values_list("upstream_id", "downstream_id"):
        below[up].append(down)
    found, todo = set(start), list(start)
    while todo:
        fresh = [down for down in below[todo.pop()] if down not in found]
        found.update(fresh)
        todo += fresh
    return found


DOWNSTREAM = Arguments(_read, _refuse)


def rerun_downstream(instances: Sequence[TaskInstance], operation: Operation) -> None:
    """Those that have not started stay where they are, and wait for what is rerun above them."""
    reruns.rerun(instances, operation)


@sentence("rerun_downstream.gap")
def _gap(params: Mapping[str, Any]) -> str:
    return _("Nothing that is rerun here leads directly to it. Choose the instances in between, too.")
